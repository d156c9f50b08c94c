"""The heads of M&mnet to TFLite operators, as `training.layers.micro` computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.flatbuffer import Writer
from export.translate import Translator, dense
from training.layers.heads import LIMIT, LOWEST, TINY
from training.layers.micro import ATTENDING, DETECTING, MACRO, MicroHead, Scale

Seen = Callable[[Translator, MicroHead, int], int]
Maps = list[tuple[Scale, int | None, int | None]]


def micro(t: Translator, layer: MicroHead, x: int, seen: Seen) -> tuple[int, int]:
    """Write the head; return frame and clip scores ``[1, T, 1, C]``.

    Parameters
    ----------
    seen
        Writes the ring before the new segments.
    """
    ring = _ring(t, layer, x)
    rings = seen(t, layer, ring)
    mean, own = _mean(t, layer, rings), t.channels(ring, 0, layer.averaged)
    if layer.scheme == "mean":
        both = _classified(t, layer, t.writer.concatenate([own, mean], axis=1))
        count = t.writer.shape(own)[1]
        return t.cut(both, 0, count), t.cut(both, count, t.writer.shape(both)[1] - count)
    if layer.scheme in DETECTING:
        own = _detected(t, layer, ring)
    macro = _classified(t, layer, mean) if layer.scheme in MACRO else mean
    return own, macro if layer.scheme not in ATTENDING else _joined(t, layer, macro, rings)


def _ring(t: Translator, layer: MicroHead, x: int) -> int:
    w, own = t.writer, t.channels(x, 0, layer.size)
    parts = [own if layer.scheme in MACRO else _classified(t, layer, own)]
    parts.append(w.constant(np.ones((*w.shape(x)[:3], 1), np.float32)))
    for _, v, d in _maps(t, layer, x, layer.size):
        if v is not None:
            parts.append(w.function("exp", w.larger(w.smaller(v, w.scalar(LIMIT)), w.scalar(-LIMIT))))
        if d is not None:
            parts.append(w.sigmoid(d))
    return w.concatenate(parts, axis=3)


def _maps(t: Translator, layer: MicroHead, x: int, first: int) -> Maps:
    found: Maps = []
    for scale in layer.scales:
        sizes = [scale.frames * n for n in (scale.attention, scale.detection)]
        attention = t.channels(x, first, sizes[0]) if sizes[0] else None
        found.append((scale, attention, t.channels(x, first + sizes[0], sizes[1]) if sizes[1] else None))
        first += scale.channels
    return found


def _mean(t: Translator, layer: MicroHead, rings: int) -> int:
    w, count = t.writer, layer.averaged
    means = w.pool(t.channels(rings, 0, count + 1), (layer.window, 1), (1, 1), largest=False)
    return w.divide(t.channels(means, 0, count), w.larger(t.channels(means, count, 1), w.scalar(TINY)))


def _classified(t: Translator, layer: MicroHead, x: int) -> int:
    return t.writer.sigmoid(dense(t.writer, layer.classify, t.layer(layer.hidden, x)))


def _detected(t: Translator, layer: MicroHead, ring: int) -> int:
    w, found = t.writer, []
    for scale, _, d in _maps(t, layer, ring, layer.averaged + 1):
        frames = w.reshape(d, [1, w.shape(d)[1], scale.frames, layer.classes])
        found.append(w.mean(frames, 2))
    return _average(w, found)


def _joined(t: Translator, layer: MicroHead, macro: int, rings: int) -> int:
    w = t.writer
    count = w.shape(rings)[1] - layer.window + 1
    windows = [_attended(t, layer, t.cut(rings, first, layer.window)) for first in range(count)]
    found = w.concatenate(windows, axis=1) if count > 1 else windows[0]
    if layer.scheme == "att":
        return found
    return w.add(w.multiply(macro, w.scalar(layer.mu)), w.multiply(found, w.scalar(1 - layer.mu)))


def _attended(t: Translator, layer: MicroHead, seen: int) -> int:
    """One window of the ring, ``[1, W, 1, R]`` to ``[1, 1, 1, C]``."""
    w, found = t.writer, []
    unheard = w.multiply(w.subtract(w.scalar(1.0), t.channels(seen, layer.averaged, 1)), w.scalar(LOWEST))
    for scale, e, d in _maps(t, layer, seen, layer.averaged + 1):
        count = layer.window * scale.frames
        a = _segment_scores(w, w.reshape(e, [1, count, 1, scale.attention]))
        if layer.scheme == "att":
            weight, values = w.multiply(a, w.scalar(1 / scale.attention)), t.channels(seen, 0, layer.classes)
        else:
            each = w.add(unheard, w.constant(np.zeros((1, 1, 1, scale.frames), np.float32)))
            logits = w.reshape(w.add(w.reshape(a, [1, layer.window, 1, scale.frames]), each), [1, 1, 1, count])
            weight = w.reshape(w.function("softmax", logits), [1, count, 1, 1])
            values = w.reshape(d, [1, count, 1, layer.classes])
        found.append(w.multiply(w.mean(w.multiply(weight, values), 1), w.scalar(float(count))))
    return _average(w, found)


def _segment_scores(w: Writer, e: int) -> int:
    """Σ_m e / Σ_t e, ``[1, S, 1, M]`` to ``[1, S, 1, 1]``."""
    _, count, _, size = w.shape(e)
    total = w.larger(w.multiply(w.mean(e, 1), w.scalar(float(count))), w.scalar(TINY))
    return w.multiply(w.mean(w.divide(e, total), 3), w.scalar(float(size)))


def _average(w: Writer, found: list[int]) -> int:
    total = found[0]
    for other in found[1:]:
        total = w.add(total, other)
    return w.multiply(total, w.scalar(1 / len(found))) if len(found) > 1 else total
