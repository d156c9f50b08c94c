"""The vector kernel: one function per spec that turns samples into features, frame by frame, without leaving the cache.

A spec is laid out once (`Layout`), its tables are put into one float32 array, and the frame's instructions are emitted
for exactly these numbers:

    memory   | counts | taper | twiddles | edges | weights | gain | shift | frame | planes | edge | power | samples |
               carried  tables, read only                                 scratch of one frame              carried

The layout travels into the kernel as a JSON text, a compile-time constant: numba's cache key covers closed-over texts,
and the text holds a digest of the modules that generate code, so that what they generated before is never served again.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import msgspec
import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from edge.frontend import bands, buffer, filterbank, transform
from edge.frontend.buffer import FILL, START, TARGET
from edge.frontend.spec import FrontEndSpec
from edge.frontend.vector import F32, Lanes, index

LINE = 16  # float32 of a cache line: what each part of memory begins at
NORMAL = float(np.finfo(np.float32).tiny)  # the logarithm's polynomial needs normal numbers


class Layout(msgspec.Struct, frozen=True):
    """All that generated code depends on.

    Attributes
    ----------
    size, width
        Transform length, and lanes of a vector.
    window, hop
        In samples.
    limit
        Largest magnitude of a sample.
    count
        Features per frame.
    top
        Highest bin in use.
    magnitude
        Bands sum magnitudes instead of powers.
    spans
        Per band (first bin, pieces); none where the bins themselves are the features.
    compression
        Of bands or bins.
    zero_mean, emphasis
        Whether the frame's mean is removed; factor of its pre-emphasis.
    source
        Digest of the generating modules.
    """

    size: int
    width: int
    window: int
    hop: int
    limit: float
    count: int
    top: int
    magnitude: bool
    spans: list[tuple[int, int]]
    compression: bands.Compression
    zero_mean: bool
    emphasis: float
    source: str

    @property
    def prepared(self) -> bool:
        """Whether samples are changed before the window function."""
        return self.zero_mean or self.emphasis != 0

    @property
    def row(self) -> int:
        """Window length in whole rows of the transform."""
        columns = transform.SHAPES[self.size][1]
        return -(-self.window // columns) * columns

    def offsets(self) -> dict[str, int]:
        """Offset of each part of memory, and ``end``."""
        rows, columns = transform.SHAPES[self.size]
        padded = -(-self.count // self.width) * self.width
        sizes = {
            "counts": LINE,
            "taper": self.row,
            "twiddles": rows * columns,
            "edges": columns * columns,
            "weights": sum(count for _, count in self.spans) * min(self.width, bands.WIDTH),
            "gain": padded,
            "shift": padded,
            "frame": LINE + self.row + self.width if self.prepared else 0,
            "planes": 2 * transform.plane(self.size),
            "edge": columns,
            "power": self.size // 2 + 1 + rows + 2 * self.width,
            "samples": buffer.room(self.window, self.hop),
        }
        at, end = {}, 0
        for name, length in sizes.items():
            at[name], end = end, end + -(-length // LINE) * LINE
        return at | {"end": end}


def host_width() -> int:
    """Float32 lanes of the widest registers here: 16, 8 or 4."""
    features = llvmlite.binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def possible(spec: FrontEndSpec) -> bool:
    """Whether the vector kernel can compute a spec; the plain one computes them all."""
    scale, floor, add, _ = filterbank.compression(spec)
    return spec.frames.size in transform.SHAPES and (scale == filterbank.LINEAR or floor + add >= NORMAL)


def plan(spec: FrontEndSpec, width: int) -> tuple[Layout, np.ndarray]:
    """Layout and memory of a spec."""
    bank = filterbank.bank(spec)
    spans, weights = bands.pieces(bank, min(width, bands.WIDTH)) if spec.has_bands else ([], np.zeros(0))
    scale, floor, add, factor = filterbank.compression(spec)
    gain, shift = filterbank.affine(spec)
    gain = gain * (factor / math.log(10) if scale == filterbank.LOG10 else factor)
    affine = bool((gain != 1).any() or shift.any())
    layout = Layout(
        size=spec.frames.size,
        width=width,
        window=spec.frames.window,
        hop=spec.frames.hop,
        limit=float(buffer.limit(spec)),
        count=len(bank),
        top=int(np.nonzero(bank.any(axis=0))[0].max(initial=0)),
        magnitude=spec.bands.spectrum == "magnitude",
        spans=spans,
        compression=bands.Compression(scale != filterbank.LINEAR, floor, add, affine),
        zero_mean=spec.frames.remove_dc,
        emphasis=spec.frames.preemphasis,
        source=source(),
    )
    at = layout.offsets()
    memory = np.zeros(at["end"], np.float32)
    tables = {
        "taper": filterbank.taper(spec.frames.taper, spec.frames.window) * spec.frames.full_scale,
        "twiddles": transform.twiddles(layout.size),
        "edges": transform.edge_matrix(layout.size),
        "weights": weights,
        "gain": gain,
        "shift": shift,
    }
    for name, table in tables.items():
        memory[at[name] : at[name] + table.size] = table.ravel()
    return layout, memory


@cache
def source() -> str:
    """Digest of the modules that generate code, and of llvmlite's version."""
    digest = hashlib.sha256(llvmlite.__version__.encode())
    for name in ("vector", "transform", "bands", "buffer", "fused"):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


def emit(builder: ir.IRBuilder, samples: ir.Value, memory: ir.Value, out: ir.Value, layout: Layout) -> None:
    """One frame: from float32 pointers to its samples, to memory, and to where its features go."""
    at = layout.offsets()
    lanes = Lanes(builder, layout.width)
    if layout.prepared:
        samples = _prepare(lanes, samples, memory, layout, at["frame"])
    spectrum = transform.Transform(builder, layout.size, layout.width, memory, at)
    spectrum.emit(samples, layout.window, layout.top, layout.magnitude)
    features = bands.Bands(Lanes(builder, min(layout.width, bands.WIDTH)), memory, out, at)
    if layout.spans:
        features.emit_sums(layout.spans, layout.compression)
    else:
        features.emit_bins(layout.count, layout.compression)


def _prepare(lanes: Lanes, samples: ir.Value, memory: ir.Value, layout: Layout, frame: int) -> ir.Value:
    """Mean removal, then y[i] = x[i] − emphasis · x[i − 1], the sample before the first one being the first one.

    The copy begins one cache line into its part of memory, so that there is room for that sample.
    """
    b, width, place = lanes.builder, lanes.width, frame + LINE
    for start in range(0, layout.row, width):
        lanes.store(lanes.load(samples, start), memory, place + start)
    mean = _mean(lanes, memory, place, layout.window) if layout.zero_mean else lanes.constant(0.0)
    first = b.load(b.gep(memory, [index(place)]))
    b.store(first, b.gep(memory, [index(place - 1)]))
    factor = lanes.constant(-layout.emphasis)
    # Backwards, for each piece needs the last sample of the one before as it was.
    for start in reversed(range(0, layout.row, width)):
        now = lanes.sub(lanes.load(memory, place + start), mean)
        if layout.emphasis:
            now = lanes.fma(lanes.sub(lanes.load(memory, place + start - 1), mean), factor, now)
        lanes.store(now, memory, place + start)
    return b.gep(memory, [index(place)])


def _mean(lanes: Lanes, memory: ir.Value, place: int, window: int) -> ir.Value:
    """All lanes the mean of `window` samples; four sums, so that additions overlap."""
    sums: list[Any] = [None] * 4
    whole = window // lanes.width * lanes.width
    for i, start in enumerate(range(0, whole, lanes.width)):
        x = lanes.load(memory, place + start)
        sums[i % 4] = x if sums[i % 4] is None else lanes.add(sums[i % 4], x)
    total = lanes.constant(0.0)
    for part in sums:
        total = total if part is None else lanes.add(total, part)
    total = lanes.sum(total)
    for rest in range(whole, window):
        total = lanes.add(total, lanes.splat(memory, place + rest))
    return lanes.mul(total, lanes.constant(1.0 / window))


@intrinsic(prefer_literal=True)
def frame(typing: Any, samples: Any, start: Any, memory: Any, out: Any, row: Any, layout: Any) -> Any:  # noqa: ARG001
    """``frame(samples, start, memory, out, row, layout)``: ``samples[start:]`` to a row of `out`."""
    if not isinstance(layout, types.StringLiteral):
        raise TypingError("the layout must be a constant text")
    plan = msgspec.json.decode(layout.literal_value, type=Layout)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        def data(number: int) -> ir.Value:
            return context.make_array(signature.args[number])(context, builder, arguments[number]).data

        first = builder.mul(arguments[4], index(plan.count))
        emit(
            builder,
            builder.gep(data(0), [arguments[1]]),
            data(2),
            builder.gep(builder.bitcast(arguments[3], F32.as_pointer()), [first]),
            plan,
        )
        return context.get_dummy_value()

    return types.void(samples, types.intp, memory, out, types.intp, layout), generate


@intrinsic
def pointer(typing: Any, address: Any) -> Any:  # noqa: ARG001
    """``pointer(address)``: memory at an address, which costs a caller less than an array does."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.intp), generate


@cache
def build(text: str) -> Any:
    """The compiled ``push`` of a layout in JSON; as in `edge.frontend.kernels`. Memory comes by address.

    It closes over texts and numbers only: what else a closure holds would change numba's key from start to start.
    """
    layout = msgspec.json.decode(text, type=Layout)
    window, hop, limit = layout.window, layout.hop, layout.limit
    at = layout.offsets()
    first, end = at["samples"], at["end"]

    def push(samples, address):  # type: ignore[no-untyped-def]
        """Buffer samples, emit each frame as it becomes whole."""
        memory = numba.carray(pointer(address), end, np.float32)  # type: ignore[attr-defined, call-arg]
        counts = numba.carray(pointer(address), buffer.COUNTS, np.int64)
        held, out, taken, done = memory[first:], pointer(counts[TARGET]), 0, 0
        while taken < samples.size:
            taken = buffer.refill(samples, taken, held, counts, np.float32(limit))
            start, fill = counts[START], counts[FILL]
            while fill - start >= window:
                frame(held, start, memory, out, done, text)
                start, done = start + hop, done + 1
            counts[START] = start
        return done

    return buffer.jit(push)
