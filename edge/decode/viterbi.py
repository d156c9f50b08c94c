"""Two states, sounding or not: the most likely path through the scores, as they come, with a fixed lag.

How much better the best path is that ends in *sounding* than the best one that ends in *not*, in nats, is one number
that walks with the scores between two barriers:

    walk  ┄┄┄┄┄┄┄┄┄┄┄┄╭──╮┄┄┄┄  log(stay off / leave on)     beyond it both best paths came from *sounding*:
         0 ──╮   ╭────╯  ╰─╮                                  all frames that were open are decided so
          ┄┄┄╰───╯┄┄┄┄┄┄┄┄┄╰──  log(leave off / stay on)     below it they came from *not*

Between the barriers neither path changes its state, so open frames are all in one state. A frame whose walk meets no
barrier within the lag is decided by the sign of the walk there: the most likely path so far.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.blocks import Float32

NEAR = 1e-6  # scores are kept so far from 0 and 1: no frame is certain
Float64 = npt.NDArray[np.float64]


class TwoState:
    """Moves each score as little as puts it on its path's side of the thresholds.

    A frame that sounds keeps its score or rises to `on`; one that does not falls below `off`.

    Parameters
    ----------
    on, off
        Thresholds ``[C]``; a score of `on` speaks for neither state. The first frame's states are as likely.
    leave_on, leave_off
        Probability ``[C]`` that a frame ends the state it was in, 0 … ½.
    lag
        Frames behind a frame that decide it.
    """

    def __init__(self, on: Float32, off: Float32, leave_on: Float64, leave_off: Float64, lag: int) -> None:
        self.ahead = lag
        self._on, self._below = on, np.nextafter(off, np.float32(-1))
        self._neutral = _logit(on)
        stay_on, stay_off = np.log1p(-leave_on), np.log1p(-leave_off)
        self._low, self._high = np.log(leave_off) - stay_on, stay_off - np.log(leave_on)
        self._drift = stay_on - stay_off
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        columns = len(self._on)
        self._walk: Float64 | None = None
        self._scores = np.zeros((0, columns), np.float32)
        self._leads = np.zeros((0, columns), np.bool_)
        self._met = np.zeros((0, columns), np.int8)

    def push(self, scores: Float32) -> Float32:
        """Frames ``[T', C]`` that these ``[T, C]`` decide."""
        self._follow(scores)
        return self._decide(len(self._scores) - self.ahead)

    def flush(self) -> Float32:
        """The last frames, by the most likely path to the end."""
        return self._decide(len(self._scores))

    def _follow(self, scores: Float32) -> None:
        """Walk on; of each frame, note which barrier the step to it met (1, −1 or 0), and the sign of the walk."""
        leads, met = np.zeros(scores.shape, np.bool_), np.zeros(scores.shape, np.int8)
        walk = self._walk
        for t, row in enumerate(scores):  # row by row, so that the same frames give the same bits in any block
            evidence = _logit(row) - self._neutral
            if walk is None:
                walk = evidence
            else:
                met[t] = (walk > self._high).astype(np.int8) - (walk < self._low)
                walk = np.minimum(np.maximum(walk, self._low), self._high) + self._drift + evidence
            leads[t] = walk > 0
        self._walk = walk
        self._scores = np.concatenate([self._scores, scores])
        self._leads, self._met = np.concatenate([self._leads, leads]), np.concatenate([self._met, met])

    def _decide(self, count: int) -> Float32:
        """Decide the first `count` frames that wait, and let them go."""
        if count <= 0:
            return self._scores[:0]
        waiting, last = len(self._scores), len(self._scores) - 1
        frames = np.arange(waiting)[:, None]
        # The first frame from each on that met a barrier; `waiting` where there is none.
        meets = np.minimum.accumulate(np.where(self._met != 0, frames, waiting)[::-1])[::-1]
        after = np.concatenate([meets[1:], np.full_like(meets[:1], waiting)])[:count]
        limit = np.minimum(frames[:count] + self.ahead, last)
        barrier = np.take_along_axis(self._met, np.minimum(after, last), 0) > 0
        sounds = np.where(after <= limit, barrier, np.take_along_axis(self._leads, limit, 0))
        scores = self._scores[:count]
        moved: Float32 = np.where(sounds, np.maximum(scores, self._on), np.minimum(scores, self._below))
        self._scores, self._leads, self._met = self._scores[count:], self._leads[count:], self._met[count:]
        return moved


def _logit(scores: Float32) -> Float64:
    p = np.clip(scores.astype(np.float64), NEAR, 1 - NEAR)
    odds: Float64 = np.log(p / (1 - p))
    return odds
