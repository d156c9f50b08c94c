"""Bands and compression, emitted over vectors: sparse weighted sums of bins, then a logarithm and a straight line.

A band's bins lie next to each other, so its sum is a dot product of consecutive powers with consecutive weights, in
pieces of W lanes (the last piece filled with zero weights). The lanes' partial sums of W bands are then added together:

    band 0   a0 a1 a2 a3                                   lane 0: a0 + a1 + a2 + a3
    band 1   b0 b1 b2 b3     log2(W) steps of exchange     lane 1: b0 + b1 + b2 + b3
    band 2   c0 c1 c2 c3     and addition  ───────────▶    lane 2: …
    band 3   d0 d1 d2 d3                                   lane 3: …

which leaves W bands in one vector, ready for the logarithm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from edge.frontend.vector import Lanes, index

WIDTH = 8  # most lanes: bands begin anywhere, and wider loads would mostly straddle two cache lines


class Compression(NamedTuple):
    """y = ln(max(x, floor) + add) · gain + shift, with what does nothing left out.

    Attributes
    ----------
    log
        False: y = x · gain + shift.
    floor, add
        Before the logarithm.
    affine
        Whether there are gains and shifts.
    """

    log: bool
    floor: float
    add: float
    affine: bool


def pieces(bank: np.ndarray, width: int) -> tuple[list[tuple[int, int]], np.ndarray]:
    """A band matrix ``[F, bins]`` as (first bin, pieces of `width`) per band, and the weights of all pieces in turn."""
    spans, weights = [], [np.zeros(0)]
    for row in bank:
        used = np.nonzero(row)[0]
        if not len(used):
            spans.append((0, 0))
            continue
        first, count = int(used[0]), -(-(int(used[-1]) - int(used[0]) + 1) // width)
        spans.append((first, count))
        weights.append(np.pad(row, (0, count * width))[first : first + count * width])
    return spans, np.concatenate(weights)


class Bands:
    """Emits the features of one frame from its powers.

    Parameters
    ----------
    lanes
        The vectors to use.
    memory, out
        Pointers to tables and scratch, and to the frame's features.
    at
        Offsets in `memory`: ``power``, ``weights``, ``gain``, ``shift``.
    """

    def __init__(self, lanes: Lanes, memory: ir.Value, out: ir.Value, at: dict[str, int]) -> None:
        self.lanes, self.memory, self.out, self.at = lanes, memory, out, at

    def emit_sums(self, spans: list[tuple[int, int]], compression: Compression) -> None:
        """Weighted sums over `spans`, compressed."""
        width, weight = self.lanes.width, self.at["weights"]
        for start in range(0, len(spans), width):
            totals = []
            for first, count in spans[start : start + width]:
                total = None
                for i in range(count):
                    powers = self.lanes.load(self.memory, self.at["power"] + first + i * width)
                    total = self.lanes.fma(powers, self.lanes.load(self.memory, weight), total)
                    weight += width
                totals.append(self.lanes.constant(0.0) if total is None else total)
            totals += [self.lanes.constant(0.0)] * (width - len(totals))
            value = self._compressed(self.lanes.sum_each(totals), index(start), compression)
            self.lanes.store_first(min(width, len(spans) - start), value, self.out, start)

    def emit_bins(self, count: int, compression: Compression) -> None:
        """The first `count` bins themselves, compressed."""
        width = self.lanes.width
        whole = count // width * width

        def value(j: ir.Value) -> ir.Value:
            place = self.lanes.builder.add(j, index(self.at["power"]))
            return self._compressed(self.lanes.load(self.memory, place), j, compression)

        if whole:
            self.lanes.loop(whole, lambda j: self.lanes.store(value(j), self.out, j))
        if count > whole:
            self.lanes.store_first(count - whole, value(index(whole)), self.out, whole)

    def _compressed(self, x: ir.Value, band: ir.Value, compression: Compression) -> ir.Value:
        lanes = self.lanes
        if compression.log:
            if compression.floor:
                x = lanes.maximum(x, lanes.constant(compression.floor))
            if compression.add:
                x = lanes.add(x, lanes.constant(compression.add))
            x = lanes.log(x)
        if compression.affine:
            gain = lanes.load(self.memory, lanes.builder.add(band, index(self.at["gain"])))
            shift = lanes.load(self.memory, lanes.builder.add(band, index(self.at["shift"])))
            x = lanes.fma(x, gain, shift)
        return x
