"""Heads to TFLite operators: frame scores and the scores of the window that ends with each frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from export.flatbuffer import Writer
from export.translate import Translator, array, dense
from export.translate_micro import micro
from training.layers.deep import DeepMeanHead
from training.layers.global_max import GlobalMaxHead
from training.layers.global_mean import GlobalMeanHead
from training.layers.heads import (
    LIGHTEST,
    LIMIT,
    LOWEST,
    TINY,
    AttentionHead,
    ExponentialSoftmaxHead,
    FeatureAttentionHead,
    Head,
    LinearSoftmaxHead,
    MaxHead,
    MeanHead,
    MeanMaxHead,
    PoolingHead,
    Weight,
    WeightedHead,
)
from training.layers.mean_std import LEAST, MeanStdHead
from training.layers.micro import MicroHead
from training.layers.multilevel import MultiLevelAttentionHead
from training.layers.norm import affine

Terms = Callable[[Writer, Any, int], tuple[int, int]]
HeadTranslation = Callable[[Translator, Any, int], tuple[int, int]]
OF_THEIR_OWN: dict[type[Head], HeadTranslation] = {}
"""Heads that share nothing with those of this file: see `export.translate_detectors`."""


def head(t: Translator, layer: Head, x: int) -> tuple[int, int | None]:
    """Write a head; return frame scores and clip scores ``[1, T, 1, C]``, of a whole window those of its last frame.

    Raises
    ------
    TypeError
        It has no translation.
    """
    if type(layer) is Head:
        return t.writer.sigmoid(dense(t.writer, layer.classify, x)), None
    if isinstance(layer, MicroHead):
        return micro(t, layer, x, seen_by)
    if type(layer) in OF_THEIR_OWN:
        return OF_THEIR_OWN[type(layer)](t, layer, x)
    if isinstance(layer, DeepMeanHead):
        x = t.layer(layer.hidden, x)
    if not isinstance(layer, PoolingHead) or (isinstance(layer, WeightedHead) and type(layer) not in TERMS):
        raise TypeError(f"layer `{layer.path}`: no TFLite translation for {type(layer).__name__}")
    ring = _ring(t.writer, layer, x)
    seen = seen_by(t, layer, ring)
    if isinstance(layer, MeanStdHead):
        return t.writer.sigmoid(dense(t.writer, layer.frame, x)), _finish(t.writer, layer, _mean_std(t, layer, seen))
    own, pooled = _own(t, layer, ring), _pooled(t, layer, seen)
    return _finish(t.writer, layer, own), _finish(t.writer, layer, pooled)


def seen_by(t: Translator, layer: PoolingHead, ring: int) -> int:
    """The ring before the new frames; of a whole window, what its last frame pools."""
    if not t.streaming:
        count, missing = t.writer.shape(ring)[1], max(0, layer.window - t.writer.shape(ring)[1])
        heard = t.cut(ring, count - layer.window + missing, layer.window - missing)
        return t.writer.pad(heard, [(0, 0), (missing, 0), (0, 0), (0, 0)]) if missing else heard
    if layer.window == 1:
        return ring
    entering = t.masked(ring, layer.timeline, 0, begin=True, end=False) if layer.clocked else ring
    return t.remember(layer.path, entering, layer.window - 1)


def _ring(w: Writer, layer: PoolingHead, x: int) -> int:
    if isinstance(layer, MaxHead):
        return _probabilities(w, layer, x)
    if isinstance(layer, MeanMaxHead | MeanStdHead | GlobalMeanHead):
        ones = w.constant(np.ones((*w.shape(x)[:3], 1), np.float32))
        return w.concatenate([x, w.multiply(x, x), ones] if isinstance(layer, MeanStdHead) else [x, ones], axis=3)
    weights, values = TERMS[type(layer)](w, layer, x)
    return w.concatenate([weights, w.multiply(weights, values)], axis=3)


def _own(t: Translator, layer: PoolingHead, ring: int) -> int:
    if isinstance(layer, MaxHead):
        return ring
    if isinstance(layer, MeanMaxHead):
        return t.writer.multiply(t.channels(ring, 0, layer.classes_in), t.writer.scalar(2.0))
    if isinstance(layer, GlobalMeanHead):
        return t.channels(ring, 0, layer.embedding)
    return _quotient(t, ring, t.writer.shape(ring)[3] // 2)


def _pooled(t: Translator, layer: PoolingHead, seen: int) -> int:
    w, size = t.writer, (layer.window, 1)
    if isinstance(layer, MaxHead):
        return w.pool(seen, size, (1, 1), largest=True)
    if isinstance(layer, GlobalMaxHead):
        return _largest(t, layer, seen)
    mean = w.pool(seen, size, (1, 1), largest=False)
    if not isinstance(layer, MeanMaxHead | GlobalMeanHead):
        return _quotient(t, mean, w.shape(seen)[3] // 2)
    count = w.shape(seen)[3] - 1
    heard = w.larger(t.channels(mean, count, 1), w.scalar(TINY))
    mean = w.divide(t.channels(mean, 0, count), heard)
    return mean if isinstance(layer, GlobalMeanHead) else w.add(mean, _largest(t, layer, seen))


def _largest(t: Translator, layer: PoolingHead, seen: int) -> int:
    """Maximum over what was heard, of a ring that ends with ones."""
    w, count = t.writer, t.writer.shape(seen)[3] - 1
    low = w.multiply(w.subtract(w.scalar(1.0), t.channels(seen, count, 1)), w.scalar(LOWEST))
    return w.pool(w.add(t.channels(seen, 0, count), low), (layer.window, 1), (1, 1), largest=True)


def _mean_std(t: Translator, layer: MeanStdHead, seen: int) -> int:
    w, size = t.writer, layer.embedding
    means = w.pool(seen, (layer.window, 1), (1, 1), largest=False)
    heard = w.larger(t.channels(means, 2 * size, 1), w.scalar(TINY))
    mean, square = (w.divide(t.channels(means, first, size), heard) for first in (0, size))
    variance = w.larger(w.subtract(square, w.multiply(mean, mean)), w.scalar(0.0))
    return w.concatenate([mean, w.function("sqrt", w.add(variance, w.scalar(LEAST)))], axis=3)


def _finish(w: Writer, layer: PoolingHead, x: int) -> int:
    if isinstance(layer, MultiLevelAttentionHead):
        return _squashed(w, layer, dense(w, layer.classify, x)) if len(layer.taps) > 1 else x
    if isinstance(layer, MeanMaxHead | MeanStdHead | FeatureAttentionHead | GlobalMeanHead):
        return _probabilities(w, layer, x)
    return x


def _quotient(t: Translator, x: int, half: int) -> int:
    weights = t.writer.larger(t.channels(x, 0, half), t.writer.scalar(TINY))
    return t.writer.divide(t.channels(x, half, half), weights)


def _probabilities(w: Writer, layer: Head, x: int) -> int:
    return w.sigmoid(dense(w, layer.classify, x))


def _attention(w: Writer, layer: Any, x: int, weight: Weight = "time") -> int:
    logits = dense(w, layer, x)
    if weight == "time":
        return w.function("exp", w.larger(w.smaller(logits, w.scalar(LIMIT)), w.scalar(-LIMIT)))
    return w.larger(w.function("softmax" if weight == "classes" else "sigmoid", logits), w.scalar(LIGHTEST))


def _mean(w: Writer, layer: MeanHead, x: int) -> tuple[int, int]:
    p = _probabilities(w, layer, x)
    return w.constant(np.ones(w.shape(p), np.float32)), p


def _linear(w: Writer, layer: LinearSoftmaxHead, x: int) -> tuple[int, int]:
    p = _probabilities(w, layer, x)
    return p, p


def _exponential(w: Writer, layer: ExponentialSoftmaxHead, x: int) -> tuple[int, int]:
    p = _probabilities(w, layer, x)
    return w.function("exp", p), p


def _attended(w: Writer, layer: AttentionHead, x: int) -> tuple[int, int]:
    return _attention(w, layer.attend, x, layer.weight), _probabilities(w, layer, x)


def _features(w: Writer, layer: FeatureAttentionHead, x: int) -> tuple[int, int]:
    return _attention(w, layer.attend, x), w.sigmoid(w.dense(x, array(layer.value.weight), array(layer.value.bias)))


def _levels(w: Writer, layer: MultiLevelAttentionHead, x: int) -> tuple[int, int]:
    weights, values = [], []
    for depth, (hidden, norm) in enumerate(zip(layer.hidden, layer.norms, strict=True), start=1):
        scale, shift = affine(norm)
        bias = hidden.bias * scale + shift
        x = w.dense(x, array(hidden.weight * scale[:, None]), array(bias), "relu")
        if depth in layer.taps:
            level = layer.taps.index(depth)
            weights.append(_attention(w, layer.attend[level], x, layer.weight))
            values.append(_squashed(w, layer, dense(w, layer.value[level], x)))
    if len(values) == 1:
        return weights[0], values[0]
    return w.concatenate(weights, axis=3), w.concatenate(values, axis=3)


def _squashed(w: Writer, layer: MultiLevelAttentionHead, logits: int) -> int:
    return w.function("softmax", logits) if layer.exclusive else w.sigmoid(logits)


TERMS: dict[type[PoolingHead], Terms] = {
    MeanHead: _mean,
    DeepMeanHead: _mean,
    LinearSoftmaxHead: _linear,
    ExponentialSoftmaxHead: _exponential,
    AttentionHead: _attended,
    FeatureAttentionHead: _features,
    MultiLevelAttentionHead: _levels,
}
