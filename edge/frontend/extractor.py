"""From samples to the features of one channel: the kernels with their buffer, before any stage that looks at its past.

        samples   |────────────────window────────────────|
                  |──hop──|────────────────window────────────────|
        frame     k       k + 1

`Extractor.push` is all that happens to a hop of sound on a device, so it does nothing but count and call the kernel.
"""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from numba.core.errors import NumbaError

from edge.blocks import Float32
from edge.errors import SpecError
from edge.frontend import buffer, fused
from edge.frontend.spec import FrontEndSpec

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32] | npt.NDArray[np.int16]

PLAIN, WIDTHS = 1, (1, 4, 8, 16)
ROWS = 8  # frames of a push that need no new array
FRAMES_PER_THREAD = 8192  # fewer are not worth another thread


class Extractor:
    """Frames of one channel, before the spec's post stages.

    Parameters
    ----------
    spec
        What to compute; `check` has passed.
    width
        Lanes of a vector: 16 (AVX-512), 8 (AVX), 4 (SSE, NEON), or 1 for the plain kernel. By default the environment's
        ``WHEATEAR_VECTOR_WIDTH``, else what the processor has. Specs that the vector kernel cannot compute take the
        plain one.

    Attributes
    ----------
    width
        The width in use.

    Raises
    ------
    SpecError
        Where there is no such width.
    """

    def __init__(self, spec: FrontEndSpec, width: int | None = None) -> None:
        self.spec = spec
        self._window, self._hop, self._count = spec.frames.window, spec.frames.hop, spec.band_count
        self._program = _program(msgspec.json.encode(spec), _chosen(width))
        self.width = self._program.width
        self._kernel = self._program.push
        self._memory, self._buffer, self._counts = self._program.memory()
        # Small pushes share one output array, whose views are made once: allocating costs as much as a frame.
        self._out = np.zeros((ROWS, self._count), np.float32)
        self._views: list[Float32] = [self._out[:rows] for rows in range(ROWS + 1)]
        self._aimed, self._longest = self._program.aim(self._memory, self._counts, self._out), ROWS * self._hop
        self.reset()

    @property
    def replaced(self) -> int:
        """Samples replaced by 0 since construction, for they were NaN, infinite or beyond any sound."""
        return int(self._counts[buffer.REPLACED])

    def reset(self, skip: int = 0) -> None:
        """Forget all samples; the next frame begins `skip` samples from here, or −`skip` samples of silence ago."""
        self._counts[buffer.START], self._counts[buffer.FILL] = max(0, skip), max(0, -skip)
        self._buffer[: max(0, -skip)] = 0

    def push(self, samples: Samples) -> Float32:
        """Frames that these samples complete, ``[T, F]``: valid until the next push, which may write over them.

        Parameters
        ----------
        samples
            float32 (full scale ±1) or int16, ``[N]``.
        """
        if samples.size > self._longest:
            out = np.empty((-(-samples.size // self._hop), self._count), np.float32)
            return out[: self._fill(samples, out)]
        try:
            count = self._kernel(samples, self._aimed)
        except TypeError:  # not compiled for these samples: the first ones of their type
            count = self._program.compile(samples, self._aimed)
        frames: Float32 = self._views[count]
        return frames

    def transform(self, samples: Samples, skip: int = 0, tail: int = 0, threads: int | None = None) -> Float32:
        """Frames of a whole recording ``[T, F]``; the stream's own state is left alone.

        Parameters
        ----------
        samples
            As for `push`.
        skip
            As for `reset`.
        tail
            Samples of silence behind the recording.
        threads
            Threads that share the work; by default one per processor where there is enough of it.
        """
        total = max(0, (samples.size + tail - skip - self._window) // self._hop + 1)
        out = np.empty((total, self._count), np.float32)
        threads = threads or max(1, min(os.cpu_count() or 1, total // FRAMES_PER_THREAD))
        bounds = [total * i // threads for i in range(threads + 1)]

        def block(first: int, last: int) -> int:
            begin, end = skip + first * self._hop, skip + (last - 1) * self._hop + self._window
            worker = Extractor(self.spec, self.width)
            worker.reset(min(0, begin))
            done = worker._fill(samples[max(0, begin) : max(0, min(end, samples.size))], out[first:last])
            worker._fill(np.zeros(max(0, end - max(begin, samples.size)), np.float32), out[first + done : last])
            return worker.replaced

        pieces = [(a, b) for a, b in pairwise(bounds) if a < b]
        if len(pieces) < 2:
            replaced = sum(block(a, b) for a, b in pieces)
        else:
            with ThreadPoolExecutor(len(pieces)) as pool:
                replaced = sum(pool.map(block, *zip(*pieces, strict=True)))
        self._counts[buffer.REPLACED] += replaced
        return out

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What is carried from push to push: ``held`` (int64) and ``samples`` (float32)."""
        start, fill = int(self._counts[buffer.START]), int(self._counts[buffer.FILL])
        return {"held": np.array(fill - start), "samples": self._buffer[start:fill].copy()}

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on where `state` was taken.

        Raises
        ------
        ValueError
            Where the state is not one of this spec.
        """
        held, samples = int(state["held"]), np.asarray(state["samples"], np.float32)
        if samples.shape != (max(0, held),) or held >= self._window:
            raise ValueError(
                f"front end: expected a state of fewer than {self._window} samples, got {samples.shape} held {held}"
            )
        self.reset(-held)
        self._buffer[: samples.size] = samples

    def _fill(self, samples: Samples, out: Float32) -> int:
        """As `push`, into the first rows of `out`; how many."""
        count = self._program.run(samples, self._program.aim(self._memory, self._counts, out))
        self._aimed = self._program.aim(self._memory, self._counts, self._out)
        return count


class _Program:
    """A compiled kernel and the memory it starts from; shared by all extractors of a spec."""

    _lock = threading.Lock()

    def __init__(self, spec: FrontEndSpec, width: int) -> None:
        self.width = width
        self.push, self._plan, self._samples = _vector(spec, width) if width != PLAIN else _plain(spec)
        # Now, not at the first sound; later, samples of an unknown type must not start the compiler by themselves.
        memory, _, counts = self.memory()
        self.compile(np.zeros(0, np.float32), self.aim(memory, counts, np.zeros((0, 1), np.float32)))

    def memory(self) -> tuple[Any, Float32, npt.NDArray[np.int64]]:
        """Memory of one extractor, as the kernel takes it; and what is carried in it: buffer and counts."""
        if self.width == PLAIN:
            plan = self._plan.copied()
            return plan, plan.buffer, plan.counts
        memory = _aligned(self._plan)
        counts = memory[: 2 * buffer.COUNTS].view(np.int64)
        return memory.ctypes.data, memory[self._samples :], counts

    def aim(self, memory: Any, counts: npt.NDArray[np.int64], out: Float32) -> Any:
        """The kernel's second argument: memory, aimed at an output array."""
        if self.width == PLAIN:
            return memory, out
        counts[buffer.TARGET] = out.ctypes.data
        return memory

    def run(self, samples: Samples, aimed: Any) -> int:
        """Call the kernel."""
        try:
            return int(self.push(samples, aimed))
        except TypeError:
            return self.compile(samples, aimed)

    def compile(self, samples: Samples, aimed: Any) -> int:
        """Call the kernel with samples of any kind, as int16 or float32; compile it (or read its cache) if need be."""
        kind = np.int16 if samples.dtype == np.int16 else np.float32
        plain = np.require(samples, kind, ["C", "W"])
        with self._lock:
            self.push.disable_compile(False)
            frames = int(self.push(plain, aimed))
            self.push.disable_compile()
            return frames


@cache
def _program(text: bytes, width: int | None) -> _Program:
    spec = msgspec.json.decode(text, type=FrontEndSpec)
    if width == PLAIN or not fused.possible(spec):
        return _Program(spec, PLAIN)
    if width is not None:
        return _Program(spec, width)
    try:
        return _Program(spec, fused.host_width())
    except (NumbaError, RuntimeError) as error:  # another numba or LLVM than we know
        log.warning("front end: no vector kernel here, the plain one will do: %s", str(error).strip().splitlines()[0])
        return _Program(spec, PLAIN)


def _plain(spec: FrontEndSpec) -> tuple[Any, Any, int]:
    """Kernel, plan, and no place of the buffer."""
    from edge.frontend import kernels  # the device's own processor rarely needs it

    return kernels.push, kernels.plan(spec), 0


def _vector(spec: FrontEndSpec, width: int) -> tuple[Any, Any, int]:
    """Kernel, memory, and where in it the buffer begins."""
    layout, memory = fused.plan(spec, width)
    return fused.build(msgspec.json.encode(layout).decode()), memory, layout.offsets()["samples"]


def _aligned(table: Float32) -> Float32:
    """A copy that begins at a cache line."""
    raw = np.zeros(table.size + 16, np.float32)
    start = -(raw.ctypes.data // 4) % 16
    raw[start : start + table.size] = table
    return raw[start : start + table.size]


def _chosen(width: int | None) -> int | None:
    """The width asked for, by argument or environment."""
    text = os.environ.get("WHEATEAR_VECTOR_WIDTH", "")
    if width is None and text:
        width = int(text) if text.isdecimal() else -1
    if width is not None and width not in WIDTHS:
        raise SpecError(f"front end: expected a vector width of 1, 4, 8 or 16, got {text or width}")
    return width
