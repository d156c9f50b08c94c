"""``hive-compact`` on generated hives: trained on all parts but one, and its area under the ROC curve on that one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from training import recipe as recipes
from training import run as runs
from training.comparison.budget import batched, resized
from training.evaluation.heard import hear
from training.evaluation.targets import Target, of_run
from training.recipe import Recipe
from training.train import Options, train

NAMES = ("bee", "hive_external")
NETWORK = "hive-compact"


def recipe(hives: Path, parts: Sequence[str], block: float, least: float, steps: int, batch: int) -> Recipe:
    """Return the recipe for blocks of one set of hives, whose parts are folds.

    Parameters
    ----------
    hives
        Folder of the set; it is looked for below the folder that a training is given.
    parts
        Regular expressions, as `training.hive.vary.splits` gives them.
    block, least
        S and Θ, seconds.
    """
    # Recordings of one hive stand on both sides where hives are known, so groups are left to the parts.
    lab: dict[str, Any] = {"kind": "lab", "names": NAMES, "group": "", "block": block, "least": least}
    sets = [{"folder": ".", "fold": k, "only": part, "format": lab} for k, part in enumerate(parts, start=1)]
    table = recipes.load(NETWORK).table() | {"data": {"kind": "joined", "folder": hives.name, "sets": sets}}
    return batched(resized(recipes.parse(table), steps), batch)


def areas(chosen: Recipe, data: Path, out: Path, fold: int) -> tuple[float, float]:
    """Area under the ROC curve of the blocks of one part, which was held out, and of the others; trains if need be.

    A block's score is the mean over its excerpts; NaN where blocks are all of one class.
    """
    folder = out / f"fold{fold}"
    if not runs.finished(folder):
        train(chosen, data, folder, Options(fold))
    run = runs.read(folder)
    target = of_run(run, folder.name)
    return _area(target, run, data, "test"), _area(target, run, data, "train")


def _area(target: Target, run: runs.Run, data: Path, part: str) -> float:
    heard = hear(target, run.part(data, part), over="mean")
    external = target.labels.index(NAMES[1])
    truth = [external in (one.item.weak or ()) for one in heard]
    if len(set(truth)) < 2:
        return math.nan
    return float(roc_auc_score(truth, np.array([one.clip[external] - one.clip[1 - external] for one in heard])))
