"""What a run costs the machine: processor time, memory, temperature, throttling, where the system tells."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD_S = 0.5
THERMAL = Path("/sys/class/thermal")
PROCESSORS = Path("/sys/devices/system/cpu")
RASPBERRY = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")


class Vitals:
    """Watches this process and its machine from `start` to `stop`.

    Attributes
    ----------
    cpu
        Processor seconds per second, all threads: 1 is one core busy all the time.
    rss_mib
        Largest resident memory seen.
    celsius
        Highest temperature seen; None where the system tells none.
    throttled
        Times the processor slowed itself down because of heat or voltage; None where the system does not tell.
    """

    def __init__(self) -> None:
        self.cpu = 0.0
        self.rss_mib = resident()
        self.celsius = temperature()
        self.throttled: int | None = None
        self._before = throttle_count()
        self._used, self._began = time.process_time(), time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="vitals", daemon=True)

    def __enter__(self) -> Vitals:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self.cpu = (time.process_time() - self._used) / (time.monotonic() - self._began)
        after = throttle_count()
        self.throttled = None if after is None or self._before is None else after - self._before

    def _watch(self) -> None:
        while not self._ended.wait(PERIOD_S):
            self.rss_mib = max(self.rss_mib, resident())
            warm = temperature()
            if warm is not None:
                self.celsius = max(warm, self.celsius or warm)


def resident() -> float:
    """MiB of this process in memory now; the largest so far where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def temperature(root: Path = THERMAL) -> float | None:
    """Highest of the machine's temperatures, °C; None where it tells none."""
    found = [value / 1000 for path in root.glob("thermal_zone*/temp") if (value := _number(path)) is not None]
    return max(found, default=None)


def throttle_count(root: Path = PROCESSORS, raspberry: Path = RASPBERRY) -> int | None:
    """How often the processor has slowed itself down so far; None where the system does not tell.

    On a Raspberry Pi it is 1 once it has happened since the start, for it only keeps flags.
    """
    counts = [_number(path) for path in root.glob("cpu*/thermal_throttle/core_throttle_count")]
    known = [count for count in counts if count is not None]
    if known:
        return sum(known)
    flags = _number(raspberry, 16)
    return None if flags is None else int(flags != 0)


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(path.read_text(encoding="ascii").strip(), base)
    except (OSError, ValueError):
        return None


@contextmanager
def load(workers: int) -> Iterator[None]:
    """Keep so many other processes busy meanwhile."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10_000))"
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(workers)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
