"""A model's last layer for the place where it listens, fitted to recordings made there, on the device, in seconds.

recording ─▶ model as it is ─▶ logit(score) and embedding of every frame
                                    │            │
                                    └─ + W · embedding + b ─▶ sigmoid: the new score      W, b small, by a ridge

Nobody says when a class sounds in a recording that has it: of each recording the quarter of the frames counts that
speaks for the class most, in those with the class and in those without alike, for these make and break events. They are
chosen anew by what was fitted, a few times.

What such a layer is worth is told on recordings that it was fitted without. Card 21 trains the last layer alone so, for
one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge import adapt
from edge.adapt import Recording
from edge.blocks import Float32, ScoreBlock
from edge.decode.decoder import rule_of
from edge.errors import ConfigError
from edge.inference.layer import corrected, logit
from edge.inference.model import Model

Float64 = npt.NDArray[np.float64]
SHARE, ROUNDS = 0.25, 4  # of a recording's frames that count; how often they are chosen
RIDGE = 0.1  # against embeddings of length about 1; both sides of the labels weigh 1
MOST_FOLDS = 12


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the recordings say of a class.

    Attributes
    ----------
    label
        The class.
    right
        Balanced accuracy on the recordings, 0 … 1: before, and by layers that were fitted without the recording.
    recordings
        With the class, and without it.
    """

    label: str
    right: tuple[float, float]
    recordings: tuple[int, int]


def check(model: Model) -> None:
    """Refuse a model that has no embedding, or whose scores are gated by others.

    Raises
    ------
    ConfigError
        With what to do instead.
    """
    output, rules = model.card.output, model.card.decode
    if not output.embedding:
        raise ConfigError(
            f"{model.id}: expected a model whose card names an `output.embedding`, got one without; leave "
            "--last-layer out to choose thresholds, or export the model with this version, which names it"
        )
    labels = rules.labels.values()
    if rules.clip_on or rules.clip_events or any(rule.clip_on or rule.clip_events for rule in labels):
        raise ConfigError(
            f"{model.id}: expected a model that decides by its frames alone, got one with a `decode.clip_on` or "
            "`clip_events`, whose clip scores no last layer corrects; leave --last-layer out to choose thresholds"
        )


def fit(
    model: Model, found: Sequence[Recording], tell: Callable[[int, int], None] = lambda *_: None
) -> tuple[Float32, list[Fitted]]:
    """Fit every class of which there are recordings enough.

    Parameters
    ----------
    model
        Loaded.
    found
        The recordings.
    tell
        Called with how many were heard, of how many.

    Returns
    -------
    weights
        ``[C, D + 1]``, see `edge.inference.layer`; what the model has already is not in it.
    fitted
        The classes.

    Raises
    ------
    ConfigError
        See `check`.
    SourceError
        A file is no sound file.
    """
    check(model)
    heard = []
    for number, one in enumerate(found, start=1):
        heard.append(adapt.listen(model, one.path))
        tell(number, len(found))
    folds = np.argsort(np.argsort([one.label or "" for one in found], kind="stable")) % min(len(found), MOST_FOLDS)
    size = next(block.embeddings.shape[1] for block in heard if block.embeddings is not None)
    weights, fitted = np.zeros((len(model.labels), size + 1), np.float32), []
    for k, label in enumerate(model.labels):
        there = np.array([one.label == label for one in found])
        rule = rule_of(model.card.decode, label)
        counts = (int(there.sum()), int((~there).sum()))
        if label in model.card.decode.ignore or rule.viterbi or min(counts) < adapt.ENOUGH:
            continue
        before = [adapt.peaks_of(model, block).get(label, 0.0) for block in heard]
        after = [0.0] * len(found)
        for fold in np.unique(folds):
            rest = folds != fold
            trial = np.zeros_like(weights)
            trial[k] = one_class([b for b, keep in zip(heard, rest, strict=True) if keep], k, there[rest])
            for n in np.flatnonzero(~rest):
                after[n] = adapt.peaks_of(model, by_layer(heard[n], trial)).get(label, 0.0)
        right = [adapt.balanced(p[there], p[~there], rule.on) for p in (np.array(before), np.array(after))]
        fitted.append(Fitted(label, (right[0], right[1]), counts))
        weights[k] = one_class(heard, k, there)
    return weights, fitted


def by_layer(block: ScoreBlock, weights: Float32) -> ScoreBlock:
    """A block as a layer corrects it."""
    if block.embeddings is None or not len(block.scores):
        return block
    return replace(block, scores=corrected(block.scores, block.embeddings, weights))


def one_class(heard: Sequence[ScoreBlock], k: int, there: npt.NDArray[np.bool_]) -> Float32:
    """Weights and bias ``[D + 1]`` of class k from recordings, of which `there` says whether they have it."""
    parts = [block.embeddings.astype(np.float64) for block in heard if block.embeddings is not None]
    joined = np.concatenate(parts)
    mean, scale = joined.mean(axis=0), joined.std(axis=0) * np.sqrt(joined.shape[1])
    scale = np.where(scale > 1e-9, scale, np.inf)
    inputs = [np.column_stack([(part - mean) / scale, np.ones(len(part))]) for part in parts]
    offsets = [logit(block.scores[:, k]).astype(np.float64) for block in heard]
    layer = np.zeros(joined.shape[1] + 1)
    for _ in range(ROUNDS):
        chosen = [_loudest(o + x @ layer) for x, o in zip(inputs, offsets, strict=True)]
        share = [1 / (len(c) * np.sum(there == t)) for c, t in zip(chosen, there, strict=True)]
        layer = logistic(
            np.concatenate([x[c] for x, c in zip(inputs, chosen, strict=True)]),
            np.repeat(there.astype(np.float64), [len(c) for c in chosen]),
            np.concatenate([o[c] for o, c in zip(offsets, chosen, strict=True)]),
            np.repeat(share, [len(c) for c in chosen]),
            layer,
        )
    slopes = layer[:-1] / scale
    return np.append(slopes, layer[-1] - slopes @ mean).astype(np.float32)


def logistic(x: Float64, y: Float64, offset: Float64, weight: Float64, start: Float64) -> Float64:
    """Logistic regression with a ridge, by Newton's steps that are halved where they lead up.

    Minimises  Σ weight · (ln(1 + eᶻ) − y z) + RIDGE / 2 · |w|²  over w ``[D]``, z = offset + x w.
    """

    def loss(w: Float64) -> float:
        z = offset + x @ w
        return float(weight @ (np.logaddexp(0, z) - y * z) + RIDGE / 2 * w @ w)

    w = start
    for _ in range(50):
        p = 0.5 * (1 + np.tanh(0.5 * (offset + x @ w)))
        slope = x.T @ (weight * (p - y)) + RIDGE * w
        step = np.linalg.solve(x.T @ (x * (weight * p * (1 - p))[:, None]) + RIDGE * np.eye(len(w)), slope)
        while loss(w - step) > loss(w) and np.abs(step).max() > 1e-9:
            step = step / 2
        w = w - step
        if np.abs(step).max() < 1e-7:
            break
    return w


def _loudest(scores: Float64) -> npt.NDArray[np.intp]:
    """The quarter of the frames with the highest scores, one at least."""
    return np.argsort(-scores, kind="stable")[: max(1, round(SHARE * len(scores)))]
