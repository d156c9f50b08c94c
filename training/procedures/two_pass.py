"""Two passes: a tagger says which classes an unlabelled recording has, a second network learns from all (03, 12, 14).

weak labels ──▶ first network ──▶ tags of the unlabelled recordings ─┐
          └─────────────────── tags of the labelled ones ────────────┴▶ frames ──▶ the recipe's network

Frames have their recording's tags, all of them or those with energy; or clips have them, and frames nothing. The first
network learns from clips by the recipe's loss, the second from frames alone by the same: `frame_weight` and
`clip_weight` are both above 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from training.data.dataset import Item
from training.procedures.fit import FitSettings, Positive
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.stages import (
    Float32,
    as_first,
    features_of,
    finish,
    labelled,
    learn,
    material_of,
    tagged,
    taught,
    unfinished,
)
from training.procedures.tags import Tags, tags_of
from training.procedures.targets import copied, loud


class TwoPassSettings(FitSettings):
    """How the second network learns (as in ``fit``), and what the first one does differently.

    Attributes
    ----------
    first_steps, first_batch
        Of the first network; it is not trained where every recording is labelled.
    frames
        Which frames have their recording's tags: ``all`` (card 03), or ``loud`` ones (card 14); ``none``: the second
        network is a tagger as well, retrained on the tags of all clips (card 12).
    gate
        Least mean of a loud frame's features.
    """

    first_steps: Positive = 1500
    first_batch: Positive = 16
    frames: Literal["all", "loud", "none"] = "all"
    gate: float = 0.0


@PROCEDURES.register("two-pass", TwoPassSettings)
def two_pass(settings: TwoPassSettings) -> Procedure:
    """Return the procedure that tags, then teaches frames or clips by the tags.

    Raises
    ------
    ValueError
        No recording is labelled.
    """
    return lambda job: _two_pass(settings, job)


def _two_pass(settings: TwoPassSettings, job: Job) -> Fitted:
    dataset = material_of(job).dataset
    tags = {item.name: item.weak for item in dataset.items if item.weak is not None}
    if not tags:
        raise ValueError(f"{dataset.name}: expected labelled recordings for the first pass, got none")
    unlabelled = len(dataset) - len(tags)
    if unlabelled:
        lesson = as_first(settings, steps=settings.first_steps, batch=settings.first_batch)
        tagger = learn(labelled(job), "tagger", lesson)
        if tagger is None:
            return unfinished(job)
        tags = tags_of(job, tagger)
    fitted = finish(_second(job, tags, settings), settings)
    return replace(fitted, figures={**fitted.figures, "tagged": unlabelled})


def _second(job: Job, tags: Mapping[str, Tags], settings: TwoPassSettings) -> Job:
    """The job of the second network."""
    if settings.frames == "none":
        return tagged(job, tags)
    items = material_of(job).dataset.items
    return taught(job, {item.name: _frames(job, item, tags[item.name], settings) for item in items}, tags)


def _frames(job: Job, item: Item, tags: Tags, settings: TwoPassSettings) -> Float32:
    features = features_of(job, item)
    frames = copied(tags, len(features), len(material_of(job).dataset.labels))
    return frames * loud(features, settings.gate)[:, None] if settings.frames == "loud" else frames
