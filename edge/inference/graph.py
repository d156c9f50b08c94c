"""One model on one engine, shared by streams: each writes frames, runs steps, reads scores, and has its own state.

The engine carries the state of whoever ran it last. Another stream takes its turn by changing states::

    stream   A   A   A   B   B   A
    engine   a ─▶a ─▶a │ b ─▶b │ a ─▶      at │ the one's state is put aside and the other's is put in
"""

from __future__ import annotations

import threading

import numpy as np

from edge.blocks import Float32
from edge.errors import EngineError
from edge.inference.card import Card, Stateful
from edge.inference.engine import Array, Engine
from edge.inference.layer import corrected

TOLERANCE = 1e-3  # quantised or rounded probabilities may pass 0 and 1 by so much
ONE = np.float32(1).view(np.uint32)


class Shared:
    """An engine with its last layer, where one was fitted, the lock of those who share it, and whose state it holds."""

    def __init__(self, card: Card, engine: Engine, weights: Float32 | None = None) -> None:
        states = card.stream.states if isinstance(card.stream, Stateful) else []
        engine.carry({state.input: state.output for state in states})
        self.engine, self.lock, self.weights = engine, threading.Lock(), weights
        self.holder: Graph | None = None


class Graph:
    """One stream's hold on a shared engine: its input buffer, its state, and the scores of the last step.

    Attributes
    ----------
    feeds
        What every step is fed, by name, the state excepted.
    frames
        View ``[context + T, F]`` into the input tensor, whatever its layout: write a step's frames here.
    scores
        ``[rows, C]``, probabilities of the last step.
    embeddings, clip
        ``[rows, D]`` and ``[rows, C]`` of the last step, or None.
    """

    def __init__(self, card: Card, shared: Shared) -> None:
        self._shared, self._card = shared, card
        engine = shared.engine
        feeds = initial_feeds(card, engine)
        self._state = {name: feeds.pop(name) for name in engine.carried}
        self.feeds = feeds
        self.frames = frame_view(self.feeds[card.input.tensor], card.input.layout)
        classes = len(card.labels)
        self.rows = int(np.prod(engine.outputs[card.output.scores].shape)) // classes
        self.scores = np.zeros((self.rows, classes), np.float32)
        self._bits = self.scores.view(np.uint32)
        self.embeddings = self._side(card.output.embedding)
        self.clip = self._side(card.output.clip)
        sides = ((self.embeddings, card.output.embedding), (self.clip, card.output.clip))
        self._sides = [(side, name) for side, name in sides if side is not None]

    def reset(self) -> None:
        """Return to the initial state and to a context of zeros."""
        with self._shared.lock:
            if self._shared.holder is self:
                self._shared.holder = None  # what it holds is of no use any more
            fill_initial(self._card, self.feeds | self._state)

    def run(self) -> None:
        """Run one step: `frames` in, `scores` out; the state goes on.

        Raises
        ------
        EngineError
            The runtime failed, or the scores are no probabilities.
        """
        output, shared = self._card.output, self._shared
        with shared.lock:
            if shared.holder is not self:
                self._take()
            results = shared.engine.run(self.feeds)
            self.scores[...] = results[output.scores].reshape(self.scores.shape)
            for side, name in self._sides:
                side[...] = results[name].reshape(-1, side.shape[1])
        if output.activation != "probabilities":
            activate(self.scores, output.activation)
            if self.clip is not None:
                activate(self.clip, output.activation)
        if (
            self._bits.max() > ONE
        ):  # as integers, the floats 0 … 1 are those up to that of 1; negative ones and NaN above
            self._verify()
        if shared.weights is not None and self.embeddings is not None:
            self.scores[...] = corrected(self.scores, self.embeddings, shared.weights)

    def _take(self) -> None:
        """Put the state aside that the engine holds, and this stream's in."""
        held, holder = self._shared.engine.carried, self._shared.holder
        if holder is not None:
            for name, kept in holder._state.items():
                np.copyto(kept, held[name])
        for name, kept in self._state.items():
            np.copyto(held[name], kept)
        self._shared.holder = self

    def _side(self, name: str) -> Float32 | None:
        outputs = self._shared.engine.outputs
        return np.zeros((self.rows, outputs[name].shape[-1]), np.float32) if name else None

    def _verify(self) -> None:
        low, high = float(self.scores.min()), float(self.scores.max())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # so written, NaN is caught too
            raise EngineError(
                f"model {self._card.name}: expected probabilities 0 to 1 from `{self._card.output.scores}`, "
                f"got {low:g} to {high:g}; for logits the card must say output.activation = 'sigmoid' or 'softmax'"
            )
        np.clip(self.scores, 0.0, 1.0, out=self.scores)


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
