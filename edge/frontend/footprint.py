"""What stays in memory when the compiler has done its work.

numba reads its cache through LLVM, whose program code is most of what a process that only computes features holds:
some 50 MiB that nobody needs again until another kernel is loaded. They are clean pages of a file. Given back, they no
longer count as this process's; the system keeps them while it has room, and a kernel loaded later brings those back
that it touches, in some milliseconds.
"""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path

log = logging.getLogger(__name__)

DONT_NEED = 4  # MADV_DONTNEED
LIBRARY = "libllvmlite"


def release(maps: Path = Path("/proc/self/maps")) -> int:
    """Give back LLVM's program code; how many bytes of address space it spans, 0 where there is nothing to be done.

    Only what cannot be written is given back, code and no data: it comes again from the file as it was.
    """
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
        advise = ctypes.CDLL(None, use_errno=True).madvise
    except (OSError, AttributeError):  # not Linux
        return 0
    total = 0
    for line in lines:
        span, rights, *_ = line.split()
        if LIBRARY in line and rights == "r-xp":
            first, last = (int(number, 16) for number in span.split("-"))
            if advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), DONT_NEED):
                log.debug("front end: LLVM's pages stay: error %d", ctypes.get_errno())
            else:
                total += last - first
    return total
