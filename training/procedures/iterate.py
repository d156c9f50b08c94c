"""Iterated distillation: what a network says of frames, smoothed over time, is what a fresh one learns (card 34).

weak labels ──▶ tagger ──▶ tags of unlabelled clips ──▶ teacher ──▶ frames ─┐
            ┌───────────────────────────────────────────────────────────────┘
            ├▶ median ───────────▶ network, rival ─┬▶ frames of each class by the best one ──▶ every smoothing ──▶ …
            └▶ median, Gaussian ─▶ network, rival ─┘  … ──▶ its own smoothing ──▶ the recipe's network

A network that says when a class sounds is never sure of its beginning; smoothed, it is steadier than it knows, and the
next one learns that. Where a recording is labelled its frames keep to the labels, else to the tagger's tags. Tagger and
teacher learn from clips by the recipe's loss, all others from frames alone by the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from torch import nn

from training.procedures.fit import FitSettings, Positive
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.rivals import Rival, Smooth, best_of, merged
from training.procedures.stages import (
    as_first,
    finish,
    labelled,
    learn,
    material_of,
    tagged,
    taught,
    unfinished,
)
from training.procedures.tags import Tags, tags_of
from training.procedures.targets import masked, smoothed
from training.registry import Settings

Seconds = Annotated[float, Meta(ge=0)]


class Smoothing(Settings):
    """How frames are smoothed before they are taught.

    Attributes
    ----------
    median, sigma
        Width of the median and deviation of the Gaussian behind it, seconds; 0 leaves one out.
    """

    median: Seconds = 0.5
    sigma: Seconds = 0.08


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
        A second model that learns beside the recipe's own in all rounds but the last. Without, there is none.
    smoothings
        In all rounds but the last there is a network, and a rival, for each. The best one at a class, by what `inner`
        holds back, teaches it on; the last network learns it by that one's smoothing.
    """

    teacher: dict[str, Any] = msgspec.field(default_factory=dict)
    teacher_steps: Positive = 1500
    rounds: Positive = 2
    rival: dict[str, Any] = msgspec.field(default_factory=dict)
    smoothings: Annotated[list[Smoothing], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [Smoothing()])


@PROCEDURES.register("iterate", IterateSettings)
def iterate(settings: IterateSettings) -> Procedure:
    """Return the procedure that trains one network after the other."""
    return lambda job: _iterate(settings, job)


def _iterate(settings: IterateSettings, job: Job) -> Fitted:
    several = settings.rival or len(settings.smoothings) > 1
    if several and not len(job.inner):
        raise ValueError(
            "procedure: `rival` and several `smoothings` ask for an inner split to choose by; set `inner` in the recipe"
        )
    smooths = [_smooth(job, smoothing) for smoothing in settings.smoothings]
    first = _teacher(job, settings)
    if first is None:
        return unfinished(job)
    teacher, tags = first
    best = best_of(job, [Rival(teacher, smooth) for smooth in smooths])
    for number in range(1, settings.rounds):
        students = _students(job, best, smooths, tags, number, settings)
        if students is None:
            return unfinished(job)
        best = best_of(job, students)
    return finish(_lesson(job, best, tags), settings)


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


def _students(
    job: Job, best: Sequence[Rival], smooths: Sequence[Smooth], tags: dict[str, Tags], number: int,
    settings: IterateSettings,
) -> list[Rival] | None:  # fmt: skip
    """The networks of a round, each with the smoothing that it learnt from; None where the job was stopped."""
    tables = [("round", None), *([("rival", settings.rival)] if settings.rival else [])]
    students = []
    for k, smooth in enumerate(smooths):
        lesson = _lesson(job, [Rival(rival.network, smooth) for rival in best], tags)
        for name, table in tables:
            stage = f"{name}{number}" if len(smooths) == 1 else f"{name}{number}-{k + 1}"
            network = learn(lesson, stage, as_first(settings), table)
            if network is None:
                return None
            students.append(Rival(network, smooth))
    return students


def _lesson(job: Job, best: Sequence[Rival], tags: dict[str, Tags]) -> Job:
    """The job that teaches what networks say of frames, of each class the best one."""
    found = merged(job, best, material_of(job).dataset)
    return taught(job, {item.name: masked(frames, tags[item.name]) for item, frames in found}, tags)


def _smooth(job: Job, smoothing: Smoothing) -> Smooth:
    spec = material_of(job).spec
    per_second = spec.rate / spec.hop
    reach = max(0, round((smoothing.median * per_second - 1) / 2))
    return lambda scores: smoothed(scores, 2 * reach + 1, smoothing.sigma * per_second)
