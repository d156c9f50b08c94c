"""One training from a recipe: data, front-end statistics, procedure, figures of what was held out, run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from edge.frontend.spec import Standardise
from edge.frontend.stream import FrontEnd
from training import run
from training.augment import Chain
from training.compute import Compute, compute
from training.data.check import check
from training.data.dataset import Dataset, EmbeddedItem, Item
from training.data.shelf import Shelf
from training.evaluation.figures import clip_figures, headline
from training.evaluation.scoring import Scored, scored, scored_embedding
from training.losses import LOSSES
from training.models import MODELS
from training.parts import Parts, parts
from training.procedures import PROCEDURES, Job
from training.procedures.registry import Draw, Watch
from training.recipe import Recipe
from training.registry import Part
from training.sampling import SAMPLERS, Material

MEASURED = 200  # examples that the features' mean and deviation are measured on
LEAST = 1e-3  # deviation of a feature that hardly varies
TAUGHT = ("clips", "windows")  # samplers that teach frames which a procedure found
STATISTICS_STEP = 1 << 31  # a step that no training reaches: examples of their own
Watching = Callable[..., AbstractContextManager[Watch]]


@dataclass(frozen=True)
class Options:
    """What a training is told beside its recipe.

    Attributes
    ----------
    fold
        Held out and measured at the end, never looked at before; None trains on all folds.
    skip_bad
        Leave unreadable recordings out, and count them, instead of refusing the set.
    until
        Stop at this step and leave the checkpoint.
    """

    fold: int | None = None
    skip_bad: bool = False
    until: int | None = None


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    options: Options = Options(),
    watching: Watching | None = None,
) -> dict[str, object]:
    """Train and write the run folder `out`; returns its metrics.

    Parameters
    ----------
    data
        Folder that holds the data sets' folders.
    watching
        Context that yields what is reported to; see `training.watch.watching`.

    Raises
    ------
    ValueError
        Data that cannot be read, or is not what the recipe needs.
    ConfigError
        `out` holds the checkpoint of another recipe or fold.
    """
    with compute(recipe.threads, recipe.mixed) as machine:
        return _train(recipe, data, out, options, machine, watching)


def _train(
    recipe: Recipe, data: Path, out: Path, options: Options, machine: Compute, watching: Watching | None
) -> dict[str, object]:
    began = time.monotonic()
    torch.manual_seed(recipe.seed)
    split, background, bad = _data(recipe, data, options)
    shelf = Shelf(recipe.frontend.rate)
    recipe = counted(measured(recipe, split.train, background, shelf), split.train)
    drawn = material(recipe, split.train, background, shelf)
    redraw = _redrawer(recipe, machine)
    labels = split.train.labels
    model = fresh(recipe, len(labels))
    splits = _names(labels, options.fold, split, background)
    checkpoint = run.begin(out, recipe, splits) if machine.leads else out / "checkpoint.safetensors"
    steps = getattr(recipe.procedure.settings, "steps", 0)
    with (watching or _unwatched)(out, steps, leads=machine.leads) as watch:
        job = Job(
            model=model,
            draw=redraw(drawn),
            loss=LOSSES.build(recipe.loss, len(labels)),
            checkpoint=checkpoint,
            compute=machine,
            validate=_validator(split.inner, recipe, shelf),
            watch=watch,
            until=options.until,
            fold=options.fold,
            build=_builder(recipe, len(labels)),
            material=drawn if recipe.sampling.kind in TAUGHT else None,
            redraw=redraw,
            inner=split.inner,
            seed=recipe.seed,
        )
        busy = time.process_time()
        fitted = PROCEDURES.build(recipe.procedure)(job)
        busy = time.process_time() - busy
    metrics: dict[str, object] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": len(fitted.curve),
        "loss": round(float(np.mean(fitted.curve[-50:] or np.nan)), 5),
        **fitted.figures,
        "bad_files": len(bad),
        "device": machine.device,
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(busy, 3),
    }
    if options.until and len(fitted.curve) < steps:
        return metrics
    model.load_state_dict(fitted.weights)
    known = split.test.where(lambda item: item.weak is not None)
    if len(known):
        metrics |= held_out(model.eval(), recipe, known, shelf)
    if machine.leads:
        run.finish(out, fitted.weights, metrics)
    return metrics


def fresh(recipe: Recipe, classes: int, other: Part | None = None) -> nn.Module:
    """Build the recipe's network, or another one, as convolutions are fastest."""
    return run.network(recipe, classes, other).to(memory_format=torch.channels_last)


def _builder(recipe: Recipe, classes: int) -> Callable[[dict[str, Any] | None], nn.Module]:
    """Build the recipe's own network for None, else what a table of its procedure names."""
    return lambda table: fresh(recipe, classes, None if table is None else MODELS.parse(table, "procedure.teacher"))


def measured(recipe: Recipe, dataset: Dataset, background: Dataset | None, shelf: Shelf) -> Recipe:
    """Return the recipe with its features standardised by what `MEASURED` of its examples measure.

    Where they have a stage of their own, or nothing is heard but embeddings, it stays as it is.
    """
    if recipe.frontend.post or dataset.embedded:
        return recipe
    axes = (0, 1) if recipe.standardise == "each" else (0, 1, 2)
    sampler = SAMPLERS.build(recipe.sampling, material(recipe, dataset, background, shelf))
    frames = sampler.batch(MEASURED, recipe.seed, STATISTICS_STEP).features
    mean, std = frames.mean(axes), frames.std(axes).clamp_min(LEAST)
    post = [Standardise(mean=rounded(mean), std=rounded(std))]
    return msgspec.structs.replace(recipe, frontend=msgspec.structs.replace(recipe.frontend, post=post))


def rounded(value: Tensor) -> float | list[float]:
    """Return a number, or one per feature, with the digits that a recipe shows."""
    numbers = [round(float(v), 4) for v in value.flatten()]
    return numbers if value.ndim else numbers[0]


def counted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return the recipe whose loss knows which share of the training clips each class is in, if it asks for that."""
    settings = recipe.loss.settings
    if getattr(settings, "shares", None) != []:
        return recipe
    known = [item.weak for item in dataset.items if item.weak is not None]
    counts = [sum(k in weak for weak in known) for k in range(len(dataset.labels))]
    shares = [round(min(max(n, 0.5), len(known) - 0.5) / len(known), 6) for n in counts]  # never quite 0 or 1
    loss = msgspec.structs.replace(recipe.loss, settings=msgspec.structs.replace(settings, shares=shares))
    return msgspec.structs.replace(recipe, loss=loss)


def held_out(model: nn.Module, recipe: Recipe, dataset: Dataset, shelf: Shelf) -> dict[str, object]:
    """Clip figures on recordings that training never saw, and which of them were right."""
    clips = _clip_scores(model, recipe, dataset, shelf)
    figures = clip_figures(clips, [item.weak or () for item in dataset.items], dataset.labels, dataset.exclusive)
    if not dataset.exclusive:
        return figures
    hits = {item.name: int(k in (item.weak or ())) for item, k in zip(dataset.items, clips.argmax(1), strict=True)}
    return {**figures, "hits": hits}


def material(recipe: Recipe, dataset: Dataset, background: Dataset | None, shelf: Shelf) -> Material:
    """Return what the recipe's sampler draws from."""
    quiet = background.items if background else None
    return Material(
        dataset, background, shelf, recipe.frontend, Chain(recipe.augment, backgrounds=quiet, rate=recipe.frontend.rate)
    )


def _data(recipe: Recipe, data: Path, options: Options) -> tuple[Parts, Dataset | None, tuple[str, ...]]:
    """Read and check the sets before anything is computed."""
    found = check(recipe.data.load(data), skip_bad=options.skip_bad)
    split, bad = parts(found.dataset, options.fold, recipe.inner, recipe.seed), found.bad
    background = None
    if recipe.background:
        quiet = check(recipe.background.load(data), skip_bad=options.skip_bad)
        background, bad = quiet.dataset.where(lambda item: item.split in ("", "train")), bad + quiet.bad
    return split, background, bad


def _names(labels: tuple[str, ...], fold: int | None, split: Parts, background: Dataset | None) -> dict[str, object]:
    """What ``splits.json`` holds."""
    sets = {"train": split.train, "inner": split.inner, "test": split.test, "background": background}
    names = {part: [item.name for item in chosen.items] if chosen else [] for part, chosen in sets.items()}
    folds = sorted({item.fold for item in split.train.items if item.fold is not None})
    return {"labels": list(labels), "held_out": fold, "folds": folds, **names}


def _redrawer(recipe: Recipe, machine: Compute) -> Callable[[Material], Draw]:
    """How the recipe draws batches from something; each process draws its own share of every batch."""

    def redraw(material: Material) -> Draw:
        sampler = SAMPLERS.build(recipe.sampling, material)
        if machine.world == 1:
            return lambda size, step: sampler.batch(size, recipe.seed, step)
        return lambda size, step: sampler.batch(
            max(1, size // machine.world), recipe.seed, step * machine.world + machine.rank
        )

    return redraw


def _validator(inner: Dataset, recipe: Recipe, shelf: Shelf) -> Callable[[nn.Module], dict[str, float]] | None:
    inner = inner.where(lambda item: item.weak is not None)
    if not len(inner):
        return None

    def validate(model: nn.Module) -> dict[str, float]:
        clips = _clip_scores(model, recipe, inner, shelf)
        figures = clip_figures(clips, [item.weak or () for item in inner.items], inner.labels, inner.exclusive)
        return headline(figures)

    return validate


def _clip_scores(model: nn.Module, recipe: Recipe, dataset: Dataset, shelf: Shelf) -> np.ndarray:
    front_end = FrontEnd(recipe.frontend)

    def one(item: Item) -> Scored:
        if isinstance(item, EmbeddedItem):
            return scored_embedding(model, item.embedding())
        return scored(model, front_end, shelf(item))

    return np.stack([one(item).clip for item in dataset.items])


def _unwatched(folder: Path, steps: int, *, leads: bool) -> AbstractContextManager[Watch]:  # noqa: ARG001
    from contextlib import nullcontext

    return nullcontext(lambda *_: None)
