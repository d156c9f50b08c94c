"""From feature frames to scores: what stateful and windowed models share.

A scorer collects frames until a step is full, runs the graph, and moves on. It runs the same fixed steps however the
frames are cut into blocks, so the scores are the same to the last bit::

    blocks      |-----|--|------------|---|----- …
    steps       |---length---|                      after a step the scorer moves on by `hop` frames:
                     |---length---|                 overlap where hop < length,
                          |---length---|            skipped frames where hop > length

The zero of all grids is the start of the epoch: after a reset in its middle, frames are skipped up to the next multiple
of `grid`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from edge.blocks import FeatureBlock, Float32, ScoreBlock
from edge.errors import EngineError
from edge.inference.card import Card
from edge.inference.graph import Graph, Shared


class Sheet:
    """Rows gathered during one push, in arrays made once for it."""

    def __init__(self, graph: Graph, rows: int) -> None:
        self._graph, self._used = graph, 0
        self._scores = np.empty((rows, graph.scores.shape[1]), np.float32)
        self._embeddings = _like(graph.embeddings, rows)
        self._clip = _like(graph.clip, rows)

    @property
    def rows(self) -> int:
        """How many rows were gathered."""
        return self._used

    def add(self, first: int, stop: int) -> None:
        """Copy rows ``first … stop − 1`` of the graph's last step."""
        at = slice(self._used, self._used + max(0, stop - first))
        for mine, its in (
            (self._scores, self._graph.scores),
            (self._embeddings, self._graph.embeddings),
            (self._clip, self._graph.clip),
        ):
            if mine is not None and its is not None and stop > first:
                mine[at] = its[first:stop]
        self._used = at.stop

    def block(self, epoch: str, first: int, hop: int, rate: int, span: int) -> ScoreBlock:
        """The rows gathered, as a block."""
        used = slice(0, self._used)
        embeddings = None if self._embeddings is None else self._embeddings[used]
        clip = None if self._clip is None else self._clip[used]
        return ScoreBlock(epoch, first, hop, rate, self._scores[used], span, embeddings, clip)


class Scorer(ABC):
    """Frames in, scores out, for one stream.

    Parameters
    ----------
    card
        A validated card.
    shared
        The engine, with those who share it.
    silence
        What the front end gives for digital silence, ``[F]``, or a function that tells it when a flush needs it.
    """

    length: int  # frames per step
    hop: int  # frames from step to step
    grid: int  # frames; scores begin at multiples of it
    score_hop: int  # samples
    span: int  # samples

    def __init__(self, card: Card, shared: Shared, silence: Float32 | Callable[[], Float32]) -> None:
        self.graph = Graph(card, shared)
        self.card = card
        self._silence = silence
        self._feature_hop = card.frontend.hop if card.frontend else 1
        self._epoch: str | None = None

    def reset(self, epoch: str, first_frame: int) -> None:
        """Forget all and expect frame `first_frame` of `epoch` next."""
        self.graph.reset()
        self._epoch, self._next = epoch, first_frame
        self._drop = -first_frame % self.grid
        self._fill = self._frames = self._steps = 0
        self._row = (first_frame + self._drop) * self._feature_hop // self.score_hop

    def push(self, block: FeatureBlock) -> ScoreBlock:
        """Take frames ``[T, F]`` and give the scores that they complete.

        Raises
        ------
        EngineError
            The block does not continue the last one or does not fit the model; the runtime failed.
        """
        self._join(block)
        count = len(block.frames)
        waiting = self._drop + self.length - self._fill
        steps = 0 if count < waiting else 1 + (count - waiting) // self.hop
        sheet = Sheet(self.graph, steps * self.graph.rows)
        at = 0
        while at < count:
            at += self._take(block.frames[at:])
            if self._fill == self.length:
                self._step(sheet)
        return self._give(sheet, block.epoch)

    def flush(self, padded: bool = True) -> ScoreBlock:
        """Give the scores still owed at the end of a piece; a `push` or `reset` begins the next one.

        Parameters
        ----------
        padded
            Also of a last window that silence fills up; without, only what speaks of real sound alone.
        """
        steps = self._owed(padded) if self._epoch is not None else 0
        sheet = Sheet(self.graph, steps * self.graph.rows)
        for _ in range(steps):
            row = self._silence() if callable(self._silence) else self._silence
            self._buffer[self._fill :] = row
            self._step(sheet)
        if self._epoch is None:
            return sheet.block("", 0, self.score_hop, self.card.input.rate, self.span)
        block = self._give(sheet, self._epoch)
        self._epoch = None
        return block

    @property
    @abstractmethod
    def _buffer(self) -> Float32:
        """Where a step's frames are gathered, ``[length, F]``."""

    @abstractmethod
    def _run(self) -> tuple[int, int]:
        """Run the graph on the full buffer and return the first and the stop of its rows to keep."""

    @abstractmethod
    def _owed(self, padded: bool) -> int:
        """Steps to run at a flush."""

    def _join(self, block: FeatureBlock) -> None:
        if self._epoch is None:
            self.reset(block.epoch, block.first_frame)
        if block.epoch != self._epoch or block.first_frame != self._next:
            raise EngineError(
                f"scorer: expected frame {self._next} of epoch {self._epoch}, got frame {block.first_frame} of epoch "
                f"{block.epoch}; call flush() and reset() where frames are missing"
            )
        expected = (self.card.input.rate, self._feature_hop, self.graph.frames.shape[1])
        got = (block.rate, block.hop, block.frames.shape[1])
        if expected != got:
            raise EngineError(f"scorer: expected frames of (rate, hop, features) = {expected}, got {got}")
        self._next += len(block.frames)

    def _take(self, frames: Float32) -> int:
        """Drop what lies before the next step, gather what belongs to it; return how many frames were used."""
        drop = min(self._drop, len(frames))
        used = min(self.length - self._fill, len(frames) - drop)
        self._buffer[self._fill : self._fill + used] = frames[drop : drop + used]
        self._drop -= drop
        self._fill += used
        self._frames += used
        return drop + used

    def _step(self, sheet: Sheet) -> None:
        first, stop = self._run()
        sheet.add(first, stop)
        self._row += max(0, stop - first)
        self._steps += 1
        overlap = max(0, self.length - self.hop)
        self._buffer[:overlap] = self._buffer[self.length - overlap :]
        self._fill, self._drop = overlap, max(0, self.hop - self.length)

    def _give(self, sheet: Sheet, epoch: str) -> ScoreBlock:
        first = self._row - sheet.rows
        return sheet.block(epoch, first, self.score_hop, self.card.input.rate, self.span)


def _like(rows: Float32 | None, count: int) -> Float32 | None:
    return None if rows is None else np.empty((count, rows.shape[1]), np.float32)
