"""Cross-validation: one training per official fold, and what they say together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training import run
from training.metrics.intervals import of_mean
from training.recipe import Recipe


def folds_of(recipe: Recipe, data: Path) -> list[int]:
    """Return the official folds of the recipe's data set.

    Raises
    ------
    ValueError
        It has fewer than two.
    """
    found = sorted({item.fold for item in recipe.data.load(data).items if item.fold is not None})
    if len(found) < 2:
        raise ValueError(f"--folds: expected a data set with official folds, got {recipe.data.folder!r} without")
    return found


def cross_validate(folds: Sequence[int], out: Path, train: Callable[[int, Path], object]) -> dict[str, Any]:
    """Train what is not finished yet, one run folder per fold, and return `summary` of all.

    Parameters
    ----------
    train
        Called with a fold and its folder.
    """
    folders = [out / f"fold{fold}" for fold in folds]
    for fold, folder in zip(folds, folders, strict=True):
        if not run.finished(folder):
            train(fold, folder)
    return summary(folders)


def summary(folders: Sequence[Path]) -> dict[str, Any]:
    """Return ``folds`` (the figure of each), ``mean``, ``deviation`` (of folds) and, where every recording has one
    class, the ``interval`` of a 95 % bootstrap over all held-out recordings.

    Raises
    ------
    ConfigError
        A folder is no finished run.
    """
    runs = [run.read(folder) for folder in folders]
    figure = "clip_accuracy" if "clip_accuracy" in runs[0].metrics else "map"
    values = {r.splits["held_out"]: r.metrics[figure] for r in runs}
    out: dict[str, Any] = {
        "figure": figure,
        "folds": {str(k): round(v, 4) for k, v in sorted(values.items())},
        "mean": round(float(np.mean(list(values.values()))), 4),
        "deviation": round(float(np.std(list(values.values()), ddof=1)), 4) if len(values) > 1 else 0.0,
    }
    if figure == "clip_accuracy":
        interval = of_mean([hit for r in runs for hit in r.metrics["hits"].values()])
        out["interval"] = [round(interval.low, 4), round(interval.high, 4)]
    return out


def table(found: dict[str, Any]) -> str:
    """Return a summary as a Markdown table."""
    lines = [f"| held-out fold | {found['figure']} |", "|---|---|"]
    lines += [f"| {fold} | {value:.1%} |" for fold, value in found["folds"].items()]
    sure = f", 95 % interval {found['interval'][0]:.1%} to {found['interval'][1]:.1%}" if "interval" in found else ""
    return "\n".join([*lines, f"| **mean** | **{found['mean']:.1%}** ± {found['deviation']:.1%}{sure} |"])


def write(out: Path, found: dict[str, Any]) -> None:
    """Write ``folds.json`` into the folder of the runs."""
    (out / "folds.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
