"""Recipes on the recordings of one of them, fold by fold: each the same time, measured by clip labels.

recipe            bird-s      21-2d-cnn-gru   …      front end, network, loss, sampling and procedure: its own
recordings        those of `on`, each fold held out in turn
OUT/RECIPE/about.json, OUT/RECIPE/fold1/ …           what stands there already is not done again
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from training import recipe as recipes
from training import run
from training.comparison.about import Say, about
from training.comparison.budget import batched, resized
from training.evaluation.report import table
from training.folds import folds_of
from training.train import Options, train


def across(
    names: Sequence[str],
    on: str,
    data: Path,
    out: Path,
    minutes: float,
    *,
    batch: int | None = None,
    say: Say = lambda _: None,
) -> list[dict[str, Any]]:
    """Train and measure what is not done yet; returns what each recipe is, with AUC and mAP of each fold.

    Parameters
    ----------
    names
        Recipes, by name or path.
    on
        The recipe whose recordings and folds all get.
    minutes
        Of processor time for each training, one per fold.
    batch
        Examples in a batch at most; the recipe's own number where None.

    Raises
    ------
    ConfigError, ValueError
        A recording set without folds; an `out` that was begun with other minutes.
    """
    source = recipes.load(on).data
    found = []
    for name in names:
        own = recipes.load(name)
        recipe = structs.replace(own, data=source, decode=structs.replace(own.decode, labels={}, ignore=[]))
        recipe = batched(recipe, batch) if batch else recipe
        row = about(recipe, data, out, minutes, say)
        for fold in folds_of(recipe, data):
            folder = out / recipe.name / f"fold{fold}"
            if not run.finished(folder):
                train(resized(recipe, row["steps"]), data, folder, Options(fold))
            figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            row.setdefault("folds", {})[fold] = {key: figures[key] for key in ("auc", "map")}
            say(f"{folder}: AUC {figures['auc']:.3f}")
        found.append(row)
    return found


def section(found: Sequence[dict[str, Any]], on: str, text: str = "", command: str = "") -> dict[str, Any]:
    """Return a table for ``docs/results.json``, the best mean AUC first."""
    folds = sorted({fold for row in found for fold in row["folds"]})
    heads = ["recipe", "parameters", "M mult/s", "streams", "lookahead", "steps"]
    rows = []
    for row in sorted(found, key=lambda row: -_mean(row, "auc")):
        ahead = "-" if row["lookahead"] is None else f"{row['lookahead']:.2f} s"
        cells = [row["name"], f"{row['parameters']:,}", f"{row['cost']:.1f}", "yes" if row["streams"] else "window"]
        aucs = [f"{row['folds'][fold]['auc']:.3f}" for fold in folds]
        rows.append([*cells, ahead, row["steps"], *aucs, f"{_mean(row, 'auc'):.3f}", f"{_mean(row, 'map'):.3f}"])
    columns = [*heads, *(f"AUC, fold {fold} held out" for fold in folds), "mean AUC", "mean mAP"]
    return table(f"Recipes on the recordings of {on}", columns, rows, text, command)


def _mean(row: dict[str, Any], name: str) -> float:
    return float(np.mean([figures[name] for figures in row["folds"].values()]))
