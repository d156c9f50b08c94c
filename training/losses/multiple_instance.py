"""Multiple-instance loss: a clip's label taught through the largest, mean and least of its frames (cards 12, 24).

    max    against the label              a clip that has the class has a frame of it
    mean   against label · fraction       about that share of its frames has it: every frame learns, quiet ones too
    min    against 0                      and some frame has not

On the maximum alone one frame of a clip learns, and nothing does once that frame is right. The silence that fills up
what is shorter than the example counts in no term.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.frame_clip import bce, clip_targets
from training.losses.registry import LOSSES, Loss
from training.registry import Settings

Term = Literal["max", "mean", "min"]


class MultipleInstanceSettings(Settings):
    """Which terms.

    Attributes
    ----------
    terms
        Of the mean that is the loss; all three are MMM.
    fraction
        Share of a clip that its sounds are taken to fill; rare events fill less than the published half.
    smoothing
        Targets are drawn in by this much from 0 and 1.
    """

    terms: Annotated[list[Term], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["max", "mean", "min"])
    fraction: Annotated[float, Meta(gt=0, le=1)] = 0.5
    smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.0


@LOSSES.register("multiple-instance", MultipleInstanceSettings)
def multiple_instance(settings: MultipleInstanceSettings, classes: int) -> Loss:  # noqa: ARG001 - the role's signature
    """Return the mean of the terms, each a mean over clips and classes."""

    def loss(scores: Scores, batch: Batch) -> Tensor:
        labels, there = clip_targets(batch), heard(batch, scores)
        values = [
            bce(*term(kind, scores.frame, there, labels, settings.fraction), settings.smoothing)
            for kind in settings.terms
        ]
        return torch.stack(values).mean()

    return loss


def heard(batch: Batch, scores: Scores) -> Tensor:
    """Whether a score is of the recording, bool ``[B, T', 1]``; each example has one that is."""
    count = scores.frame.shape[1]
    if batch.heard is None:
        return torch.ones_like(scores.frame[..., :1], dtype=torch.bool)
    each = batch.features.shape[1] // count
    lengths = (batch.heard // each).clamp(1, count)
    return (torch.arange(count, device=lengths.device) < lengths[:, None])[..., None]


def term(kind: Term, frames: Tensor, there: Tensor, labels: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """One statistic of those frames ``[B, T, C]`` that are there, and its targets from labels ``[B, C]``.

    A label of -1 stays -1: not taught.
    """
    if kind == "max":
        return frames.masked_fill(~there, 0).amax(1), labels
    if kind == "mean":
        return (frames * there).sum(1) / there.sum(1), torch.where(labels < 0, labels, labels * fraction)
    return frames.masked_fill(~there, 1).amin(1), torch.where(labels < 0, labels, torch.zeros_like(labels))
