"""Max and average pooling over time and frequency."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from training.layers.streaming import Timeline
from training.layers.windowed import Lookahead, Windowed


class Pool(Windowed):
    """Base: windows of `kernel` (time, frequency) at `stride`; in frequency there is no padding, a rest is dropped.

    Parameters
    ----------
    stride
        As `kernel` where it is not given.
    lookahead
        Frames behind its own that an output frame sees, where windows overlap in time.
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int] | None = None,
        lookahead: Lookahead = 0,
        padding: float = 0.0,
    ) -> None:
        self.kernel, self.stride = kernel, stride or kernel
        stride = stride or kernel
        super().__init__(kernel[0], stride[0], lookahead, padding)
        self.kernel, self.stride = kernel, stride

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """Channels and bands of the output."""
        bands = (timeline.bands - self.kernel[1]) // self.stride[1] + 1
        if bands < 1:
            raise self.refuse(f"expected at least {self.kernel[1]} bands, got {timeline.bands}")
        return timeline.channels, bands


class MaxPool(Pool):
    """Largest value of each window; outside the clip stands −∞, which never wins."""

    def __init__(
        self, kernel: tuple[int, int], stride: tuple[int, int] | None = None, lookahead: Lookahead = 0
    ) -> None:
        super().__init__(kernel, stride, lookahead, -math.inf)

    def window(self, x: Tensor) -> Tensor:
        """Pool padded frames."""
        return functional.max_pool2d(x, self.kernel, self.stride)


class AveragePool(Pool):
    """Mean of each window, zeros outside the clip included."""

    def window(self, x: Tensor) -> Tensor:
        """Pool padded frames."""
        return functional.avg_pool2d(x, self.kernel, self.stride)

    def multiplications(self) -> int:
        """One per value of the window."""
        return self.after.channels * self.after.bands * math.prod(self.kernel)
