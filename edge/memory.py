"""Giving memory back that is needed at the start only."""

from __future__ import annotations

import ctypes
from pathlib import Path

MAPS = Path("/proc/self/maps")
DONT_NEED = 4  # MADV_DONTNEED of madvise(2)


def release_compiler() -> None:
    """Let go of LLVM's code that start-up has touched, some 50 MiB: with all kernels loaded, nobody runs it.

    The pages are a file's and never written to; should a kernel be compiled after all, they are read again.
    Nothing happens where the system has no such call.
    """
    try:
        lines = MAPS.read_text().splitlines()
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in lines:
        span, rights, *rest = line.split()
        if rights == "r-xp" and "libllvmlite" in rest[-1]:
            start, stop = (int(address, 16) for address in span.split("-"))
            madvise(start, stop - start, DONT_NEED)
