"""What is an embedding worth? A linear classifier on it, and the same one on the features that it was made of.

recording ─▶ features [T, F] ──────────────────▶ mean ⊕ deviation over time ─▶ logistic regression      the baseline
                    └──▶ embeddings [T', D] ───▶ mean ⊕ deviation over time ─▶ logistic regression

Each official fold is tested once, by a classifier of the others. Its regularisation is chosen among those others, by
cross-validation in which no group stands on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import ConfigError
from edge.frontend.stream import FrontEnd
from training.data.dataset import Dataset, Item
from training.evaluation.report import table
from training.metrics.extra import need
from training.run import Run

Float32 = npt.NDArray[np.float32]
PENALTIES = [1e-3, 1e-2, 1e-1, 1.0]  # inverse strengths that are tried
SPLITS = 5


def probe(
    run: Run, dataset: Dataset, folder: str, tell: Callable[[int, int], None] = lambda *_: None
) -> dict[str, Any]:
    """Return a table: accuracy on each fold by features, by embeddings, and what lies between.

    Parameters
    ----------
    run
        Its network's body gives the embeddings.
    dataset
        Recordings of one class each, in official folds. Where the run has learnt from this set, only the fold that it
        held out is tested.
    folder
        Of the set, below the data folder.
    tell
        Called with the number of recordings done and of all.

    Raises
    ------
    ConfigError
        The network gives no embeddings, the set is not fit for it, or no fold is left that the run never saw.
    """
    if not hasattr(run.model, "embed"):
        raise ConfigError(f"probe: expected a network with embeddings, got {type(run.model).__name__}")
    folds = sorted({item.fold for item in dataset.items if item.fold is not None})
    if not dataset.exclusive or len(folds) < 2:
        raise ConfigError(f"probe: expected recordings of one class each, in two folds or more, got {dataset.name}")
    tested = [fold for fold in folds if not _learnt(run, dataset.folds([fold]), folder)]
    if not tested:
        raise ConfigError(f"probe: expected a fold of {dataset.name} that the run never saw, got none")
    features, embeddings = _inputs(run, dataset, tell)
    rows = []
    for fold in tested:
        base, own = (_accuracy(x, dataset.items, fold) for x in (features, embeddings))
        rows.append([fold, dataset_size(dataset, fold), base, own, own - base])
    means = [float(np.mean([row[k] for row in rows])) for k in (2, 3, 4)]
    shown = [[*row[:2], *map(_percent, row[2:4]), _points(row[4])] for row in rows]
    shown.append(["mean", len(dataset), *map(_percent, means[:2]), _points(means[2])])
    found = table(
        f"{run.recipe.name}: a linear probe on {dataset.name}",
        [
            "tested fold",
            "recordings",
            f"log-mel ({features.shape[1]})",
            f"embedding ({embeddings.shape[1]})",
            "difference",
        ],
        shown,
        f"Accuracy of logistic regressions on means and deviations over time. {_trained_on(run)}",
    )
    return found | {"difference": means[2]}


def dataset_size(dataset: Dataset, fold: int) -> int:
    """Recordings of a fold."""
    return len(dataset.folds([fold]))


def statistics(rows: Float32) -> Float32:
    """Mean and deviation over time of ``[T, D]``, ``[2 D]``."""
    return np.concatenate([rows.mean(0), rows.std(0)])


@torch.no_grad()
def _inputs(run: Run, dataset: Dataset, tell: Callable[[int, int], None]) -> tuple[Float32, Float32]:
    front_end, least = FrontEnd(run.recipe.frontend), getattr(run.model, "chunk", 1)
    features, embeddings = [], []
    for k, item in enumerate(dataset.items):
        frames = front_end.transform(item.samples(run.recipe.frontend.rate))
        if not len(frames):
            raise ValueError(f"{item.path}: expected a recording of a frame or more, got less")
        features.append(statistics(frames))
        missing = least - len(frames)
        if missing > 0:  # as when it is scored
            frames = np.concatenate([frames, np.repeat(frames[-1:], missing, 0)])
        embeddings.append(statistics(run.model.embed(torch.from_numpy(frames)[None])[0].numpy()))
        tell(k + 1, len(dataset))
    return np.stack(features), np.stack(embeddings)


def _accuracy(inputs: Float32, items: tuple[Item, ...], fold: int) -> float:
    """Of a classifier that was fitted on the other folds."""
    linear, pipeline = need("sklearn.linear_model"), need("sklearn.pipeline")
    selection, scaler = need("sklearn.model_selection"), need("sklearn.preprocessing").StandardScaler()
    labels = np.array([item.weak[0] if item.weak else -1 for item in items])
    groups = np.array([item.group or item.name for item in items])
    learnt = np.array([item.fold != fold for item in items])
    search = selection.GridSearchCV(
        pipeline.make_pipeline(scaler, linear.LogisticRegression(max_iter=3000)),
        {"logisticregression__C": PENALTIES},
        cv=selection.GroupKFold(min(SPLITS, len(set(groups[learnt])))),
    )
    search.fit(inputs[learnt], labels[learnt], groups=groups[learnt])
    return float(search.score(inputs[~learnt], labels[~learnt]))


def _learnt(run: Run, part: Dataset, folder: str) -> bool:
    """Whether a run has seen any recording of a part of a set."""
    if folder != run.recipe.data.folder:
        return False
    seen = {*run.splits["train"], *run.splits["inner"]}
    return any(item.name in seen for item in part.items)


def _trained_on(run: Run) -> str:
    held = run.splits["held_out"]
    part = "all of it" if held is None else f"all but fold {held}"
    count = len(run.splits["train"])
    return f"The network was trained on {count} recordings of `{run.recipe.data.folder}` ({part})."


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points"
