"""Stacks of slices and banks of GRUs to TFLite operators: slices stand in the batch."""

from __future__ import annotations

import numpy as np

from export.translate import Translator, array, gru_cell, translates
from training.layers.gru_bank import GRUBank
from training.layers.segments import LastFrame
from training.layers.slices import Neighbours, SliceMaxPool, Slices


@translates(Slices)
def _slices(t: Translator, layer: Slices, x: int) -> int:
    _, frames, bands, channels = t.writer.shape(x)
    return t.writer.reshape(x, [layer.count, frames // layer.count, bands, channels])


@translates(Neighbours)
def _neighbours(t: Translator, layer: Neighbours, x: int) -> int:  # noqa: ARG001 - every translation takes these
    w = t.writer
    padded = w.pad(x, [(1, 1), (0, 0), (0, 0), (0, 0)])
    shape = w.shape(x)
    return w.concatenate([w.slice(padded, [k, 0, 0, 0], shape) for k in range(3)], axis=3)


@translates(SliceMaxPool)
def _slice_max(t: Translator, layer: SliceMaxPool, x: int) -> int:
    w, shape = t.writer, t.writer.shape(x)[1:]
    groups = []
    for first in range(0, layer.count, layer.size):
        largest, *others = (
            w.slice(x, [k, 0, 0, 0], [1, *shape]) for k in range(first, min(first + layer.size, layer.count))
        )
        for other in others:
            largest = w.larger(largest, other)
        groups.append(largest)
    return w.concatenate(groups, axis=0) if len(groups) > 1 else groups[0]


@translates(LastFrame)
def _last(t: Translator, layer: LastFrame, x: int) -> int:  # noqa: ARG001 - every translation takes these
    return t.cut(x, t.writer.shape(x)[1] - 1, 1)


@translates(GRUBank)
def _bank(t: Translator, layer: GRUBank, x: int) -> int:
    w, hidden = t.writer, layer.hidden
    _, frames, bands, maps = w.shape(x)
    by_map = w.reshape(w.transpose(x, (0, 1, 3, 2)), [1, frames, 1, maps * bands])
    apart = w.reshape(t.layer(layer.heard, by_map), [1, frames, maps, 3 * hidden])
    heard, bias = w.transpose(apart, (0, 2, 1, 3)), w.constant(array(layer.bias)[None])
    h = w.constant(np.zeros((1, maps, 1, hidden), np.float32))
    for k in range(frames):
        frame = w.slice(heard, [0, 0, k, 0], [1, maps, 1, 3 * hidden])
        h = gru_cell(t, frame, w.add(w.matrices(h, array(layer.weight)), bias), h, hidden)
    return w.reshape(h, [1, 1, 1, maps * hidden])
