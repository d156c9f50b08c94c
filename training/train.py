"""One training from a recipe: data, front-end statistics, fit, metrics of the held-out fold, run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch

from edge.frontend.spec import FrontEndSpec, Standardise
from edge.frontend.stream import FrontEnd
from training import run
from training.data import esc10, soundscapes
from training.data.esc10 import LABELS, Clip
from training.data.scenes import Scenes, batch
from training.losses.frame_clip import frame_clip_loss
from training.metrics import clips as clip_metrics
from training.models.dscnn import DSCNN
from training.procedures.fit import Report, fit
from training.recipe import Recipe

FOLDS = (1, 2, 3, 4)


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    fold: int | None = None,
    report: Report = lambda *_: None,
) -> dict[str, object]:
    """Train and write the run folder `out`; returns its metrics.

    Parameters
    ----------
    data
        Folder that holds the data sets' folders.
    fold
        Held out and measured at the end, never looked at before; None trains on all folds.
    report
        Called with step, loss and seconds.

    Raises
    ------
    ValueError
        Data that cannot be read.
    ConfigError
        `out` holds the checkpoint of another recipe or fold.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    began = time.monotonic()
    rate = recipe.frontend.rate
    folds = [f for f in FOLDS if f != fold]
    clips = esc10.load(data / recipe.data.labelled, rate, folds)
    quiet = recipe.data.background
    background = soundscapes.load(data / quiet, rate, held_out=False) if quiet else []
    recipe = measured(recipe, clips, [b.samples for b in background])
    scenes = Scenes(clips, [b.samples for b in background], recipe.frontend, recipe.scenes)
    splits = {"folds": folds, "held_out": fold, "clips": [c.name for c in clips], "quiet": [b.name for b in background]}
    checkpoint = run.begin(out, recipe, splits)
    model = run.network(recipe).to(memory_format=torch.channels_last)
    weights, curve = fit(
        model,
        lambda step: _tensors(scenes, recipe, step),
        lambda logits, y: frame_clip_loss(logits, y, recipe.fit.clip_weight, recipe.fit.smoothing),
        recipe.fit,
        checkpoint,
        report,
    )
    model.load_state_dict(weights)
    metrics: dict[str, object] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "receptive_field_s": model.receptive_field * recipe.frontend.hop / rate,
        "steps": len(curve),
        "loss": round(float(np.mean(curve[-50:])), 5),
        "seconds": round(time.monotonic() - began, 1),
    }
    if fold is not None:
        metrics |= held_out(model, recipe.frontend, esc10.load(data / recipe.data.labelled, rate, [fold]))
    run.finish(out, weights, metrics)
    return metrics


def measured(recipe: Recipe, clips: Sequence[Clip], background: Sequence[np.ndarray], count: int = 200) -> Recipe:
    """Return the recipe with its features standardised by what `count` of its scenes measure."""
    if recipe.frontend.post:
        return recipe
    plain = msgspec.structs.replace(recipe.scenes, tilt=0.0, band_masks=0, time_masks=0)
    frames, _ = batch(Scenes(clips, background, recipe.frontend, plain), count, recipe.seed, 1 << 31)
    post = [Standardise(mean=round(float(frames.mean()), 4), std=round(float(frames.std()), 4))]
    return msgspec.structs.replace(recipe, frontend=msgspec.structs.replace(recipe.frontend, post=post))


@torch.no_grad()
def frame_scores(model: DSCNN, front_end: FrontEnd, samples: np.ndarray) -> np.ndarray:
    """Scores ``[T, C]`` of one recording, offline."""
    model.eval()
    features = torch.from_numpy(front_end.transform(samples))[None]
    return torch.sigmoid(model(features))[0].numpy()


def held_out(model: DSCNN, spec: FrontEndSpec, clips: Sequence[Clip]) -> dict[str, object]:
    """Clip accuracy and confusion on clips that training never saw."""
    front_end = FrontEnd(spec)
    pooled = np.stack([clip_metrics.clip_score(frame_scores(model, front_end, c.samples)) for c in clips])
    labels = [c.label for c in clips]
    table = clip_metrics.confusion(pooled, labels)
    return {
        "clip_accuracy": clip_metrics.accuracy(pooled, labels),
        "recall": {name: round(float(table[k, k] / max(table[k].sum(), 1)), 4) for k, name in enumerate(LABELS)},
        "confusion": table.tolist(),
    }


def _tensors(scenes: Scenes, recipe: Recipe, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    features, targets = batch(scenes, recipe.fit.batch, recipe.seed, step)
    return torch.from_numpy(features), torch.from_numpy(targets)
