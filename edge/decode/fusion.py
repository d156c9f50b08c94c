"""Late fusion: the scores of several models of the same classes as one, a weighted mean (cards 28, 32).

finest    0 1 2 3 4 5 6 7 8       the model that scores most often gives the grid, and the length of a score
slower    |--0--|--1--|--2--      a score is held until the next one begins
fused       0 1 2 3 4 5 6         where all have spoken: from the latest first score of a piece to its end

Scores meet by their first samples since the epoch's start, in exact integers, so the fused ones depend on nothing else.
Each comes with the last of those that it is made of: it waits as long as the model that waits longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge.blocks import Float32, ScoreBlock

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


class Grid(NamedTuple):
    """Where a model's scores lie: score k speaks of samples k · hop to k · hop + span at `rate`."""

    hop: int
    rate: int
    span: int


class Fusion:
    """Scores of several models in, their weighted mean out, for one stream.

    Parameters
    ----------
    grids
        Of each model's scores.
    weights
        Of each model, 0 and more, not all 0: they are divided by their sum. Equal where there are none.

    Attributes
    ----------
    grid
        Of the fused scores.
    """

    def __init__(self, grids: Sequence[Grid], weights: Sequence[float] = ()) -> None:
        self._weights = shares(weights, len(grids))
        self._finest = min(range(len(grids)), key=lambda number: grids[number].hop / grids[number].rate)
        self.grid = grids[self._finest]
        self._grids = list(grids)
        self.reset("")

    def reset(self, epoch: str) -> None:
        """Forget the past: a piece of `epoch` begins."""
        self._epoch = epoch
        self._told = [_Told() for _ in self._grids]
        self._next: int | None = None

    def push(self, number: int, block: ScoreBlock) -> None:
        """Learn scores ``[T, C]`` of a model; they join those before."""
        self._told[number].add(block)

    def take(self, final: bool = False) -> ScoreBlock | None:
        """Give the scores that are complete; None where none are.

        Parameters
        ----------
        final
            At the end of a piece: a last score is held for as long as it speaks of.
        """
        if any(not told.stop for told in self._told):
            return None
        first = max(self._frame(n, told.first) for n, told in enumerate(self._told))
        first = max(first, self._next or 0)
        stop = min(self._stop(number, final) for number in range(len(self._told)))
        if stop <= first:
            return None
        frames, self._next = np.arange(first, stop, dtype=np.int64), stop
        scores = self._mean([told.scores for told in self._told], frames)
        given = [told.clip for told in self._told]
        clips = [clip for clip in given if clip is not None]
        clip = self._mean(clips, frames) if len(clips) == len(given) else None
        for number, told in enumerate(self._told):
            told.forget(int(self._rows(number, frames[-1:])[0]))
        return ScoreBlock(self._epoch, first, self.grid.hop, self.grid.rate, scores, self.grid.span, clip=clip)

    def _stop(self, number: int, final: bool) -> int:
        """The first frame that a model says nothing of so far, or at all."""
        told, grid = self._told[number], self._grids[number]
        last = self._frame(number, told.stop)
        if not final or number == self._finest:
            return last
        end = ((told.stop - 1) * grid.hop + max(grid.span, grid.hop)) * self.grid.rate
        return max(last, -(-end // (self.grid.hop * grid.rate)))

    def _frame(self, number: int, row: int) -> int:
        """The first frame that begins with a model's score, or behind its beginning."""
        grid = self._grids[number]
        return -(-row * grid.hop * self.grid.rate // (self.grid.hop * grid.rate))

    def _rows(self, number: int, frames: Int64) -> Int64:
        """The model's scores that hold in `frames`."""
        grid = self._grids[number]
        rows = frames * (self.grid.hop * grid.rate) // (self.grid.rate * grid.hop)
        return np.minimum(rows, self._told[number].stop - 1)

    def _mean(self, parts: Sequence[Float32], frames: Int64) -> Float32:
        total = np.zeros((len(frames), parts[0].shape[1]))
        for number, (told, part) in enumerate(zip(self._told, parts, strict=True)):
            total += self._weights[number] * part[self._rows(number, frames) - told.first]
        return total.astype(np.float32)


class _Told:
    """The scores of one model that are still needed: rows `first` to `stop`."""

    def __init__(self) -> None:
        self.first = self.stop = 0
        self.scores: Float32 = np.zeros((0, 0), np.float32)
        self.clip: Float32 | None = None

    def add(self, block: ScoreBlock) -> None:
        if not len(block.scores):
            return
        if not self.stop:
            self.first, self.scores, self.clip = block.first_frame, block.scores, block.clip
        else:
            self.scores = np.concatenate([self.scores, block.scores])
            if self.clip is not None and block.clip is not None:
                self.clip = np.concatenate([self.clip, block.clip])
        self.stop = block.first_frame + len(block.scores)

    def forget(self, before: int) -> None:
        drop = max(0, before - self.first)
        self.first, self.scores = self.first + drop, self.scores[drop:]
        self.clip = None if self.clip is None else self.clip[drop:]


def fused(blocks: Sequence[ScoreBlock], weights: Sequence[float] = ()) -> ScoreBlock:
    """The scores of one whole piece by several models, as one.

    Raises
    ------
    ValueError
        No moment of which all of them speak.
    """
    fusion = Fusion([Grid(block.hop, block.rate, block.span) for block in blocks], weights)
    fusion.reset(blocks[0].epoch)
    for number, block in enumerate(blocks):
        fusion.push(number, block)
    whole = fusion.take(final=True)
    if whole is None:
        raise ValueError("fusion: expected scores that speak of a common moment, got none; is the recording too short?")
    return whole


def shares(weights: Sequence[float], count: int) -> Float64:
    """Weights that sum to 1.

    >>> shares([2, 1, 1], 3).tolist(), shares([], 4).tolist()
    ([0.5, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25])
    """
    given: Float64 = np.array(weights or [1.0] * count, np.float64)
    if len(given) != count or not (given >= 0).all() or not 0 < given.sum() < np.inf:
        raise ValueError(f"Expected {count} weights of 0 and more, not all 0, got {[*map(float, weights)]}")
    return np.asarray(given / given.sum(), np.float64)
