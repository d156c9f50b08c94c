"""Scores of whole recordings by a network as it was trained: offline, in float."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge.frontend.stream import FrontEnd
from training.losses.frame_clip import pooled

Float32 = npt.NDArray[np.float32]


class Scored(NamedTuple):
    """Probabilities of one recording: frames ``[T, C]``, the whole of it ``[C]``, and, where the network pools them, of
    the windows that end with each frame ``[T, C]``.
    """

    frame: Float32
    clip: Float32
    running: Float32 | None = None


def features(front_end: FrontEnd, samples: Float32) -> Float32:
    """Features ``[T, F]`` of a recording, at least one frame: behind one that is shorter is silence."""
    short = front_end.spec.reach - len(samples)
    return front_end.transform(np.pad(samples, (0, short)) if short > 0 else samples)


@torch.no_grad()
def scored(model: nn.Module, front_end: FrontEnd, samples: Float32) -> Scored:
    """Score one recording; the model should be in evaluation mode."""
    frames = features(front_end, samples)
    missing = _least(model) - len(frames)
    if missing > 0:  # shorter than the network's steps: the last frame goes on, as at the end of a stream
        frames = np.concatenate([frames, np.repeat(frames[-1:], missing, 0)])
    return _scored(model, torch.from_numpy(frames)[None])


def _least(model: nn.Module) -> int:
    """Frames of a network's shortest step; of one for windows only, those of which its poolings leave one."""
    step = int(getattr(model, "chunk", 1))
    return step if step > 1 else math.prod(int(getattr(layer, "time_stride", 1)) for layer in model.modules())


@torch.no_grad()
def scored_embedding(model: nn.Module, values: Float32) -> Scored:
    """Score the embeddings ``[T, D]`` of one recording, by a network that takes them in place of features."""
    return _scored(model, torch.from_numpy(values.T[None, :, :, None].copy()))


def _scored(model: nn.Module, inputs: Tensor) -> Scored:
    scores = model(inputs.to(next(model.parameters()).device))
    running = None if scores.clip is None else scores.clip[0].float().cpu().numpy()
    return Scored(scores.frame[0].float().cpu().numpy(), pooled(scores)[0].float().cpu().numpy(), running)
