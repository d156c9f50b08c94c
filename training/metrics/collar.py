"""Event-based and segment-based figures of decided events, by sed_eval (Mesaros et al., Applied Sciences 6, 2016).

An estimated event is *matched* by a reference event of its class where both ends lie close enough:

    reference      ├──────────── length ────────────┤
    onset       ◁ ±collar ▷
    offset                                    ◁ ±max(collar, share · length) ▷

Matching is one to one and as large as can be. A wrong boundary costs twice: an estimate too many, a reference missed.
A boundary exactly at the collar is close enough: sed_eval alone would let the last bit of a float decide, which on a
grid of frames happens often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.data.dataset import Sound
from training.metrics.extra import need

EDGE = 1e-6  # seconds, and share
Counts = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Events = Sequence[Sequence[Sound]]


@dataclass(frozen=True)
class EventFigures:
    """Figures over all recordings.

    Attributes
    ----------
    f1, precision, recall
        Macro means over the classes with reference events; a class that was never estimated has an F1 of 0 there.
        NaN where there are no reference events at all.
    error_rate
        (Substitutions + deletions + insertions) / reference events, of all classes together; NaN without references.
    class_error_rate
        Macro mean of (missed + too many) / reference events of each class, as the cards of DCASE 2018 task 4 tell it.
    by_class
        F1 by label; NaN for a class without reference events.
    counts
        Reference, estimated and matched events (or segments) ``[N, C, 3]`` of each recording and class.
    """

    f1: float
    precision: float
    recall: float
    error_rate: float
    class_error_rate: float
    by_class: dict[str, float]
    counts: Counts


def event_figures(
    reference: Events, estimated: Events, labels: Sequence[str], collar: float = 0.2, share: float = 0.2
) -> EventFigures:
    """Compare events with collars of `collar` seconds, at the offset at least `share` of the reference's length.

    Parameters
    ----------
    reference, estimated
        Events of each recording, in the same order.

    Raises
    ------
    ConfigError
        sed_eval is not installed.
    """
    metric = need("sed_eval").sound_event.EventBasedMetrics(
        list(labels), t_collar=collar + EDGE, percentage_of_length=share + EDGE
    )
    return _figures(metric, [(r, e, {}) for r, e in zip(reference, estimated, strict=True)], labels)


def shorter(events: Sequence[Sound], seconds: float) -> list[Sound]:
    """Return the events that are shorter: of references and estimates alike, they tell how transients are found."""
    return [event for event in events if event.offset - event.onset < seconds]


def segment_figures(
    reference: Events, estimated: Events, seconds: Sequence[float], labels: Sequence[str], segment: float = 1.0
) -> EventFigures:
    """Compare which classes sound in each stretch of `segment` seconds; `seconds` are the recordings' lengths.

    Raises
    ------
    ConfigError
        sed_eval is not installed.
    """
    metric = need("sed_eval").sound_event.SegmentBasedMetrics(list(labels), time_resolution=segment)
    lengths = [{"evaluated_length_seconds": s} for s in seconds]
    return _figures(metric, list(zip(reference, estimated, lengths, strict=True)), labels)


def macro_f1(counts: Counts) -> float:
    """Macro F1 of counts ``[N, C, 3]`` over the classes with references: for the resamplings of an interval."""
    return _mean(_shares(counts.sum(axis=0))[0])


def _figures(metric: object, recordings: Sequence[tuple], labels: Sequence[str]) -> EventFigures:
    counts = np.zeros((len(recordings), len(labels), 3), np.int64)
    before = np.zeros((len(labels), 3), np.int64)
    for k, (reference, estimated, more) in enumerate(recordings):
        metric.evaluate(_listed(reference, labels), _listed(estimated, labels), **more)
        after = np.array([[metric.class_wise[name][n] for n in ("Nref", "Nsys", "Ntp")] for name in labels], np.int64)
        counts[k], before = after - before, after
    known = before[:, 0] > 0
    f1, precision, recall = _shares(before)
    rate = float(metric.overall_error_rate()["error_rate"]) if known.any() else float("nan")
    reference, estimated, matched = np.where(before[:, :1] > 0, before, np.nan).T
    own_rate = _mean((reference + estimated - 2 * matched) / reference)
    by_class = {name: float(value) for name, value in zip(labels, f1, strict=True)}
    return EventFigures(_mean(f1), _mean(precision), _mean(recall), rate, own_rate, by_class, counts)


def _shares(counts: Counts) -> tuple[Float64, Float64, Float64]:
    """F1, precision and recall ``[C]`` of counts ``[C, 3]``; NaN without references, 0 without estimates."""
    reference, estimated, matched = np.where(counts[:, :1] > 0, counts, np.nan).T
    return 2 * matched / (reference + estimated), matched / np.maximum(estimated, 1), matched / reference


def _mean(values: Float64) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _listed(events: Sequence[Sound], labels: Sequence[str]) -> object:
    rows = [{"onset": e.onset, "offset": e.offset, "event_label": labels[e.label]} for e in events]
    return need("dcase_util").containers.MetaDataContainer(rows)
