"""From samples to the features of one channel: the kernels with their buffer, before any stage that looks at its past.

        samples   |────────────────window────────────────|
                  |──hop──|────────────────window────────────────|
        frame     k       k + 1

`Extractor.push` is all that happens to a hop of sound on a device, so it does nothing but count and call the kernel.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from numba.core.errors import NumbaError

from edge.blocks import Float32
from edge.errors import SpecError
from edge.frontend import buffer, footprint, fused
from edge.frontend.buffer import PLAIN, Samples
from edge.frontend.spec import FrontEndSpec

log = logging.getLogger(__name__)

WIDTHS = (PLAIN, 4, 8, 16)
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
    push
        ``push(samples) → frames [T, F]``: the frames that these samples complete, float32 (full scale ±1) or int16
        ``[N]``. They are valid until the next push, which may write over them. It is an attribute, not a method, for
        it has to be called without any Python in between; see `edge.frontend.entry`.

    Raises
    ------
    SpecError
        Where there is no such width.
    """

    def __init__(self, spec: FrontEndSpec, width: int | None = None) -> None:
        self.spec = spec
        self._window, self._hop, self._count = spec.frames.window, spec.frames.hop, spec.band_count
        self._make = _program(msgspec.json.encode(spec), _chosen(width))
        self._kernel = self._make()
        self._idle: list[Any] = []  # kernels that `transform` has used
        self.width = self._kernel.width
        self._counts, self._buffer = self._kernel.counts, self._kernel.buffer
        self.push: Callable[[Samples], Float32] = self._kernel.method(self._pushed)
        self._read = memoryview(self._counts)  # gives Python's own integers, and sooner
        self.reset()

    @property
    def replaced(self) -> int:
        """Samples replaced by 0 since construction, for they were NaN, infinite or beyond any sound."""
        return int(self._read[buffer.REPLACED])

    def reset(self, skip: int = 0) -> None:
        """Forget all samples; the next frame begins `skip` samples from here, or −`skip` samples of silence ago."""
        _begin(self._kernel, skip)

    def _pushed(self, samples: Samples) -> Float32:
        """The long way: many samples, or an array that is not just what a kernel takes."""
        out = np.empty((-(-samples.size // self._hop), self._count), np.float32)
        return out[: self._kernel.run(samples, out)]

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
            kernel = self._worker()
            _begin(kernel, min(0, begin))
            before = int(kernel.counts[buffer.REPLACED])
            done = kernel.run(samples[max(0, begin) : max(0, min(end, samples.size))], out[first:last])
            if end > samples.size:
                kernel.run(np.zeros(end - max(begin, samples.size), np.float32), out[first + done : last])
            self._idle.append(kernel)
            return int(kernel.counts[buffer.REPLACED]) - before

        pieces = [(a, b) for a, b in pairwise(bounds) if a < b]
        if len(pieces) < 2:
            replaced = sum(block(a, b) for a, b in pieces)
        else:
            with ThreadPoolExecutor(len(pieces)) as pool:
                replaced = sum(pool.map(block, *zip(*pieces, strict=True)))
        self._counts[buffer.REPLACED] += replaced
        return out

    def _worker(self) -> Any:
        """A kernel with memory of its own: making one takes as long as some hundred frames."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

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


def _begin(kernel: Any, skip: int) -> None:
    """No past: the next frame begins `skip` samples from here, or −`skip` samples of silence ago."""
    kernel.counts[buffer.START], kernel.counts[buffer.FILL] = max(0, skip), max(0, -skip)
    kernel.buffer[: max(0, -skip)] = 0


@cache
def _program(text: bytes, width: int | None) -> Callable[[], Any]:
    """What makes kernels of a spec, each with memory of its own."""
    spec = msgspec.json.decode(text, type=FrontEndSpec)
    if width != PLAIN and fused.possible(spec):
        try:
            made = partial(fused.Kernel, *fused.compiled(spec, width or fused.host_width()))
            made()
            footprint.release()
            return made
        except (NumbaError, RuntimeError) as error:  # another numba or LLVM than we know
            if width is not None:
                raise
            reason = str(error).strip().splitlines()[0]
            log.warning("front end: no vector kernel here, the plain one will do: %s", reason)
    from edge.frontend import kernels  # the device's own processor rarely needs it

    return partial(kernels.Kernel, kernels.plan(spec))


def _chosen(width: int | None) -> int | None:
    """The width asked for, by argument or environment."""
    text = os.environ.get("WHEATEAR_VECTOR_WIDTH", "")
    if width is None and text:
        width = int(text) if text.isdecimal() else -1
    if width is not None and width not in WIDTHS:
        raise SpecError(f"front end: expected a vector width of 1, 4, 8 or 16, got {text or width}")
    return width
