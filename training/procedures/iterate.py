"""Iterated distillation: what a network says of frames, smoothed over time, is what a fresh one learns (card 34).

weak labels ──▶ teacher ──▶ frames ──▶ median, Gaussian ──▶ network 1 ──▶ frames ──▶ … ──▶ the recipe's network

A network that says when a class sounds is never sure of its beginning; smoothed, it is steadier than it knows, and the
next one learns that. Where a recording is labelled its frames keep to the labels, else to the teacher's own tags. The
teacher learns from clips by the recipe's loss, all others from frames alone by the same.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from torch import nn

from training.procedures.fit import FitSettings, Positive
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.stages import as_first, finish, labelled, learn, material_of, shown, taught, unfinished
from training.procedures.tags import Tags, tags_of
from training.procedures.targets import masked, smoothed

Seconds = Annotated[float, Meta(ge=0)]


class IterateSettings(FitSettings):
    """How each network learns (as in ``fit``), and what from.

    Attributes
    ----------
    teacher, teacher_steps
        The first network's model, a table as ``[model]``, and its steps; without, it is the recipe's.
    rounds
        Fresh networks that learn from smoothed frames, one from the other; the last is the result.
    median, sigma
        Width of the median and deviation of the Gaussian behind it, seconds; 0 leaves one out.
    """

    teacher: dict[str, Any] = msgspec.field(default_factory=dict)
    teacher_steps: Positive = 1500
    rounds: Positive = 2
    median: Seconds = 0.5
    sigma: Seconds = 0.08


@PROCEDURES.register("iterate", IterateSettings)
def iterate(settings: IterateSettings) -> Procedure:
    """Return the procedure that trains one network after the other."""
    return lambda job: _iterate(settings, job)


def _iterate(settings: IterateSettings, job: Job) -> Fitted:
    lesson = as_first(settings, steps=settings.teacher_steps)
    network = learn(labelled(job), "teacher", lesson, settings.teacher or None)
    if network is None:
        return unfinished(job)
    tags = tags_of(job, network)
    for number in range(1, settings.rounds):
        network = learn(_student(job, network, tags, settings), f"round{number}", as_first(settings))
        if network is None:
            return unfinished(job)
    return finish(_student(job, network, tags, settings), settings)


def _student(job: Job, network: nn.Module, tags: dict[str, Tags], settings: IterateSettings) -> Job:
    """The job that teaches what a network says of frames."""
    material = material_of(job)
    per_second = material.spec.rate / material.spec.hop
    median, sigma = 2 * round(settings.median * per_second / 2) + 1, settings.sigma * per_second
    frames = {
        one.item.name: masked(smoothed(one.frame, median, sigma), tags[one.item.name])
        for one in shown(job, network, material.dataset)
    }
    return taught(job, frames, tags)
