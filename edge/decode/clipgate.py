"""What the clip says, the frames must keep to: no event of a class that the clip's score denies (card 19)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge.blocks import Float32


class ClipGate:
    """Frames keep their scores where a clip score of their class, from then to `ahead` frames later, is high enough.

    A network pools its clip scores over a window that ends with each frame: a sound is in those of the next `ahead`
    frames, and hardly in that of its first one::

        frame scores   ▁▁▇▇▇▁▁▁▁▁▁▁▁
        clip scores    ▁▁▂▃▅▅▅▅▅▅▂▁▁      each of the last 8 frames
        gate           ├────────┤         open for what lies `ahead` or less before a high clip score

    Parameters
    ----------
    on
        Least clip scores ``[C]``.
    ahead
        Frames.
    """

    def __init__(self, on: Float32, ahead: int) -> None:
        self.ahead, self._on = ahead, on
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._scores = self._clips = np.zeros((0, len(self._on)), np.float32)

    def push(self, scores: Float32, clips: Float32) -> Float32:
        """Frames ``[T', C]`` that these scores of frames and clips ``[T, C]`` decide."""
        self._scores, self._clips = np.concatenate([self._scores, scores]), np.concatenate([self._clips, clips])
        return self._decide(len(self._scores) - self.ahead)

    def flush(self) -> Float32:
        """The last frames, by the clip scores that there are."""
        self._clips = np.pad(self._clips, ((0, self.ahead), (0, 0)), constant_values=-1)
        return self._decide(len(self._scores))

    def _decide(self, count: int) -> Float32:
        if count <= 0:
            return self._scores[:0]
        highest = sliding_window_view(self._clips, self.ahead + 1, axis=0)[:count].max(-1)
        kept: Float32 = np.where(highest >= self._on, self._scores[:count], np.float32(0))
        self._scores, self._clips = self._scores[count:], self._clips[count:]
        return kept
