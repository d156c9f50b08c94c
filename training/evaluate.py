"""Figures of a model: leave-one-fold-out from the fold runs, and what must stay quiet, from runs or a model folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.frontend.stream import FrontEnd
from edge.inference import store
from edge.inference.card import Decode
from training import deployed
from training import run as runs
from training.data import esc10
from training.data.esc10 import LABELS
from training.metrics.clips import accuracy, clip_score, confusion
from training.metrics.events import count, detect
from training.probes import Float32, Scorer, quiet
from training.run import Run
from training.scoring import scored

BACKGROUND = "soundscapes-maad"


def evaluate(fold_runs: Sequence[Path], model: Path, data: Path) -> dict[str, object]:
    """All figures of a model: ``leave_one_out`` of its fold runs, ``quiet`` of its files, ``card`` for its card.

    Raises
    ------
    ValueError
        The runs do not hold out different folds, or the data cannot be read.
    """
    card = store.load_card(model)
    out = leave_one_out(fold_runs, data, card.decode)
    return {
        "model": f"{card.name}@{card.version}",
        "leave_one_out": out,
        "quiet": probe_model(model, data),
        "quiet_folds": {folder.name: probe_run(runs.read(folder), card.decode, data) for folder in fold_runs},
        "card": {f"leave_one_fold_out_{k}": out[k] for k in ("clip_accuracy", "found", "false_events")},
    }


def leave_one_out(folders: Sequence[Path], data: Path, rules: Decode) -> dict[str, object]:
    """Measure each fold's run on the fold that it never saw.

    Returns
    -------
    dict
        ``folds`` (figures of each), and over all clips: ``clip_accuracy`` (mean of the folds), ``found`` (share of
        clips with an event of their class at `rules`), ``found_by_class``, ``false_events`` (events of other classes
        per clip), ``false_by_class``, ``confusion`` [true, predicted].

    Raises
    ------
    ValueError
        A run held out no fold, or two held out the same.
    """
    loaded = [runs.read(folder) for folder in folders]
    held = [r.splits["held_out"] for r in loaded]
    if None in held or len(set(held)) != len(held):
        raise ValueError(f"expected runs that each held out another fold, got {held}")
    folds = [_fold(r, data, rules) for r in loaded]
    found = np.sum([f["found_of"] for f in folds], axis=0)
    return {
        "folds": {
            str(h): {k: f[k] for k in ("clip_accuracy", "found", "false_events")}
            for h, f in zip(held, folds, strict=True)
        },
        "clip_accuracy": round(float(np.mean([f["clip_accuracy"] for f in folds])), 4),
        "found": round(float(found[0].sum() / found[1].sum()), 4),
        "found_by_class": {name: round(float(found[0, k] / found[1, k]), 4) for k, name in enumerate(LABELS)},
        "false_events": round(float(np.mean([f["false_events"] for f in folds])), 4),
        "false_by_class": dict(sum((Counter(f["false_by_class"]) for f in folds), Counter())),
        "confusion": np.sum([f["confusion"] for f in folds], axis=0).tolist(),
    }


def of_run(run: Run) -> Scorer:
    """Return the scorer of a run: the whole recording through the network at once."""
    front_end = FrontEnd(run.recipe.frontend)
    return lambda samples: scored(run.model, front_end, samples).frame


def probe_run(run: Run, rules: Decode, data: Path) -> dict[str, object]:
    """What must stay quiet, asked of a run."""
    return quiet(of_run(run), LABELS, rules, run.recipe.frontend, data / BACKGROUND)


def probe_model(folder: Path, data: Path) -> dict[str, object]:
    """What must stay quiet, asked of every file of a model folder through the engine that a device runs.

    The model's labelled clips are no test for it where it was trained on them, so only quiet sounds are asked.
    """
    figures: dict[str, object] = {}
    for name, model in deployed.load(folder):
        spec = model.spec
        if spec is None:
            raise ValueError(f"{model.id}: expected a model with a front end, got one that takes raw samples")
        figures[name] = quiet(deployed.of_model(model), model.labels, model.card.decode, spec, data / BACKGROUND)
    return figures


def fold_scores(run: Run, data: Path) -> tuple[list[Float32], list[int]]:
    """Frame scores ``[T, C]`` and labels of the clips that a run held out."""
    clips = esc10.load(data / run.recipe.data.folder, run.recipe.frontend.rate, [run.splits["held_out"]])
    scorer = of_run(run)
    return [scorer(c.samples) for c in clips], [c.label for c in clips]


def _fold(run: Run, data: Path, rules: Decode) -> dict[str, object]:
    scores, labels = fold_scores(run, data)
    pooled = np.stack([clip_score(s) for s in scores])
    events = [count(detect(s, LABELS, rules, run.recipe.frontend)) for s in scores]
    found = np.zeros((2, len(LABELS)), np.int64)
    false: Counter[str] = Counter()
    for label, heard in zip(labels, events, strict=True):
        found[:, label] += (LABELS[label] in heard, 1)
        false.update({name: n for name, n in heard.items() if name != LABELS[label]})
    return {
        "clip_accuracy": round(accuracy(pooled, labels), 4),
        "found": round(float(found[0].sum() / found[1].sum()), 4),
        "found_of": found,
        "false_events": round(false.total() / len(labels), 4),
        "false_by_class": false,
        "confusion": confusion(pooled, labels),
    }
