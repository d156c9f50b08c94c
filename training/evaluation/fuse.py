"""Several networks as one: what each says of whole recordings, averaged, the largest of it, or averaged as ranks.

network A   .9 .2 .4        mean    .65 .45 .20       scores of one kind: seeds, folds, checkpoints
network B   .4 .7 .0        max     .90 .70 .40       any of them may be the one that hears it
                            rank    .75 .50 .25       each network's order alone: scores of different kinds

Each is asked for all recordings that none of them learnt from. A mean may be weighted, and is the one that a device can
make of scores as they come: by it frames are fused too (`edge.decode.fusion`), and decided by the first one's rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from edge.decode.fusion import fused as frames
from edge.decode.fusion import shares
from edge.inference.card import Decode
from training.data.splits import group_of
from training.evaluation import measures
from training.evaluation.heard import Heard
from training.evaluation.measures import Figures

Float32 = npt.NDArray[np.float32]
By = Literal["mean", "max", "rank"]
LEAST = 1e-4  # probability that even a network which was sure of the opposite is granted
STEPS = 1000  # of expectation and maximisation


def fused(scores: Sequence[Float32], by: By, weights: Sequence[float] = ()) -> Float32:
    """Scores ``[N, C]`` of N recordings from those of each network; the weights of a mean are divided by their sum.

    >>> fused([np.float32([[0.9], [0.2], [0.4]]), np.float32([[0.4], [0.7], [0.0]])], "rank").ravel().tolist()
    [0.75, 0.5, 0.25]
    """
    if by not in get_args(By):
        raise ValueError(f"fuse: expected one of {', '.join(get_args(By))}, got {by!r}")
    table = np.stack([ranks(part) if by == "rank" else part for part in scores])
    return np.asarray(
        table.max(axis=0) if by == "max" else np.tensordot(shares(weights, len(table)), table, 1), np.float32
    )


def ranks(scores: Float32) -> Float32:
    """Share of the other recordings that a recording's score of a class is above, ``[N, C]``; equal ones count half."""
    below = (scores[:, None] > scores[None]).sum(axis=1) + 0.5 * (scores[:, None] == scores[None]).sum(axis=1) - 0.5
    return np.asarray(below / max(len(scores) - 1, 1), np.float32)


def together(
    networks: Sequence[Sequence[Heard]], by: By, weights: Sequence[float] = ()
) -> tuple[list[list[Heard]], list[Heard]]:
    """Recordings that all networks were asked for: what each heard of them, and what all did.

    By a mean, and where all kept their frames, these are fused as well.

    Raises
    ------
    ValueError
        There are none.
    """
    names = [[h.item.name for h in heard] for heard in networks]
    common = set(names[0]).intersection(*names)
    kept = [[h for h in heard if h.item.name in common] for heard in networks]
    if not common:
        raise ValueError(
            "fuse: expected recordings that none of the networks learnt from, got none; name another set by "
            "--folder, or runs that held out the same fold"
        )
    order = {h.item.name: k for k, h in enumerate(kept[0])}
    kept = [sorted(heard, key=lambda h: order[h.item.name]) for heard in kept]
    clips = fused([np.stack([h.clip for h in heard]) for heard in kept], by, weights)
    both = [replace(h, clip=clip) for h, clip in zip(kept[0], clips, strict=True)]
    if by == "mean" and all(h.decided is None for heard in kept for h in heard):
        blocks = [frames([h.block for h in each], weights) for each in zip(*kept, strict=True)]
        both = [replace(h, block=block) for h, block in zip(both, blocks, strict=True)]
    return kept, both


def likeliest(networks: Sequence[Sequence[Heard]]) -> list[float]:
    """Weights of a mean, which sum to 1, by which the classes that recordings have and have not are likeliest.

    The mean is a mixture of what the networks hold for probable, so its weights are learnt as a mixture's, by
    expectation and maximisation; the likelihood has one maximum. Classes that no recording has say nothing; of each of
    the others, recordings with it and without it count alike, as in card 32's training.

    Parameters
    ----------
    networks
        The same recordings in the same order, by each network.

    References
    ----------
    A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
    """
    known = [k for k, h in enumerate(networks[0]) if h.item.weak is not None]
    if not known:
        raise ValueError("fuse: expected recordings whose classes are known to learn weights from, got none")
    scores = np.stack([[heard[k].clip for k in known] for heard in networks]).astype(np.float64)
    there = np.zeros(scores.shape[1:], np.bool_)
    for row, k in enumerate(known):
        there[row, list(networks[0][k].item.weak or ())] = True
    if not there.any():
        raise ValueError("fuse: expected recordings with a class of the networks to learn weights from, got none")
    held = np.clip(np.where(there, scores, 1 - scores), LEAST, None).reshape(len(scores), -1)
    alike = np.where(there, 1 / np.maximum(there.sum(axis=0), 1), 1 / np.maximum((~there).sum(axis=0), 1))
    counts = (alike * there.any(axis=0)).ravel()
    weights = shares((), len(scores))
    for _ in range(STEPS):
        parts = weights[:, None] * held
        weights = (parts / parts.sum(axis=0)) @ counts / counts.sum()
    return [float(weight) for weight in weights]


def in_turn(networks: Sequence[Sequence[Heard]]) -> list[Heard]:
    """What all hear together, each half of the recordings by `likeliest` weights that the other half chose."""
    groups = {group: k % 2 for k, group in enumerate(sorted({group_of(h.item) for h in networks[0]}))}
    half = [groups[group_of(h.item)] for h in networks[0]]
    if len(groups) < 2:
        raise ValueError("fuse: expected recordings of two groups or more to learn weights from, got one")
    out: list[Heard] = []
    for own in (0, 1):
        others = [[h for h, part in zip(heard, half, strict=True) if part != own] for heard in networks]
        mine = [[h for h, part in zip(heard, half, strict=True) if part == own] for heard in networks]
        out += together(mine, "mean", likeliest(others))[1]
    return out


def figures(heard: Sequence[Heard], labels: Sequence[str], rules: Decode | None = None, *, exclusive: bool) -> Figures:
    """Those of `measures.HEADLINES` that clip scores alone tell; of events too, where `rules` decide frames."""
    if rules is not None:
        found = measures.measure(heard, labels, rules, exclusive=exclusive)
        return {name: value for name, value in found.items() if name in measures.HEADLINES}
    pairs = [(h, ()) for h in heard]
    found = measures.tagging(pairs, labels) if any(h.item.weak for h in heard) else {}
    if exclusive:
        found |= measures.single_class(pairs, labels)
    return {name: value for name, value in found.items() if name in measures.HEADLINES}
