"""Figures of scored recordings: clips, events, false alarms; of one network, and of a cross-validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.inference.card import Decode
from training.data.dataset import Sound
from training.evaluation.heard import Heard
from training.metrics import alarms, clips, collar, psds
from training.metrics.intervals import Interval, bootstrap, of_mean

Figures = dict[str, Any]
RESAMPLES = 1000
COLLARS = {"event_f1": 0.2, "event_f1_500ms": 0.5}
SHORT = 1.0  # seconds: a shorter event is a transient one (card D)
HEADLINES = {
    "clip_accuracy": "clip accuracy",
    "map": "mAP",
    "auc": "AUC",
    "auc_weighted": "AUC by prevalence",
    "d_prime": "d'",
    "map_at_3": "mAP@3",
    "clip_f1": "clip F1",
    "found": "found",
    "false_events": "false events per clip",
    "event_f1": "event F1 (200 ms)",
    "event_f1_500ms": "event F1 (500 ms)",
    "short_f1": "event F1 below 1 s (200 ms)",
    "short_f1_500ms": "event F1 below 1 s (500 ms)",
    "event_precision": "event precision (200 ms)",
    "event_recall": "event recall (200 ms)",
    "error_rate": "error rate (200 ms)",
    "class_error_rate": "error rate (200 ms), mean of classes",
    "segment_f1": "segment F1 (1 s)",
    "segment_error_rate": "segment error rate (1 s)",
    "psds1": "PSDS1",
    "psds2": "PSDS2",
    "false_alarms_per_hour": "false alarms per hour",
}


def measure(heard: Sequence[Heard], labels: Sequence[str], rules: Decode, *, exclusive: bool, seed: int = 0) -> Figures:
    """Return all figures that the labels of the recordings allow.

    Returns
    -------
    dict
        ``recordings``, ``seconds``; the figures of `HEADLINES` that can be had; ``intervals`` of some (95 %, over
        recordings); ``by_class``; ``confusion`` [true, predicted] of recordings with one class, where `exclusive`.
    """
    events = [h.events(labels, rules) for h in heard]
    weak = [(h, e) for h, e in zip(heard, events, strict=True) if h.item.weak is not None]
    strong = [(h, e) for h, e in weak if h.item.strong is not None]
    out: Figures = {
        "recordings": len(heard),
        "seconds": round(sum(h.seconds for h in heard), 1),
        "intervals": {},
        "by_class": {name: {} for name in labels},
    }
    parts = []
    if any(h.item.weak for h, _ in weak):
        parts += [tagging(weak, labels), presence(weak, labels, seed)]
    if exclusive:
        parts.append(single_class(weak, labels, seed))
    if any(h.item.strong for h, _ in strong):
        parts.append(detection(strong, labels, seed))
    parts.append(false_alarms(weak, labels))
    for part in parts:
        _join(out, part)
    return out


Pairs = Sequence[tuple[Heard, Sequence[Sound]]]


def single_class(pairs: Pairs, labels: Sequence[str], seed: int = 0) -> Figures:
    """Accuracy, mAP@3, recall and confusion of the recordings that have one class; nothing where there are none."""
    own = [(h, h.item.weak[0]) for h, _ in pairs if h.item.weak and len(h.item.weak) == 1]
    if not own:
        return {}
    scores, truth = np.stack([h.clip for h, _ in own]), [label for _, label in own]
    table, hits = clips.confusion(scores, truth), clips.correct(scores, truth)
    return {
        "clip_accuracy": float(hits.mean()),
        "map_at_3": clips.map_at_3(scores, truth),
        "intervals": {"clip_accuracy": of_mean(hits, seed, RESAMPLES)},
        "by_class": {
            name: {"clips": int(row.sum()), "recall": float(row[k] / row.sum())}
            for k, (name, row) in enumerate(zip(labels, table, strict=True))
            if row.any()
        },
        "confusion": table.tolist(),
    }


def tagging(pairs: Pairs, labels: Sequence[str]) -> Figures:
    """Figures of clip scores over all thresholds: average precision, areas under ROC curves, d′."""
    scores, truth = np.stack([h.clip for h, _ in pairs]), _truth(pairs, labels)
    precision, area = clips.average_precision(scores, truth), clips.auc(scores, truth)
    return {
        "map": clips.macro(precision),
        "auc": clips.macro(area),
        "auc_weighted": clips.weighted(area, truth),
        "d_prime": clips.d_prime(clips.macro(area)),
        "by_class": {
            name: {"average_precision": float(p), "auc": float(a)}
            for name, p, a in zip(labels, precision, area, strict=True)
            if np.isfinite(p)
        },
    }


def presence(pairs: Pairs, labels: Sequence[str], seed: int = 0) -> Figures:
    """Is a recording's class among its decided events? Found: share of its classes; false: events of others."""
    truth = _truth(pairs, labels)
    heard = clips.table_of([sorted({e.label for e in events}) for _, events in pairs], len(labels))
    f1 = clips.f1(heard, truth)
    there = np.argwhere(truth)
    found = heard[there[:, 0], there[:, 1]]
    false = [alarms.false_alarms(events, h.item) for h, events in pairs]
    other = Counter(labels[e.label] for events in false for e in events)
    return {
        "clip_f1": clips.macro(np.where(truth.any(axis=0), f1, np.nan)),
        "found": float(found.mean()),
        "false_events": float(np.mean([len(events) for events in false])),
        "intervals": {
            "found": of_mean(found, seed, RESAMPLES),
            "false_events": of_mean([len(events) for events in false], seed, RESAMPLES),
        },
        "by_class": {
            name: {"clips": int(truth[:, k].sum()), "found": float(heard[truth[:, k] > 0, k].mean())}
            | {"clip_f1": float(f1[k]), "false_events": other[name]}
            if truth[:, k].any()
            else {"false_events": other[name]}
            for k, name in enumerate(labels)
        },
    }


def detection(pairs: Pairs, labels: Sequence[str], seed: int = 0) -> Figures:
    """Figures of events against strong labels; the short ones are asked again of events below `SHORT` alone."""
    reference, estimated = [h.item.strong or () for h, _ in pairs], [events for _, events in pairs]
    seconds, blocks = [h.seconds for h, _ in pairs], [h.block for h, _ in pairs]
    found = {name: collar.event_figures(reference, estimated, labels, width) for name, width in COLLARS.items()}
    brief = [[collar.shorter(events, SHORT) for events in part] for part in (reference, estimated)]
    short = {
        name.replace("event", "short"): collar.event_figures(*brief, labels, width) for name, width in COLLARS.items()
    }
    segments = collar.segment_figures(reference, estimated, seconds, labels)
    one, two = (psds.psds(blocks, reference, seconds, labels, s) for s in (psds.PSDS1, psds.PSDS2))
    return {
        **{name: figures.f1 for name, figures in (*found.items(), *short.items())},
        "short_events": int(short["short_f1"].counts[..., 0].sum()),
        "event_precision": found["event_f1"].precision,
        "event_recall": found["event_f1"].recall,
        "error_rate": found["event_f1"].error_rate,
        "class_error_rate": found["event_f1"].class_error_rate,
        "segment_f1": segments.f1,
        "segment_error_rate": segments.error_rate,
        "psds1": one.score,
        "psds2": two.score,
        "intervals": {name: _of_counts(figures.counts, seed) for name, figures in found.items()},
        "by_class": {
            name: {key: found[key].by_class[name] for key in COLLARS}
            | {"short_f1": short["short_f1"].by_class[name], "psds1": one.by_class.get(name, np.nan)}
            for name in labels
            if np.isfinite(found["event_f1"].by_class[name])
        },
    }


def false_alarms(pairs: Pairs, labels: Sequence[str]) -> Figures:
    """Events of what does not sound, per hour: on recordings that hold none of the classes, or else with known times.

    Nothing where all recordings hold classes at unknown times: what sounds beside them nobody knows.
    """
    quiet = [(h, events) for h, events in pairs if not h.item.weak]
    chosen = quiet or [(h, events) for h, events in pairs if h.item.strong is not None]
    if not chosen:
        return {}
    seconds = sum(h.seconds for h, _ in chosen)
    raised = [e for h, events in chosen for e in alarms.false_alarms(events, h.item)]
    return {
        "false_alarms_per_hour": len(raised) * 3600 / seconds,
        "alarms": {
            "on": "recordings without any of the classes" if quiet else "recordings with known times",
            "events": dict(Counter(labels[e.label] for e in raised).most_common()),
            "hours": seconds / 3600,
            "at_most_per_hour": alarms.upper_rate(len(raised), seconds),
        },
    }


def across(parts: Sequence[Figures], pooled: Figures) -> Figures:
    """Return what folds say together: mean and deviation of their figures, intervals over all held-out recordings.

    A figure that some fold has not, or has infinitely (a d' of a perfect fold), has no mean.

    Parameters
    ----------
    parts
        Figures of every fold's network on the fold that it never saw.
    pooled
        `measure` of all those recordings together.
    """
    names = [n for n in HEADLINES if all(np.isfinite(part.get(n, np.nan)) for part in parts)]
    values = {n: np.array([part[n] for part in parts], np.float64) for n in names}
    return {
        "mean": {n: float(v.mean()) for n, v in values.items()},
        "deviation": {n: float(v.std(ddof=1)) if len(v) > 1 else 0.0 for n, v in values.items()},
        "pooled": pooled,
    }


def _truth(pairs: Pairs, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    return clips.table_of([h.item.weak or () for h, _ in pairs], len(labels))


def _of_counts(counts: collar.Counts, seed: int) -> Interval:
    return bootstrap(lambda index: collar.macro_f1(counts[index]), len(counts), seed, RESAMPLES)


def _join(out: Figures, part: Figures) -> None:
    """Add a part's figures; tables by class and intervals are merged, not replaced."""
    for key, value in part.items():
        if key == "by_class":
            for name, figures in value.items():
                out[key][name] |= figures
        elif key == "intervals":
            out[key] |= {name: [interval.low, interval.high] for name, interval in value.items()}
        else:
            out[key] = value
