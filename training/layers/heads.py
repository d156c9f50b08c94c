"""Heads: from embeddings to probabilities of every frame, and of the window of frames that ends with it.

A pooling head is a weighted mean over the last `window` frames, or a maximum. It is exact and never accumulates for
ever: a ring keeps what each frame adds, and every step sums the window anew.

    frame     0   1   2   3   4   5   6            window 4
    clip[5]           └───────────┘                frames before 0 weigh nothing

With one frame in the window, clip scores are frame scores. Over a clip of at most `window` frames, the last clip score
is that of the whole clip.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.streaming import Clock, State, StreamLayer, Timeline, valid

LIMIT = 10.0  # attention logits are clamped to ±LIMIT, so that their exponentials can be summed (Kong et al. 2020)
LOWEST = -1e30  # what no embedding is below
LIGHTEST = 1e-7  # weight of a frame that a softmax or sigmoid leaves out, so that not all of a window are zero
TINY = 1e-20  # a weight that moves no mean, and keeps 0 / 0 from being asked

Weight = Literal["time", "classes", "sigmoid"]


class Scores(NamedTuple):
    """Probabilities ``[B, T, C]`` of frames, and of the windows that end with them where the head pools.

    A head of boundaries gives its symbols ``[B, T, 2C + 1]`` as well, for their loss; no file has them.
    """

    frame: Tensor
    clip: Tensor | None = None
    symbols: Tensor | None = None


class Head(StreamLayer):
    """Frame probabilities by one dense layer on ``[B, D, T, 1]``; base of the pooling heads."""

    def __init__(self, classify: nn.Linear) -> None:
        super().__init__()
        self.classify = classify

    def forward(self, x: Tensor) -> Scores:
        """Whole clip."""
        return Scores(rows(torch.sigmoid(dense(self.classify, x))))

    def plan(self, timeline: Timeline) -> Timeline:
        """Embeddings in, classes out."""
        size = self.embedding
        if (timeline.channels, timeline.bands) != (size, 1):
            got = f"{timeline.channels} channels of {timeline.bands} bands"
            raise self.refuse(f"expected an embedding of {size} channels of one band, got {got}")
        return replace(timeline, channels=self.classes)

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return self.classify.in_features

    @property
    def classes(self) -> int:
        """Channels of the output."""
        return self.classify.out_features

    @property
    def published(self) -> int:
        """How many of the input's channels, the first ones, are the embedding that a model gives out."""
        return self.embedding

    def vector(self, x: Tensor) -> Tensor:
        """Return the embedding that a model gives out, of the head's input ``[B, D, T, 1]``."""
        return x if x.shape[1] == self.published else x[:, : self.published]

    def multiplications(self) -> int:
        """Of all dense layers, per frame."""
        return sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear))


class PoolingHead(Head, ABC):
    """Base: frames are put into a ring ``[B, window − 1, 1, R]``, and windows of it are pooled.

    Parameters
    ----------
    classify
        The dense layer that gives one logit per class.
    window
        Frames.
    """

    def __init__(self, classify: nn.Linear, window: int) -> None:
        super().__init__(classify)
        if window < 1:
            raise ValueError(f"{type(self).__name__}: expected a window of 1 frame or more, got {window}")
        self.window = window

    def forward(self, x: Tensor) -> Scores:
        """Whole clip: all windows, those at the beginning shorter; in training the last window alone."""
        ring = self.ring(x)
        if self.training:
            last = ring[:, :, -self.window :]
            return self._scores(ring, functional.pad(last, (0, 0, self.window - last.shape[2], 0)))
        return self._scores(ring, functional.pad(ring, (0, 0, self.window - 1, 0)))

    def plan(self, timeline: Timeline) -> Timeline:
        """Frames before 0 must not enter the ring."""
        self.clocked = timeline.delay > 0 and self.window > 1
        after = super().plan(timeline)
        return replace(after, past=after.past + (self.window - 1) * after.rate)

    def init_state(self, batch: int) -> State:
        """Zeros: nothing was heard."""
        return {self.path: torch.zeros(batch, self.window - 1, 1, self.width)} if self.window > 1 else {}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Scores, State]:
        """Next frames."""
        ring = self.ring(x)
        if self.window == 1:
            return self._scores(ring, ring), {}
        entering = ring
        if self.clocked:
            entering = torch.where(valid(self.timeline, clock, 0, x.shape[2], end=False), ring, 0.0)
        seen = torch.cat([state[self.path], entering.permute(0, 2, 3, 1)], 1)
        after = {self.path: seen[:, -(self.window - 1) :]}
        return self._scores(ring, seen.permute(0, 3, 1, 2)), after

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that a frame puts into the ring."""

    @abstractmethod
    def ring(self, x: Tensor) -> Tensor:
        """What frames add, ``[B, R, T, 1]``; zeros add nothing."""

    @abstractmethod
    def pool(self, seen: Tensor) -> Tensor:
        """Pool every window of the ring, ``[B, R, window − 1 + T, 1]`` to ``[B, K, T, 1]``."""

    @abstractmethod
    def own(self, ring: Tensor) -> Tensor:
        """Pool windows of one frame, ``[B, R, T, 1]`` to ``[B, K, T, 1]``."""

    def finish(self, pooled: Tensor) -> Tensor:
        """Probabilities of what was pooled."""
        return pooled

    def _scores(self, ring: Tensor, seen: Tensor) -> Scores:
        return Scores(rows(self.finish(self.own(ring))), rows(self.finish(self.pool(seen))))


class WeightedHead(PoolingHead):
    """Base of Σ w · v / Σ w over the window; the ring holds ``[w, w · v]``."""

    @property
    def width(self) -> int:
        """Weights and weighted values."""
        return 2 * self.classes

    @abstractmethod
    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and values of frames, each ``[B, K, T, 1]``."""

    def ring(self, x: Tensor) -> Tensor:
        """Weights, weighted values."""
        weights, values = self.terms(x)
        return torch.cat([weights, weights * values], 1)

    def own(self, ring: Tensor) -> Tensor:
        """The frame's own value."""
        weights, weighted = ring.chunk(2, 1)
        return weighted / weights.clamp_min(TINY)

    def pool(self, seen: Tensor) -> Tensor:
        """Both means over the window; their quotient is that of the sums."""
        return self.own(functional.avg_pool2d(seen, (self.window, 1), 1))


class MeanHead(WeightedHead):
    """Mean of the probabilities."""

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All frames weigh the same."""
        p = self.probabilities(x)
        return torch.ones_like(p), p

    def probabilities(self, x: Tensor) -> Tensor:
        """Of the frames."""
        return torch.sigmoid(dense(self.classify, x))


class LinearSoftmaxHead(WeightedHead):
    """Σ p² / Σ p (Wang et al. 2019)."""

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frames weigh as much as they are sure."""
        p = torch.sigmoid(dense(self.classify, x))
        return p, p


class ExponentialSoftmaxHead(WeightedHead):
    """Σ p · exp(p) / Σ exp(p) (Wang et al. 2019)."""

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sure frames weigh up to e times more."""
        p = torch.sigmoid(dense(self.classify, x))
        return torch.exp(p), p


class AttentionHead(WeightedHead):
    """Frames weigh by a second dense layer, per class (Kong et al. 2018); see `attention` for `weight`."""

    def __init__(self, classify: nn.Linear, window: int, weight: Weight = "time") -> None:
        super().__init__(classify, window)
        self.attend = nn.Linear(classify.in_features, classify.out_features)
        self.weight = weight

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights that are not yet normalised, and probabilities."""
        return attention(self.attend, x, self.weight), torch.sigmoid(dense(self.classify, x))


class FeatureAttentionHead(WeightedHead):
    """Attention over each of M features, which are classified when they are pooled (Kong et al. 2019)."""

    def __init__(self, embedding: int, features: int, classes: int, window: int) -> None:
        super().__init__(nn.Linear(features, classes), window)
        self.value = nn.Linear(embedding, features)
        self.attend = nn.Linear(embedding, features)

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return self.value.in_features

    @property
    def width(self) -> int:
        """Weights and weighted features."""
        return 2 * self.value.out_features

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Unnormalised softmax and features."""
        return attention(self.attend, x), torch.sigmoid(dense(self.value, x))

    def finish(self, pooled: Tensor) -> Tensor:
        """Classify."""
        return torch.sigmoid(dense(self.classify, pooled))


class MaxHead(PoolingHead):
    """Largest probability."""

    @property
    def width(self) -> int:
        """One number per class."""
        return self.classes

    def ring(self, x: Tensor) -> Tensor:
        """Probabilities: none is below the zeros of an empty ring."""
        return torch.sigmoid(dense(self.classify, x))

    def own(self, ring: Tensor) -> Tensor:
        """The frame's own."""
        return ring

    def pool(self, seen: Tensor) -> Tensor:
        """Maximum."""
        return functional.max_pool2d(seen, (self.window, 1), 1)


class MeanMaxHead(PoolingHead):
    """Mean ⊕ max of the embeddings, classified when they are pooled (Kong et al. 2020).

    The ring holds ``[x, 1]``: the ones tell which frames were heard.
    """

    @property
    def width(self) -> int:
        """The embedding and a one."""
        return self.classes_in + 1

    @property
    def classes_in(self) -> int:
        """Channels of the embedding."""
        return self.classify.in_features

    def ring(self, x: Tensor) -> Tensor:
        """Embeddings and ones."""
        return torch.cat([x, torch.ones_like(x[:, :1])], 1)

    def own(self, ring: Tensor) -> Tensor:
        """Mean and max of one frame are the frame."""
        return 2 * ring[:, : self.classes_in]

    def pool(self, seen: Tensor) -> Tensor:
        """Mean over what was heard, plus its maximum."""
        size = (self.window, 1)
        values, heard = seen[:, : self.classes_in], seen[:, self.classes_in :]
        mean = functional.avg_pool2d(seen, size, 1)
        low = LOWEST * (1 - heard)  # finite: −∞ · 0 is no number
        return mean[:, : self.classes_in] / mean[:, self.classes_in :].clamp_min(TINY) + functional.max_pool2d(
            values + low, size, 1
        )

    def finish(self, pooled: Tensor) -> Tensor:
        """Classify."""
        return torch.sigmoid(dense(self.classify, pooled))


def dense(layer: nn.Linear, x: Tensor) -> Tensor:
    """A dense layer on the channels of ``[B, D, T, 1]``."""
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def attention(layer: nn.Linear, x: Tensor, weight: Weight = "time") -> Tensor:
    """What frames weigh before their weights are divided by the sum over time.

    ``time``: numerators of a softmax over time (card C). ``classes``: a softmax over the classes (cards 16, 37).
    ``sigmoid``: each by itself (Kong et al. 2018).
    """
    y = dense(layer, x)
    if weight == "time":
        return torch.exp(y.clamp(-LIMIT, LIMIT))
    return (torch.softmax(y, 1) if weight == "classes" else torch.sigmoid(y)).clamp_min(LIGHTEST)


def rows(y: Tensor) -> Tensor:
    """``[B, C, T, 1]`` as ``[B, T, C]``."""
    return y.squeeze(3).transpose(1, 2)
