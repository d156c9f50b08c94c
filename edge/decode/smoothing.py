"""A running median over scores, centred, with its lookahead declared."""

from __future__ import annotations

import numpy as np

from edge.blocks import Float32


class Median:
    """Centred median of `width` frames over each column.

    Before the first and behind the last frame lie zeros, as in ``scipy.signal.medfilt``. Output frame ``t`` needs input
    up to ``t + half``::

        input    t−half … t … t+half
        output            t             half = (width − 1) / 2 frames late

    Parameters
    ----------
    width
        Odd number of frames.
    columns
        Number of columns.
    """

    def __init__(self, width: int, columns: int) -> None:
        self.half = width // 2
        self._columns = columns
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._past = np.zeros((self.half, self._columns), np.float32)

    def push(self, scores: Float32) -> Float32:
        """Smoothed frames ``[T', C]`` that these ``[T, C]`` complete."""
        if not self.half:
            return scores
        x = np.concatenate([self._past, scores])
        width = 2 * self.half + 1
        self._past = x[max(0, len(x) - width + 1) :]
        if len(x) < width:
            return np.zeros((0, self._columns), np.float32)
        # The middle of every window, by a view: `np.median` over `sliding_window_view` says the same ten times slower.
        step, item = x.strides
        windows = np.ndarray((len(x) - width + 1, self._columns, width), np.float32, x, 0, (step, item, step))
        smooth: Float32 = np.partition(windows, self.half)[..., self.half]
        return smooth

    def flush(self) -> Float32:
        """The last `half` frames, with silence behind them."""
        return self.push(np.zeros((self.half, self._columns), np.float32))
