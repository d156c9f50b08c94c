"""Iterated distillation: what a network says of frames, smoothed over time, is what a fresh one learns (card 34).

weak labels ──▶ tagger ──▶ tags of unlabelled clips ──▶ teacher ──▶ frames ──▶ median, Gaussian ─┐
            ┌────────────────────────────────────────────────────────────────────────────────────┘
            ├▶ network 1 ─┬▶ frames, of each class by the better one ──▶ median, Gaussian ──▶ … ──▶ the recipe's network
            └▶ rival 1   ─┘

A network that says when a class sounds is never sure of its beginning; smoothed, it is steadier than it knows, and the
next one learns that. Where a recording is labelled its frames keep to the labels, else to the tagger's tags. Tagger and
teacher learn from clips by the recipe's loss, all others from frames alone by the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from torch import nn

from training.procedures.fit import FitSettings, Positive
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.rivals import best_of, merged
from training.procedures.stages import (
    as_first,
    finish,
    labelled,
    learn,
    material_of,
    shown,
    tagged,
    taught,
    unfinished,
)
from training.procedures.tags import Tags, tags_of
from training.procedures.targets import Float32, masked, smoothed

Seconds = Annotated[float, Meta(ge=0)]


class IterateSettings(FitSettings):
    """How each network learns (as in ``fit``), and what from.

    Attributes
    ----------
    teacher, teacher_steps
        The first networks' model, a table as ``[model]``, and their steps; without, it is the recipe's. A tagger comes
        before the teacher where there are unlabelled recordings.
    rounds
        Fresh networks that learn from smoothed frames, one from the other; the last is the result.
    rival
        A second model that learns beside the recipe's own in all rounds but the last: each class is taught on by the
        better one of the two on what `inner` holds back. Without, there is none.
    median, sigma
        Width of the median and deviation of the Gaussian behind it, seconds; 0 leaves one out.
    """

    teacher: dict[str, Any] = msgspec.field(default_factory=dict)
    teacher_steps: Positive = 1500
    rounds: Positive = 2
    rival: dict[str, Any] = msgspec.field(default_factory=dict)
    median: Seconds = 0.5
    sigma: Seconds = 0.08


@PROCEDURES.register("iterate", IterateSettings)
def iterate(settings: IterateSettings) -> Procedure:
    """Return the procedure that trains one network after the other."""
    return lambda job: _iterate(settings, job)


def _iterate(settings: IterateSettings, job: Job) -> Fitted:
    if settings.rival and not len(job.inner):
        raise ValueError("procedure: `rival` asks for an inner split to choose by; set `inner` in the recipe")
    first = _teacher(job, settings)
    if first is None:
        return unfinished(job)
    networks, best, tags = [first[0]], [0] * len(material_of(job).dataset.labels), first[1]
    for number in range(1, settings.rounds):
        students = _students(_student(job, networks, best, tags, settings), number, settings)
        if students is None:
            return unfinished(job)
        networks = students
        best = best_of(job, networks, _smoother(job, settings)) if len(networks) > 1 else best
    return finish(_student(job, networks, best, tags, settings), settings)


def _teacher(job: Job, settings: IterateSettings) -> tuple[nn.Module, dict[str, Tags]] | None:
    """The network that learns from clips, and the tags of all recordings; None where the job was stopped."""
    lesson, table = as_first(settings, steps=settings.teacher_steps), settings.teacher or None
    tagger = None
    if any(item.weak is None for item in material_of(job).dataset.items):
        tagger = learn(labelled(job), "tagger", lesson, table)
        if tagger is None:
            return None
    tags = tags_of(job, tagger)
    teacher = learn(tagged(job, tags), "teacher", lesson, table)
    return None if teacher is None else (teacher, tags)


def _students(job: Job, number: int, settings: IterateSettings) -> list[nn.Module] | None:
    """The networks of a round; None where the job was stopped."""
    tables = [("round", None), *([("rival", settings.rival)] if settings.rival else [])]
    networks = []
    for name, table in tables:
        network = learn(job, f"{name}{number}", as_first(settings), table)
        if network is None:
            return None
        networks.append(network)
    return networks


def _student(
    job: Job, networks: Sequence[nn.Module], best: Sequence[int], tags: dict[str, Tags], settings: IterateSettings
) -> Job:
    """The job that teaches what networks say of frames, of each class the best one."""
    smooth = _smoother(job, settings)
    dataset = material_of(job).dataset
    frames = {}
    for said in zip(*(shown(job, network, dataset) for network in networks), strict=True):
        name = said[0].item.name
        frames[name] = masked(smooth(merged([one.frame for one in said], best)), tags[name])
    return taught(job, frames, tags)


def _smoother(job: Job, settings: IterateSettings) -> Callable[[Float32], Float32]:
    spec = material_of(job).spec
    per_second = spec.rate / spec.hop
    median, sigma = 2 * round(settings.median * per_second / 2) + 1, settings.sigma * per_second
    return lambda scores: smoothed(scores, median, sigma)
