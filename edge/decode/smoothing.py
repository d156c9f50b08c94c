"""Running filters over scores, each with its lookahead declared: median, moving average, rescaling."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge.blocks import Float32


class Centred(ABC):
    """Base: a filter over `width` frames around each frame of each column.

    Before the first and behind the last frame lie zeros. Output frame ``t`` needs input
    up to ``t + ahead``::

        input    t−ahead … t … t+ahead
        output             t             ahead = (width − 1) / 2 frames late

    Parameters
    ----------
    width
        Odd number of frames.
    columns
        Number of columns.
    """

    def __init__(self, width: int, columns: int) -> None:
        self.ahead = width // 2
        self._columns = columns
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._past = np.zeros((self.ahead, self._columns), np.float32)

    def push(self, scores: Float32) -> Float32:
        """Smoothed frames ``[T', C]`` that these ``[T, C]`` complete."""
        if not self.ahead:
            return scores
        x = np.concatenate([self._past, scores])
        width = 2 * self.ahead + 1
        self._past = x[max(0, len(x) - width + 1) :]
        if len(x) < width:
            return np.zeros((0, self._columns), np.float32)
        return self._smooth(x, width)

    def flush(self) -> Float32:
        """The last `ahead` frames, with silence behind them."""
        return self.push(np.zeros((self.ahead, self._columns), np.float32))

    @abstractmethod
    def _smooth(self, x: Float32, width: int) -> Float32:
        """Filter ``[n, C]`` to ``[n − width + 1, C]``."""


class Median(Centred):
    """The middle one of the frames, as ``scipy.signal.medfilt``."""

    def _smooth(self, x: Float32, width: int) -> Float32:
        # The middle of every window, by a view: `np.median` over `sliding_window_view` says the same ten times slower.
        step, item = x.strides
        windows = np.ndarray((len(x) - width + 1, self._columns, width), np.float32, x, 0, (step, item, step))
        smooth: Float32 = np.partition(windows, self.ahead)[..., self.ahead]
        return smooth


class Mean(Centred):
    """The mean of the frames: a moving average (card 12)."""

    def _smooth(self, x: Float32, width: int) -> Float32:
        count = len(x) - width + 1
        total = np.zeros((count, self._columns))
        for k in range(width):  # always in this order: the sum has the same last bit however the frames were cut
            total += x[k : k + count]
        return (total / width).astype(np.float32)


class Rescale:
    """The range of the last `width` frames becomes 0 … 1 (card 12, whose clip is here the past); no lookahead.

    Where all of them are equal, the score is 0.
    """

    ahead = 0

    def __init__(self, width: int, columns: int) -> None:
        self._width, self._columns = width, columns
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._past = np.zeros((0, self._columns), np.float32)

    def push(self, scores: Float32) -> Float32:
        """Rescaled frames ``[T, C]``."""
        if not len(scores):
            return scores
        x = np.concatenate([self._past, scores])
        missing = len(scores) + self._width - 1 - len(x)
        windows = sliding_window_view(np.concatenate([np.repeat(x[:1], missing, 0), x]), self._width, axis=0)
        self._past = x[max(0, len(x) - self._width + 1) :]
        low, high = windows.min(-1), windows.max(-1)
        flat = high == low
        scaled: Float32 = np.where(flat, np.float32(0), (scores - low) / np.where(flat, np.float32(1), high - low))
        return scaled

    def flush(self) -> Float32:
        """Nothing is owed."""
        return np.zeros((0, self._columns), np.float32)
