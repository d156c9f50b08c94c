"""Distillation: a larger network learns first, then the recipe's own one learns from it on the same examples.

examples ──▶ teacher (frozen) ──▶ softened shares of clips, probabilities of frames ─┐
        └──▶ network ────────────────────────────────────────────────────────────────┴▶ loss = labels + imitation

Both see each mixture alike, over a long schedule, so that the function is imitated and not a table of answers
(Hinton, Vinyals and Dean 2015; Beyer et al., CVPR 2022).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from training.batch import Batch
from training.compute import Compute
from training.layers.heads import Scores
from training.losses.frame_clip import NEAR, bce, pooled
from training.losses.registry import Loss
from training.procedures.fit import FitSettings
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.stages import as_first, finish, learn, unfinished

Share = Annotated[float, Meta(ge=0, le=1)]


class DistilSettings(FitSettings):
    """How the network learns (as in ``fit``), and from whom.

    Attributes
    ----------
    teacher
        The teacher's model: a table as ``[model]``, with the same frames per score.
    teacher_steps, teacher_rate
        Optimiser steps and highest learning rate of the teacher's own training; else it learns as the network does.
    imitation
        Share of the imitation in the loss; the rest is the recipe's.
    frame_weight
        Of the frames' part of the imitation, summed over the classes.
    temperature
        The clips' shares are softened by it.
    """

    teacher: dict[str, Any] = msgspec.field(default_factory=dict)
    teacher_steps: Annotated[int, Meta(ge=1)] = 6000
    teacher_rate: Annotated[float, Meta(gt=0)] = 3e-3
    imitation: Share = 0.7
    frame_weight: Annotated[float, Meta(ge=0)] = 0.12
    temperature: Annotated[float, Meta(ge=1)] = 2.0


@PROCEDURES.register("distil", DistilSettings)
def distil(settings: DistilSettings) -> Procedure:
    """Return the procedure that trains a teacher, then the job's network by it."""
    return lambda job: _distil(settings, job)


def _distil(settings: DistilSettings, job: Job) -> Fitted:
    lesson = as_first(settings, steps=settings.teacher_steps, rate=settings.teacher_rate)
    teacher = learn(job, "teacher", lesson, settings.teacher)
    if teacher is None:
        return unfinished(job)
    fitted = finish(replace(job, loss=imitating(job.loss, teacher, settings, job.compute)), settings)
    return replace(
        fitted, figures={**fitted.figures, "teacher_parameters": sum(p.numel() for p in teacher.parameters())}
    )


def imitating(loss: Loss, teacher: nn.Module, settings: DistilSettings, machine: Compute) -> Loss:
    """Return the loss of scores and batch that also asks for what the teacher says of the batch's features."""

    def both(scores: Scores, batch: Batch) -> Tensor:
        with torch.no_grad(), machine.precision():
            shown = teacher(batch.features)
        shown = type(shown)(*(None if t is None else t.float() for t in shown))
        copied = softened_entropy(pooled(scores), pooled(shown), settings.temperature)
        copied = copied + settings.frame_weight * scores.frame.shape[2] * bce(scores.frame, shown.frame)
        return (1 - settings.imitation) * loss(scores, batch) + settings.imitation * copied

    return both


def softened_entropy(probabilities: Tensor, shown: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy between softmaxes of the logits of probabilities ``[B, C]``, both softened.

    It is multiplied by the temperature squared, by which softening weakens its gradients.
    """
    wanted = torch.softmax(torch.logit(shown, NEAR) / temperature, 1)
    logs = torch.log_softmax(torch.logit(probabilities, NEAR) / temperature, 1)
    return -(temperature**2) * (wanted * logs).sum(1).mean()
