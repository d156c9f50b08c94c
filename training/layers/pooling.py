"""Max and average pooling over time and frequency."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor
from torch.nn import functional

from training.layers.streaming import Timeline
from training.layers.windowed import Lookahead, Windowed


class Pool(Windowed):
    """Base: windows of `kernel` (time, frequency) at `stride`; in frequency a rest is dropped.

    Parameters
    ----------
    stride
        As `kernel` where it is not given.
    lookahead
        Frames behind its own that an output frame sees, where windows overlap in time.
    pad
        Bands of padding on both sides, at most half the kernel.
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int] | None = None,
        lookahead: Lookahead = 0,
        padding: float = 0.0,
        pad: int = 0,
    ) -> None:
        stride = stride or kernel
        super().__init__(kernel[0], stride[0], lookahead, padding)
        self.kernel, self.stride, self.pad = kernel, stride, pad

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """Channels and bands of the output."""
        bands = (timeline.bands + 2 * self.pad - self.kernel[1]) // self.stride[1] + 1
        if bands < 1:
            raise self.refuse(f"expected at least {self.kernel[1]} bands, got {timeline.bands}")
        return timeline.channels, bands


class MaxPool(Pool):
    """Largest value of each window; outside the clip stands −∞, which never wins."""

    def __init__(
        self, kernel: tuple[int, int], stride: tuple[int, int] | None = None, lookahead: Lookahead = 0, pad: int = 0
    ) -> None:
        super().__init__(kernel, stride, lookahead, -math.inf, pad)

    def window(self, x: Tensor) -> Tensor:
        """Pool padded frames."""
        return functional.max_pool2d(x, self.kernel, self.stride, (0, self.pad))


class AveragePool(Pool):
    """Mean of each window, zeros outside the clip included."""

    def window(self, x: Tensor) -> Tensor:
        """Pool padded frames."""
        return functional.avg_pool2d(x, self.kernel, self.stride, (0, self.pad))

    def multiplications(self) -> int:
        """One per value of the window."""
        return self.after.channels * self.after.bands * math.prod(self.kernel)


class Decimate(Windowed):
    """First frame and band of each `stride` (time, frequency): what a 1×1 convolution with strides looks at."""

    def __init__(self, stride: tuple[int, int]) -> None:
        super().__init__(stride[0], stride[0], 0)
        self.stride = stride

    def window(self, x: Tensor) -> Tensor:
        """Leave out all others."""
        whole = x.shape[2] // self.time_stride * self.time_stride
        return functional.max_pool2d(x[:, :, :whole], 1, self.stride)

    def plan(self, timeline: Timeline) -> Timeline:
        """A frame hears nothing of the frames that are left out behind its own."""
        left_out = (self.time_stride - 1) * timeline.rate
        return replace(super().plan(timeline), ahead=timeline.ahead - left_out)

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """Channels and bands of the output."""
        return timeline.channels, -(-timeline.bands // self.stride[1])
