"""The sample buffer that every kernel fills, and how functions are compiled.

                    START            FILL
    buffer   | past |  next frame … |  free                      | SPARE |

Samples come in at FILL; when a window of them lies behind START, a frame is computed and START moves on by a hop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt

from edge.blocks import Float32
from edge.frontend.spec import HEADROOM, FrontEndSpec

Samples = npt.NDArray[np.float32] | npt.NDArray[np.int16]

PLAIN = 1  # the plain kernel's width
ROWS = 8  # frames of a push that need no new array
SPARE = 256  # samples behind the buffer's end that a kernel may read (and silence)

# What is carried from call to call beside the samples, int64 ``[COUNTS]``. START: where in the buffer the next frame
# begins. FILL: where its samples end. START beyond FILL: so many are to come before it begins. REPLACED: samples that
# were no sound. TARGET: address where a vector kernel writes. The others are for `entry`.
START, FILL, REPLACED, TARGET = 0, 1, 2, 3
KERNEL, ADDRESS, LONGEST, ARRAY, FLOAT, SHORT = 4, 5, 6, 7, 8, 9
COUNTS = 16

# contract: a·b + c may fuse; nsz: the sign of zero is not heard. No reassociation: sums keep their order.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}


def jit(function: Callable[..., Any]) -> Any:
    """Compile lazily, without the GIL; cached on disk where there is a place to write."""
    try:
        return numba.njit(function, cache=True, nogil=True, **_OPTIONS)
    except RuntimeError:  # numba: "no locator available", neither the package nor the user's cache can be written
        return numba.njit(function, nogil=True, **_OPTIONS)


def callback(function: Callable[..., Any], signature: Any) -> Any:
    """Compile now, as a C function; cached likewise."""
    try:
        return numba.cfunc(signature, cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return numba.cfunc(signature, **_OPTIONS)(function)


@jit
def refill(samples, taken, buffer, counts, limit):  # type: ignore[no-untyped-def]
    """Copy ``samples[taken:]`` behind what the buffer holds, as far as there is room; the new `taken`.

    int16 becomes ±1. What is not finite or beyond `limit` becomes 0 and is counted. What is held moves to the buffer's
    beginning when room runs out, not before: a stream moves it once in several hops.
    """
    start, fill, capacity = counts[START], counts[FILL], buffer.size - SPARE
    if start > fill:  # hop > window: samples between two frames
        skipped = min(start - fill, samples.size - taken)
        taken, fill = taken + skipped, fill + skipped
    if start >= fill:
        start, fill = start - fill, 0
    if start and fill + samples.size - taken > capacity:
        source, target = buffer[start:fill], buffer[: fill - start]
        for i in range(source.size):
            target[i] = source[i]
        start, fill = 0, fill - start
    unit = np.float32(1 / 32768) if samples.itemsize == 2 else np.float32(1)
    count, bad = min(samples.size - taken, capacity - fill), 0
    fresh, place = samples[taken : taken + count], buffer[fill : fill + count]
    for i in range(count):
        x = np.float32(fresh[i]) * unit
        sound = abs(x) <= limit  # false for NaN
        place[i] = x if sound else np.float32(0)
        bad += 0 if sound else 1
    counts[START], counts[FILL] = start, fill + count
    counts[REPLACED] += bad
    return taken + count


def room(window: int, hop: int) -> int:
    """Length of a sample buffer: a window, some hops that come at once, and what a kernel reads behind its end."""
    return window + max(1024, 4 * hop) + SPARE


def limit(spec: FrontEndSpec) -> np.float32:
    """Largest magnitude of a sample whose power is sure to fit."""
    return np.float32(HEADROOM / max(1.0, spec.frames.full_scale))


def views(count: int) -> tuple[Float32, list[Float32]]:
    """An output array for small pushes, and its first 0, 1, 2 … rows: making them costs as much as a frame."""
    out = np.zeros((ROWS, count), np.float32)
    return out, [out[:rows] for rows in range(ROWS + 1)]


def plain(samples: Samples, more: Literal["A", "W"] = "A") -> Samples:
    """Samples as a kernel takes them, int16 or float32 side by side; a copy only where they are not so."""
    kind = np.int16 if (samples.dtype.kind, samples.itemsize) == ("i", 2) else np.float32  # of either byte order
    return np.require(samples, kind, ["C", more])
