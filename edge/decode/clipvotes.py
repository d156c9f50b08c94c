"""What clips say, for all their frames: events as long as the clips that have the class (card 43, SED1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.blocks import Float32

UNIT = 2.0**40  # scores are added up as whole numbers, whose sum is the same in any order and however they were cut


class ClipVotes:
    """A frame's score is the mean clip score of the windows that hold it.

    A network pools its clip scores over a window that ends with each frame::

        windows of 4 frames   ├──┤                each says its clip score
                               ├──┤
                                ├──┤
        votes on a frame      1 2 3 3 2 1         of windows that lie inside the piece

    A piece no longer than a window has one vote, that of all of it: it becomes one event, or none. In an endless stream
    every stretch of a window's length is a clip, and a frame is decided by all those that it lies in.

    Parameters
    ----------
    window
        Frames, at least 1.
    columns
        Number of columns.
    """

    def __init__(self, window: int, columns: int) -> None:
        self.ahead = window - 1
        self._columns = columns
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._first = 0  # frame of the piece that is decided next
        self._votes: npt.NDArray[np.int64] = np.zeros((0, self._columns), np.int64)  # from it on

    def push(self, scores: Float32, clips: Float32) -> Float32:  # noqa: ARG002 - as the gate is asked
        """Frames ``[T', C]`` that these clip scores ``[T, C]`` decide."""
        new = np.rint(clips.astype(np.float64) * UNIT).astype(np.int64)
        self._votes = np.concatenate([self._votes, new])
        return self._decide(len(self._votes) - self.ahead)

    def flush(self) -> Float32:
        """The last frames, by the windows that there are."""
        return self._decide(len(self._votes))

    def _decide(self, count: int) -> Float32:
        if count <= 0:
            return np.zeros((0, self._columns), np.float32)
        heard = self._first + len(self._votes)
        frames = np.arange(self._first, self._first + count)
        start = np.maximum(frames, min(self.ahead, heard - 1)) - self._first  # a shorter window is no clip, unless all
        stop = np.minimum(frames + self.ahead + 1, heard) - self._first
        sums = np.concatenate([np.zeros_like(self._votes[:1]), self._votes.cumsum(0)])
        mean: Float32 = ((sums[stop] - sums[start]) / ((stop - start)[:, None] * UNIT)).astype(np.float32)
        self._first, self._votes = self._first + count, self._votes[count:]
        return mean
