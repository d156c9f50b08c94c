"""Heads of boundaries and of two memories to TFLite operators."""

from __future__ import annotations

import numpy as np

from export.translate import Translator, dense
from export.translate_heads import OF_THEIR_OWN, seen_by
from training.layers.boundaries import BoundaryHead
from training.layers.heads import TINY
from training.layers.weighted_gru import WeightedGRUHead


def boundaries(t: Translator, layer: BoundaryHead, x: int) -> tuple[int, int]:
    """Frames by what is on, clips by the likeliest boundary of the window."""
    w = t.writer
    ring = t.channels(w.function("softmax", dense(w, layer.classify, x)), 0, layer.width)
    likelier = w.larger(*_starts_and_ends(t, seen_by(t, layer, ring)))
    return _on(t, layer, ring), w.pool(likelier, (layer.window, 1), (1, 1), largest=True)


def _starts_and_ends(t: Translator, ring: int) -> tuple[int, int]:
    """Probabilities of starts and of ends, which take turns in the channels."""
    w = t.writer
    batch, frames, _, channels = w.shape(ring)
    pairs = w.reshape(ring, [batch, frames, channels // 2, 2])
    starts, ends = (t.channels(pairs, k, 1) for k in range(2))
    shape = [batch, frames, 1, channels // 2]
    return w.reshape(starts, shape), w.reshape(ends, shape)


def _on(t: Translator, layer: BoundaryHead, ring: int) -> int:
    w, name, out = t.writer, f"{layer.path}.on", []
    starts, ends = _starts_and_ends(t, ring)
    on = t.past[name] if t.streaming else w.constant(np.zeros((1, 1, 1, layer.classes), np.float32))
    for i in range(w.shape(ring)[1]):
        if t.streaming and layer.clocked:
            on = w.select(t.behind_first(layer.timeline, i), on, w.scalar(0.0))
        start, stays = t.cut(starts, i, 1), w.subtract(w.scalar(1.0), t.cut(ends, i, 1))
        on = w.add(w.multiply(on, stays), w.multiply(w.subtract(w.scalar(1.0), on), start))
        out.append(on)
    if t.streaming:
        t.after[name] = w.copy(on, f"next.{name}")
    return w.concatenate(out, axis=1) if len(out) > 1 else out[0]


def two_memories(t: Translator, layer: WeightedGRUHead, x: int) -> tuple[int, int]:
    """Frames by the weighted memory, clips by the mean of the one as trained."""
    w, half = t.writer, t.writer.shape(x)[3] // 2
    trained, weighted = (w.sigmoid(dense(w, layer.classify, t.channels(x, k * half, half))) for k in range(2))
    keeps = w.constant(layer.keeps.permute(0, 2, 3, 1).numpy().astype(np.float32))
    frames = w.add(weighted, w.multiply(keeps, w.subtract(trained, weighted)))
    ones = w.constant(np.ones((*w.shape(x)[:3], 1), np.float32))
    seen = seen_by(t, layer, w.concatenate([ones, trained, frames], axis=3))
    means = w.pool(t.channels(seen, 0, 1 + layer.classes), (layer.window, 1), (1, 1), largest=False)
    return frames, w.divide(t.channels(means, 1, layer.classes), w.larger(t.channels(means, 0, 1), w.scalar(TINY)))


OF_THEIR_OWN |= {BoundaryHead: boundaries, WeightedGRUHead: two_memories}
