"""Stages: networks that learn before the recipe's own one, and what the last of them leaves for the next to learn.

labels ──▶ network 1 ──▶ frames of every recording ──▶ network 2 ──▶ … ──▶ the recipe's network

checkpoint.NAME.lesson.safetensors      a stage that is learning: a killed training goes on in the middle of it
checkpoint.NAME.safetensors             one that has learnt: it goes on behind it

What lies between two stages is computed from the first one's file, and every stage begins with random numbers of its
own, so a training that was killed anywhere ends in the same weights.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edge.frontend.stream import FrontEnd
from training.data.dataset import Dataset, Item
from training.evaluation.scoring import features, scored
from training.procedures.fit import FitSettings, fit
from training.procedures.registry import Fitted, Job
from training.sampling.registry import Material

Float32 = npt.NDArray[np.float32]
OWN = "network"  # the last stage, whose files are the run's own


class Shown(NamedTuple):
    """What a stage says of a recording: scores of the features' frames ``[T, C]``, and of the clip ``[C]``."""

    item: Item
    frame: Float32
    clip: Float32


def learn(job: Job, name: str, settings: FitSettings, table: dict[str, Any] | None = None) -> nn.Module | None:
    """Train a network as a stage, or load it where it has learnt before.

    Parameters
    ----------
    name
        Of the stage, unique in its procedure.
    table
        The network's model; None: the recipe's.

    Returns
    -------
    module or None
        In evaluation mode, with nothing that learns; None where the job was stopped before the stage's end.
    """
    _seed(job, name)
    model = job.build(table)
    file = job.checkpoint.with_name(f"checkpoint.{name}.safetensors")
    if not file.exists():
        lesson = job.checkpoint.with_name(f"checkpoint.{name}.lesson.safetensors")
        fitted = fit(settings)(replace(job, model=model, checkpoint=lesson))
        if stopped(job, fitted, settings):
            return None
        _write(file, fitted.weights, job)
    model.load_state_dict(load_file(file))
    return model.to(job.compute.device).eval().requires_grad_(requires_grad=False)


def finish(job: Job, settings: FitSettings) -> Fitted:
    """Train the job's own network, as the last stage."""
    _seed(job, OWN)
    return fit(settings)(job)


def stopped(job: Job, fitted: Fitted, settings: FitSettings) -> bool:
    """Whether a training was told to stop before its end."""
    return bool(job.until) and len(fitted.curve) == job.until < settings.steps


def unfinished(job: Job) -> Fitted:
    """What a procedure gives that was stopped before its last stage: nothing was learnt."""
    return Fitted(job.model.state_dict(), [])


def material_of(job: Job) -> Material:
    """What the job's batches are drawn from.

    Raises
    ------
    ValueError
        By a sampler that teaches no frames that a procedure found.
    """
    if job.material is None:
        raise ValueError(
            "procedure: expected `clips` or `windows` sampling, which teach frames that it finds, got another"
        )
    return job.material


def shown(job: Job, model: nn.Module, dataset: Dataset) -> Iterator[Shown]:
    """Yield what a network says of recordings, one by one."""
    material = material_of(job)
    front_end = FrontEnd(material.spec)
    for item in dataset.items:
        samples = material.shelf(item)
        found = scored(model, front_end, samples)
        yield Shown(item, at_frames(found.frame, _frames(material, len(samples))), found.clip)


def features_of(job: Job, item: Item) -> Float32:
    """Features ``[T, F]`` of a whole recording."""
    material = material_of(job)
    return features(FrontEnd(material.spec), material.shelf(item))


def _frames(material: Material, samples: int) -> int:
    return max(1, (samples - material.spec.frames.window) // material.spec.hop + 1)


def at_frames(scores: Float32, frames: int) -> Float32:
    """Scores ``[T', C]`` at the rate of T frames ``[T, C]``; those behind the last score's have it too."""
    each = max(1, frames // len(scores))
    return scores[np.minimum(np.arange(frames) // each, len(scores) - 1)]


def taught(job: Job, frames: Mapping[str, Float32], tags: Mapping[str, tuple[int, ...]]) -> Job:
    """Return the job whose batches teach frames alone.

    Parameters
    ----------
    frames
        Targets ``[T, C]`` of the recordings' frames, by their names.
    tags
        Classes of recordings; it takes those that it has from here, so that samplers can draw by class.
    """
    material = material_of(job)
    items = tuple(replace(item, weak=tags.get(item.name, item.weak)) for item in material.dataset.items)
    draw = job.redraw(replace(material, dataset=replace(material.dataset, items=items), frames=frames))

    def frames_alone(size: int, step: int) -> Any:
        batch = draw(size, step)
        return batch._replace(clip=None if batch.clip is None else torch.full_like(batch.clip, -1), order=None)

    return replace(job, draw=frames_alone)


def tagged(job: Job, tags: Mapping[str, tuple[int, ...]]) -> Job:
    """Return the job whose recordings have these tags as the labels of their clips, by their names."""
    material = material_of(job)
    items = tuple(replace(item, weak=tags[item.name]) for item in material.dataset.items)
    return replace(job, draw=job.redraw(replace(material, dataset=replace(material.dataset, items=items))))


def labelled(job: Job) -> Job:
    """Return the job whose batches are drawn from labelled recordings alone: the others teach a first stage nothing."""
    material = material_of(job)
    known = material.dataset.where(lambda item: item.weak is not None)
    return (
        job if len(known) == len(material.dataset) else replace(job, draw=job.redraw(replace(material, dataset=known)))
    )


def as_first(settings: FitSettings, **changes: object) -> FitSettings:
    """How an earlier stage learns: as the last one, but for the changes."""
    same = {name: getattr(settings, name) for name in FitSettings.__struct_fields__}
    return FitSettings(**{**same, **changes})


def _seed(job: Job, name: str) -> None:
    torch.manual_seed(zlib.crc32(f"{job.seed} {name}".encode()))


def _write(file: Path, weights: dict[str, Tensor], job: Job) -> None:
    """Write a stage whole or not at all."""
    if job.compute.leads:
        part = file.with_suffix(".part")
        save_file({name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}, part)
        part.replace(file)
    job.compute.meet()
