"""Do all files compute the same function? The network on a whole clip is the truth; steps and files must follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from export.step import Float32, Step, StepFunction, stream
from training.metrics.events import count, detect
from training.models.dscnn import DSCNN

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Parity:
    """How far an implementation is from the network on whole clips.

    Attributes
    ----------
    error, mean_error
        Largest and mean difference of scores.
    decisions
        Share of clips whose events, counted by label, are the same.
    """

    error: float
    mean_error: float
    decisions: float


@torch.no_grad()
def whole(model: DSCNN, frames: Float32) -> Float32:
    """Scores ``[T, C]`` of a clip at once."""
    return torch.sigmoid(model.eval()(torch.from_numpy(frames)[None]))[0].numpy()


def compare(
    model: DSCNN,
    step: Step,
    run: StepFunction,
    clips: Sequence[Float32],
    labels: Sequence[str],
    rules: Decode,
    spec: FrontEndSpec,
) -> Parity:
    """Run every clip ``[T, F]`` in chained steps and hold it against the whole."""
    errors, same = [], 0
    for frames in clips:
        got, _ = stream(run, step.zeros(), frames, step.chunk)
        truth = whole(model, frames)[: len(got)]
        errors.append(np.abs(got - truth).ravel())
        same += count(detect(got, labels, rules, spec)) == count(detect(truth, labels, rules, spec))
    joined = np.concatenate(errors)
    return Parity(float(joined.max()), float(joined.mean()), same / len(clips))


def demand(parity: Parity, name: str, tolerance: float = TOLERANCE) -> None:
    """Raise ValueError where the largest error exceeds `tolerance`."""
    if not parity.error <= tolerance:
        raise ValueError(f"{name}: expected the network's scores within {tolerance:g}, got {parity.error:.2e} apart")
