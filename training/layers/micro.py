"""The heads of M&mnet: one for the clip, and light ones that say what sounds in every segment (card D).

body ─▶ X ───── mean over segments ─▶ f_cls ─▶ ŷ          macro: the clip as a whole
        │                                                       ŷ_ens = µ ŷ + (1 − µ) Σ_t α_t d̂_t
        ├─▶ f_det ─▶ d̂_t                                  micro: every segment
        └─▶ f_att ─▶ v_t ─▶ a_t                           how much a segment counts

        a_t = Σ_m exp(v_tm) / Σ_t' exp(v_t'm)             M softmaxes over time, added: Σ_t a_t = M     (eq. 6)
        α   = softmax of a over time                                                                    (eq. 9)

A scheme of the paper's figure 3 says which of these there are, and what is taught; see `SCHEMES`. The convolutions of
f_det and f_att belong to the body, which gives their logits behind the channels of X.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.heads import LIMIT, LOWEST, TINY, PoolingHead, Scores, dense, rows
from training.layers.streaming import StreamLayer, Timeline, bound

Scheme = Literal["mean", "wlat", "slat", "plat", "att", "mm", "ms"]
SCHEMES: dict[Scheme, str] = {
    "mean": "the clip, of the mean of X",
    "wlat": "the clip, of the mean of the segments' probabilities f_cls(x_t)",
    "slat": "every segment f_cls(x_t), by the clip's labels",
    "plat": "the clip, of the mean of X; d̂_t by where f_cls(x_t) is large",
    "att": "the clip, of the attention's mean of the segments' probabilities f_cls(x_t)",
    "mm": "the clip, of the mean of X; d̂_t by the clip's labels, weighted by attention",
    "ms": "the same with d̂_t of several maps of the trunk",
}
DETECTING, ATTENDING, MACRO = ("plat", "mm", "ms"), ("att", "mm", "ms"), ("mean", "plat", "mm", "ms")
CAM_SHARE = 0.5  # of a class's largest activation in the clip, from which PLAT takes a segment to have it


class Scale(NamedTuple):
    """What the body gives of one map of the trunk.

    Attributes
    ----------
    frames
        Of the map, in a segment.
    attention, detection
        Logits of each of them, 0 for none; the body gives first the one kind, of all frames, then the other.
    """

    frames: int
    attention: int
    detection: int

    @property
    def channels(self) -> int:
        """Of the head's input."""
        return self.frames * (self.attention + self.detection)


class Supervised(NamedTuple):
    """Scores in training, with what the scheme teaches; S segments are those of all scales.

    Attributes
    ----------
    frame, clip
        As `training.layers.heads.Scores` has them; clip ``[B, 1, C]`` is what a model will give out.
    macro
        Clip probabilities ``[B, C]`` that the clip's labels teach; None for SLAT.
    micro, weight
        Probabilities ``[B, S, C]`` of segments, and how much each counts ``[B, S]``: 1 in all, at each scale.
    pseudo
        Which of the clip's labels a segment is taught to have, 0 or 1 ``[B, S, C]``; None: all.
    """

    frame: Tensor
    clip: Tensor
    macro: Tensor | None = None
    micro: Tensor | None = None
    weight: Tensor | None = None
    pseudo: Tensor | None = None


class MicroHead(PoolingHead):
    """Segment probabilities for frames, and for clips what the scheme makes of the segments in the window.

    The ring holds ``[u, 1, e, d̂]``: what is averaged (X or probabilities), a one that tells which segments were heard,
    and of each scale the attention's exponentials and the segments' probabilities.

    Parameters
    ----------
    hidden, classify
        f_cls: pointwise layers on X, and the dense one behind them.
    size
        Channels of X, the embedding.
    scales
        What lies behind them in the input.
    window
        Segments.
    mu
        Weight of the macro prediction in the ensemble.
    """

    def __init__(
        self,
        hidden: StreamLayer,
        classify: nn.Linear,
        size: int,
        scheme: Scheme,
        scales: Sequence[Scale] = (),
        window: int = 56,
        mu: float = 0.5,
    ) -> None:
        super().__init__(classify, window)
        self.hidden, self.size, self.scheme, self.scales, self.mu = hidden, size, scheme, tuple(scales), mu

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return self.size + sum(scale.channels for scale in self.scales)

    @property
    def published(self) -> int:
        """X alone."""
        return self.size

    @property
    def averaged(self) -> int:
        """Channels of what is averaged over the window."""
        return self.size if self.scheme in MACRO else self.classes

    @property
    def width(self) -> int:
        """Numbers that a segment puts into the ring."""
        return self.averaged + 1 + sum(scale.channels for scale in self.scales)

    def plan(self, timeline: Timeline) -> Timeline:
        """As every head; f_cls hears X alone."""
        bound(self.hidden, replace(timeline, channels=self.size), self)
        return super().plan(timeline)

    def forward(self, x: Tensor) -> Scores | Supervised:
        """Whole clip: all windows; in training the last window alone, and what is taught."""
        return self._supervised(x) if self.training else super().forward(x)

    def ring(self, x: Tensor) -> Tensor:
        """``[u, 1, e, d̂]``."""
        own = x[:, : self.size] if self.scheme in MACRO else self.classified(x[:, : self.size])
        parts = [own, torch.ones_like(x[:, :1])]
        for _, v, d in self.maps(x[:, self.size :]):
            parts += [] if v is None else [torch.exp(v.clamp(-LIMIT, LIMIT))]
            parts += [] if d is None else [torch.sigmoid(d)]
        return torch.cat(parts, 1)

    def classified(self, x: Tensor) -> Tensor:
        """Probabilities by f_cls of ``[B, K, T, 1]``."""
        return torch.sigmoid(dense(self.classify, self.hidden(x)))

    def maps(self, x: Tensor) -> list[tuple[Scale, Tensor | None, Tensor | None]]:
        """Each scale with its attention and its detection, ``[B, n · M, T, 1]`` and ``[B, n · C, T, 1]``."""
        found, first = [], 0
        for scale in self.scales:
            middle, stop = first + scale.frames * scale.attention, first + scale.channels
            attention = x[:, first:middle] if scale.attention else None
            found.append((scale, attention, x[:, middle:stop] if scale.detection else None))
            first = stop
        return found

    def own(self, ring: Tensor) -> Tensor:
        """Probabilities of the segments, ``[B, C, T, 1]``; a scale's frames are averaged, then the scales."""
        if self.scheme not in DETECTING:
            return self.classified(ring[:, : self.size]) if self.scheme in MACRO else ring[:, : self.classes]
        found = [d.unflatten(1, (scale.frames, -1)).mean(1) for scale, _, d in self.ringed(ring)]
        return sum(found[1:], found[0]) / len(found)

    def mean(self, seen: Tensor) -> Tensor:
        """Mean over what was heard of every window, ``[B, U, T, 1]``."""
        means = functional.avg_pool2d(seen[:, : self.averaged + 1], (self.window, 1), 1)
        return means[:, : self.averaged] / means[:, self.averaged :].clamp_min(TINY)

    def pool(self, seen: Tensor) -> Tensor:
        """Clip probabilities of every window."""
        macro = self.classified(self.mean(seen)) if self.scheme in MACRO else self.mean(seen)
        if self.scheme not in ATTENDING:
            return macro
        count = seen.shape[2] - self.window + 1
        return self.joined(macro, torch.cat([self.attended(seen[:, :, t : t + self.window]) for t in range(count)], 2))

    def attended(self, seen: Tensor) -> Tensor:
        """Segments weighted by attention over one window of the ring ``[B, R, W, 1]``: ``[B, C, 1, 1]``.

        ATT weighs by a_t / M, as attention does that pools; the ensemble of M&mnet by the softmax of a_t.
        """
        heard = seen[:, self.averaged, :, 0]
        found = []
        for scale, e, d in self.ringed(seen):
            a = segment_scores(by_frame(e, scale.frames))
            if self.scheme == "att":
                found.append(pooled(a / scale.attention, by_frame(seen[:, : self.classes], 1)))
            else:
                unheard = LOWEST * (1 - heard.unsqueeze(2).expand(-1, -1, scale.frames).flatten(1))
                found.append(pooled(torch.softmax(a + unheard, 1), by_frame(d, scale.frames)))
        return sum(found[1:], found[0])[:, :, None, None] / len(found)

    def joined(self, macro: Tensor, attended: Tensor) -> Tensor:
        """Ensemble prediction (eq. 9); ATT is its attention alone."""
        return attended if self.scheme == "att" else self.mu * macro + (1 - self.mu) * attended

    def ringed(self, ring: Tensor) -> list[tuple[Scale, Tensor | None, Tensor | None]]:
        """`maps` of the ring: exponentials and probabilities."""
        return self.maps(ring[:, self.averaged + 1 :])

    def activation(self, x: Tensor) -> Tensor:
        """f_cls of every segment, for PLAT and for frames in training: no gradient, and norms as in evaluation."""
        training = self.hidden.training
        self.hidden.eval()
        with torch.no_grad():
            found = self.classified(x)
        self.hidden.train(training)
        return found

    def _scores(self, ring: Tensor, seen: Tensor) -> Scores:
        if self.scheme != "mean":
            return Scores(rows(self.own(ring)), rows(self.pool(seen)))
        both = self.classified(torch.cat([ring[:, : self.size], self.mean(seen)], 2))  # f_cls stands in a file once
        own, clip = both.split([ring.shape[2], both.shape[2] - ring.shape[2]], 2)
        return Scores(rows(own), rows(clip))

    def _supervised(self, x: Tensor) -> Supervised:
        ring = self.ring(x)
        seen = ring[:, :, -self.window :]
        mean = seen[:, : self.averaged].mean(2, keepdim=True)
        macro = self.classified(mean) if self.scheme in MACRO else mean
        clip = self.joined(macro, self.attended(seen)) if self.scheme in ATTENDING else macro
        taught = clip if self.scheme == "att" else macro
        frame = self.activation(x[:, : self.size]) if self.scheme == "mean" else self.own(ring)
        return Supervised(
            rows(frame),
            rows(clip),
            None if self.scheme == "slat" else taught[:, :, 0, 0],
            *self._micro(x[:, : self.size], seen),
        )

    def _micro(self, own: Tensor, seen: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What `Supervised` calls micro, weight and pseudo."""
        if self.scheme == "slat":
            micro = by_frame(seen[:, : self.classes], 1)
            return micro, torch.full_like(micro[:, :, 0], 1 / micro.shape[1]), None
        if self.scheme not in DETECTING:
            return None, None, None
        found = self.ringed(seen)
        micro = torch.cat([by_frame(d, scale.frames) for scale, _, d in found], 1)
        if self.scheme == "plat":
            cam = by_frame(self.activation(own[:, :, -self.window :]), 1)
            pseudo = (cam >= CAM_SHARE * cam.amax(1, keepdim=True)).to(cam.dtype)
            return micro, torch.full_like(micro[:, :, 0], 1 / micro.shape[1]), pseudo
        weights = [segment_scores(by_frame(e, scale.frames)) / scale.attention for scale, e, _ in found]
        return micro, torch.cat(weights, 1), None


def segment_scores(e: Tensor) -> Tensor:
    """a_t ``[B, S]`` of exponentials ``[B, S, M]`` (eq. 6); zeros stand for what was not heard."""
    total = e.sum(1, keepdim=True).clamp_min(TINY)
    return (e @ total.reciprocal().transpose(1, 2)).squeeze(2)


def pooled(weight: Tensor, values: Tensor) -> Tensor:
    """Σ_t weight · value, ``[B, S]`` and ``[B, S, C]`` to ``[B, C]``."""
    return (weight.unsqueeze(1) @ values).squeeze(1)


def by_frame(x: Tensor, frames: int) -> Tensor:
    """``[B, n · C, T, 1]`` as ``[B, T · n, C]``: all frames of a scale, one behind another."""
    return x.squeeze(3).transpose(1, 2).reshape(len(x), x.shape[2] * frames, -1)
