"""How much of a class is decided, and how much of that is right, at many thresholds at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.inference.card import Decode
from training.evaluation.heard import Heard
from training.tuning import sweep

Float64 = npt.NDArray[np.float64]


def judges(heard: Sequence[Heard], label: int) -> tuple[list[Heard], bool]:
    """Recordings that judge a class, and whether by their events: all by clips where none of it has a known time."""
    strong = [h for h in heard if h.item.strong is not None]
    by_events = any(e.label == label for h in strong for e in h.item.strong or ())
    used = strong if by_events else list(heard)
    return used, by_events


def tallies(heard: Sequence[Heard], label: int, rule: Decode, thresholds: Float64, by_events: bool) -> sweep.Counts:
    """Events that are decided, right, and there, at each pair of thresholds ``[S, 2]``: ``[S, 3]``.

    An event is right within 200 ms / 20 %. Without `by_events`, clips are counted in which there is one.
    """
    counts = counted(heard, label, rule, thresholds, by_events)
    if by_events:
        there = sum(e.label == label for h in heard for e in h.item.strong or ())
        decided, right = counts[..., 0].sum(1), counts[..., 1].sum(1)
    else:
        holding, found = np.array([label in (h.item.weak or ()) for h in heard]), counts[..., 0] > 0
        there, decided, right = int(holding.sum()), found.sum(1), (found & holding).sum(1)
    return np.stack([decided, right, np.full_like(decided, there)], axis=1)


def f1(tally: sweep.Counts) -> Float64:
    """F1 ``[…]`` of tallies ``[…, 3]``; 0 where nothing is decided nor there."""
    scores: Float64 = 2 * tally[..., 1] / np.maximum(tally[..., 0] + tally[..., 2], 1)
    return scores


def counted(heard: Sequence[Heard], label: int, rule: Decode, thresholds: Float64, by_events: bool) -> sweep.Counts:
    """Events of a class and those that match, in every recording ``[S, N, 2]``; see `training.tuning.sweep.counts`."""
    truth = sweep.truth_of([(h.item.strong or ()) if by_events else () for h in heard], label)
    return sweep.counts([h.block for h in heard], label, rule, thresholds, truth)


def pairs(on: Float64, ratio: float) -> Float64:
    """Thresholds ``[S, 2]``: `off` is a share of `on`."""
    return np.stack([on, [off_of(value, ratio) for value in on]], axis=1)


def off_of(on: float, ratio: float) -> float:
    """The lower threshold of an upper one."""
    return round(float(on) * ratio, 3)


def ratio_of(rule: Decode) -> float:
    """Share of `off` in `on`."""
    return rule.off / rule.on if rule.on else 1.0
