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

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from edge.blocks import FeatureBlock, Float32, ScoreBlock
from edge.errors import EngineError
from edge.inference.card import Card, Stateful
from edge.inference.engine import Array, Engine

TOLERANCE = 1e-3  # quantised or rounded probabilities may pass 0 and 1 by so much


class Graph:
    """One stream's hold on a shared engine: its input buffer, its state, and the scores of the last step.

    Attributes
    ----------
    frames
        View ``[context + T, F]`` into the input tensor, whatever its layout: write a step's frames here.
    scores
        ``[rows, C]``, probabilities of the last step.
    embeddings, clip
        ``[rows, D]`` and ``[rows, C]`` of the last step, or None.
    """

    def __init__(self, card: Card, engine: Engine, lock: threading.Lock) -> None:
        self._engine, self._lock, self._card = engine, lock, card
        self.feeds = initial_feeds(card, engine)
        self.frames = frame_view(self.feeds[card.input.tensor], card.input.layout)
        classes = len(card.labels)
        self.rows = int(np.prod(engine.outputs[card.output.scores].shape)) // classes
        self.scores = np.zeros((self.rows, classes), np.float32)
        self.embeddings = self._side(card.output.embedding)
        self.clip = self._side(card.output.clip)
        self._states = list(card.stream.states) if isinstance(card.stream, Stateful) else []

    def reset(self) -> None:
        """Return to the initial state and to a context of zeros."""
        fill_initial(self._card, self.feeds)

    def run(self) -> None:
        """Run one step: `frames` and the states in, `scores` and the states out.

        Raises
        ------
        EngineError
            The runtime failed, or the scores are no probabilities.
        """
        output = self._card.output
        with self._lock:
            results = self._engine.run(self.feeds)
            self.scores[:] = results[output.scores].reshape(self.scores.shape)
            for side, name in ((self.embeddings, output.embedding), (self.clip, output.clip)):
                if side is not None:
                    side[:] = results[name].reshape(-1, side.shape[1])
            for state in self._states:
                np.copyto(self.feeds[state.input], results[state.output])
        activate(self.scores, output.activation)
        if self.clip is not None:
            activate(self.clip, output.activation)
        self._verify()

    def _side(self, name: str) -> Float32 | None:
        return np.zeros((self.rows, self._engine.outputs[name].shape[-1]), np.float32) if name else None

    def _verify(self) -> None:
        low, high = float(self.scores.min()), float(self.scores.max())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # so written, NaN is caught too
            raise EngineError(
                f"model {self._card.name}: expected probabilities 0 to 1 from `{self._card.output.scores}`, "
                f"got {low:g} to {high:g}; for logits the card must say output.activation = 'sigmoid' or 'softmax'"
            )
        np.maximum(self.scores, 0.0, out=self.scores)
        np.minimum(self.scores, 1.0, out=self.scores)


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
    engine, lock
        The engine and the lock of those who share it.
    silence
        What the front end gives for digital silence, ``[F]``, or a function that tells it when a flush needs it.
    """

    length: int  # frames per step
    hop: int  # frames from step to step
    grid: int  # frames; scores begin at multiples of it
    score_hop: int  # samples
    span: int  # samples

    def __init__(
        self, card: Card, engine: Engine, lock: threading.Lock, silence: Float32 | Callable[[], Float32]
    ) -> None:
        self.graph = Graph(card, engine, lock)
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

    def flush(self) -> ScoreBlock:
        """Give the scores still owed at the end of a piece; a `push` or `reset` begins the next one."""
        steps = self._owed() if self._epoch is not None else 0
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
    def _owed(self) -> int:
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


def frame_view(tensor: Array, layout: str) -> Float32:
    """View of an input tensor as ``[T, F]``: what is written there stands in the tensor in its own layout.

    >>> x = np.zeros((1, 3, 2, 1), np.float32)
    >>> frame_view(x, "BFTC").shape
    (2, 3)
    """
    view = tensor[tuple(slice(None) if axis in "TF" else 0 for axis in layout)]
    if "F" not in layout:
        return view[:, np.newaxis]
    if "T" not in layout:
        return view[np.newaxis, :]
    return view.T if layout.index("F") < layout.index("T") else view


def initial_feeds(card: Card, engine: Engine) -> dict[str, Array]:
    """Fresh buffers for every input of the graph, holding what they hold at a reset."""
    feeds = {name: np.zeros(info.shape, info.dtype) for name, info in engine.inputs.items()}
    for constant in card.input.constants:
        target = feeds[constant.tensor]
        target[...] = np.asarray(constant.value, target.dtype).reshape(target.shape)
    fill_initial(card, feeds)
    return feeds


def fill_initial(card: Card, feeds: dict[str, Array]) -> None:
    """Put everything that a step changes back to its initial value."""
    feeds[card.input.tensor].fill(0)
    if not isinstance(card.stream, Stateful):
        return
    for state in card.stream.states:
        feeds[state.input].fill(state.initial)
    if card.stream.position:
        feeds[card.stream.position].fill(0)
    if card.stream.end:
        feeds[card.stream.end].fill(np.iinfo(feeds[card.stream.end].dtype).max)


def activate(scores: Float32, activation: str) -> None:
    """Turn logits ``[T, C]`` into probabilities in place."""
    if activation == "sigmoid":  # 1 / (1 + exp(−x)) without its overflow
        np.multiply(scores, 0.5, out=scores)
        np.tanh(scores, out=scores)
        np.add(scores, 1.0, out=scores)
        np.multiply(scores, 0.5, out=scores)
    elif activation == "softmax":
        np.subtract(scores, scores.max(axis=1, keepdims=True), out=scores)
        np.exp(scores, out=scores)
        np.divide(scores, scores.sum(axis=1, keepdims=True), out=scores)


def _like(rows: Float32 | None, count: int) -> Float32 | None:
    return None if rows is None else np.empty((count, rows.shape[1]), np.float32)
