"""Binary cross-entropy of windows beside one another, of each of which is known whether a class sounds in it.

scores    ▁▁▂▇▇▅▁▁│▁▁▁▁▁▂▁▁│▁▁▁▅▇▇▇▇       pooled window by window, by linear softmax
labels        ✓   │   –    │   ✓           copied to the frames of their window by the sampler `windows`

The network hears them in one piece, as it will hear a recording; cut apart, each would begin and end in silence.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.frame_clip import at_rate, bce, linear_softmax
from training.losses.registry import LOSSES, Loss
from training.registry import Settings


class WindowsSettings(Settings):
    """What an example is cut into.

    Attributes
    ----------
    windows
        Of an example, equally long; as many as the sampler puts into it.
    smoothing
        Targets are drawn in by this much from 0 and 1.
    """

    windows: Annotated[int, Meta(ge=1)] = 4
    smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.01


@LOSSES.register("windows", WindowsSettings)
def windows(settings: WindowsSettings, classes: int) -> Loss:  # noqa: ARG001 - the role's signature
    """Return the mean over windows and classes of the cross-entropy of pooled scores.

    Raises
    ------
    ValueError
        A batch without targets of frames, or with fewer frames than windows.
    """

    def loss(scores: Scores, batch: Batch) -> Tensor:
        if batch.frame is None:
            raise ValueError("loss: expected targets of frames, which `windows` sampling gives, got a batch without")
        parts = pieces(scores.frame, settings.windows)
        targets = pieces(at_rate(batch.frame, scores), settings.windows)
        pooled = torch.stack([linear_softmax(part) for part in parts], 1)
        return bce(pooled, torch.stack([part.amax(1) for part in targets], 1), settings.smoothing)

    return loss


def pieces(frames: Tensor, count: int) -> list[Tensor]:
    """Cut ``[B, T, C]`` into windows as equal as can be.

    Raises
    ------
    ValueError
        Fewer frames than windows.
    """
    total = frames.shape[1]
    if total < count:
        raise ValueError(f"loss: expected at least a frame for each of {count} windows, got {total} frames")
    edges = [round(k * total / count) for k in range(count + 1)]
    return [frames[:, first:stop] for first, stop in pairwise(edges)]
