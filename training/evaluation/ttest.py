"""Do two systems differ? Figures of two evaluations, paired by class and by fold, with the paired t-test (card C)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edge.errors import ConfigError
from training.evaluation.measures import HEADLINES
from training.evaluation.report import PERCENT, table
from training.metrics.intervals import paired_t

Section = Mapping[str, Any]
LEVEL = 0.05
BY_CLASS = {
    "average_precision": "AP",
    "recall": "right",
    "clip_f1": "clip F1",
    "event_f1": HEADLINES["event_f1"],
}


def compare(first: Section, second: Section, names: tuple[str, str]) -> dict[str, Any]:
    """Return a table of what both evaluations have: means, difference, pairs, and p.

    Parameters
    ----------
    first, second
        Sections of kind ``evaluation``, as ``report.json`` holds them.
    names
        What they are called in the table.

    Raises
    ------
    ConfigError
        One is no evaluation, their classes differ, or they have no figure of two pairs in common.
    """
    for name, section in zip(names, (first, second), strict=True):
        if section.get("kind") != "evaluation":
            raise ConfigError(f"compare: expected the report of an evaluation, got {section.get('kind')!r} of {name}")
    if first["labels"] != second["labels"]:
        raise ConfigError(f"compare: expected the same classes of both, got others of {names[1]}")
    rows = [
        _row(f"{label}, by class", key, _classes(first, key), _classes(second, key)) for key, label in BY_CLASS.items()
    ]
    rows += [
        _row(f"{label}, by fold", key, _folds(first, key), _folds(second, key)) for key, label in HEADLINES.items()
    ]
    found = [row for row in rows if row]
    if not found:
        raise ConfigError("compare: expected two classes or folds that both have figures of, got none")
    text = f"Two-sided p of a paired t-test; below {LEVEL} the two differ by more than chance would have them."
    return table(f"{names[0]} against {names[1]}", ["figure", *names, "difference", "pairs", "p"], found, text)


def _row(label: str, key: str, first: dict[Any, float], second: dict[Any, float]) -> list[Any] | None:
    """One line, of what both have a number for; None where that is fewer than two."""
    common = [k for k in first if k in second and np.isfinite([first[k], second[k]]).all()]
    if len(common) < 2:
        return None
    a, b = (np.array([values[k] for k in common]) for values in (first, second))
    p = paired_t(a, b)
    told = f"{p:.3f}" if p >= 0.0005 else "below 0.001"
    means = [a.mean(), b.mean(), a.mean() - b.mean()]
    shown = [f"{m:.1%}" if key in PERCENT else f"{m:.3f}" for m in means]
    return [
        label,
        *shown[:2],
        ("+" if means[2] > 0 else "") + shown[2],
        len(common),
        told + ("" if p >= LEVEL else " *"),
    ]


def _classes(section: Section, key: str) -> dict[Any, float]:
    """A figure of each class: over all folds where there are several, else of the first target that has figures."""
    measured = [t["figures"] for t in section["targets"] if t["figures"]]
    pooled = section["folds"]["pooled"] if section.get("folds") else next(iter(measured), {})
    by_class = pooled.get("by_class", {})
    return {name: values[key] for name, values in by_class.items() if values.get(key) is not None}


def _folds(section: Section, key: str) -> dict[Any, float]:
    found = [(t["held_out"], t["figures"]) for t in section["targets"] if t["figures"] and t["held_out"] is not None]
    return {fold: figures[key] for fold, figures in found if figures.get(key) is not None}
