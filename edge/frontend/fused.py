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
from collections.abc import Callable
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

from edge.blocks import Float32
from edge.frontend import bands, buffer, entry, filterbank, transform
from edge.frontend.buffer import FILL, START, TARGET, Samples
from edge.frontend.entry import pointer
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
            "counts": 2 * buffer.COUNTS,
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
    for name in ("vector", "transform", "bands", "buffer", "entry", "fused"):
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
def frame(typing: Any, samples: Any, memory: Any, out: Any, layout: Any) -> Any:  # noqa: ARG001
    """``frame(samples, memory, out, layout)``: one frame; all three are addresses."""
    if not isinstance(layout, types.StringLiteral):
        raise TypingError("the layout must be a constant text")
    plan = msgspec.json.decode(layout.literal_value, type=Layout)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        source, scratch, target = (builder.inttoptr(address, F32.as_pointer()) for address in arguments[:3])
        emit(builder, source, scratch, target, plan)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3, layout), generate


@cache
def build(text: str) -> Any:
    """The kernel of a layout in JSON, a C function: (data, size, item size, memory) → frames.

    It takes `size` samples at an address, int16 or float32 by their item size, and writes the frames that they complete
    where TARGET points. It closes over texts and numbers only: what else a closure holds would change numba's key from
    start to start.
    """
    layout = msgspec.json.decode(text, type=Layout)
    window, hop, limit, row = layout.window, layout.hop, layout.limit, 4 * layout.count
    at = layout.offsets()
    first, room = 4 * at["samples"], at["end"] - at["samples"]

    def push(data, size, itemsize, memory):  # type: ignore[no-untyped-def]
        """Buffer samples, emit each frame as it becomes whole."""
        counts = numba.carray(pointer(memory), buffer.COUNTS, np.int64)  # type: ignore[attr-defined, call-arg]
        held = numba.carray(pointer(memory + first), room, np.float32)
        floats, shorts = numba.carray(pointer(data), size, np.float32), numba.carray(pointer(data), size, np.int16)
        out, taken, done = counts[TARGET], 0, 0
        while taken < size:
            if itemsize == 4:
                taken = buffer.refill(floats, taken, held, counts, np.float32(limit))
            else:
                taken = buffer.refill(shorts, taken, held, counts, np.float32(limit))
            start, fill = counts[START], counts[FILL]
            while fill - start >= window:
                frame(memory + first + 4 * start, memory, out + done * row, text)
                start, done = start + hop, done + 1
            counts[START] = start
        return done

    return buffer.callback(push, types.int64(*[types.intp] * 4))


def compiled(spec: FrontEndSpec, width: int) -> tuple[Any, Layout, np.ndarray]:
    """Kernel, layout and memory of a spec."""
    layout, table = plan(spec, width)
    return build(msgspec.json.encode(layout).decode()), layout, table


class Kernel:
    """A vector kernel with its memory.

    Parameters
    ----------
    call, layout, table
        From `compiled`.

    Attributes
    ----------
    counts, buffer
        What is carried, views of the memory.
    """

    def __init__(self, call: Any, layout: Layout, table: Float32) -> None:
        self.width, self._call = layout.width, call
        memory = _aligned(table)
        self.counts = memory[: 2 * buffer.COUNTS].view(np.int64)
        self.buffer = memory[layout.offsets()["samples"] :]
        self._memory, self._layout, self._target = memory.ctypes.data, layout, 0

    def method(self, otherwise: Callable[[Any], Float32]) -> Callable[[Any], Float32]:
        """What pushes a few hops, into views made beforehand; `otherwise` takes the rest."""
        out, views = buffer.views(self._layout.count)
        self._target = self.counts[buffer.TARGET] = out.ctypes.data
        return entry.method(self.counts, self._call.address, buffer.ROWS * self._layout.hop, views, otherwise)

    def run(self, samples: Samples, out: Float32) -> int:
        """Frames into the first rows of `out`, without the GIL; how many."""
        plain = buffer.plain(samples)
        self.counts[buffer.TARGET] = out.ctypes.data
        done = self._call.ctypes(plain.ctypes.data, plain.size, plain.itemsize, self._memory)
        self.counts[buffer.TARGET] = self._target
        return int(done)


def _aligned(table: Float32) -> Float32:
    """A copy that begins at a cache line."""
    raw = np.zeros(table.size + 16, np.float32)
    start = -(raw.ctypes.data // 4) % 16
    raw[start : start + table.size] = table
    return raw[start : start + table.size]
