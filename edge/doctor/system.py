"""Clock, disks, heat, memory, permissions and the service."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge.doctor.finding import Finding, fail, ok, warn

MB = 1_000_000
UNSYNCHRONISED = 0x40  # STA_UNSYNC, linux/timex.h
TIMEX_BYTES, STATUS_AT, ERROR_AT = 256, 40, 24  # struct timex of 64-bit Linux, with room
YEAR_2024 = 1_704_067_200
HOT_C, TOO_HOT_C = 75.0, 85.0
THROTTLE = {  # bits of `vcgencmd get_throttled`; the same 16 higher: since the start
    0: ("the supply voltage is too low", "use the board's own power supply and a short cable"),
    1: ("the processor's clock is held down", "cool the board"),
    2: ("the processor is throttled", "cool the board"),
    3: ("the soft temperature limit is reached", "cool the board"),
}
JOURNAL = "journalctl -u wheatear -n 50"
Run = Callable[[Sequence[str]], "str | None"]


def output(command: Sequence[str]) -> str | None:
    """What a program prints; None where it is missing, fails or takes too long."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def kernel_clock() -> tuple[int, int] | None:
    """Status bits and largest error in µs of the kernel's clock, adjtimex(2); None where it may not be asked."""
    record = (ctypes.c_char * TIMEX_BYTES)()
    if ctypes.CDLL(None, use_errno=True).adjtimex(record) < 0:
        return None
    status = ctypes.c_int.from_buffer(record, STATUS_AT).value
    return status, ctypes.c_long.from_buffer(record, ERROR_AT).value


def clock(read: Callable[[], tuple[int, int] | None] = kernel_clock, now: Callable[[], float] = time.time) -> Finding:
    """Whether the time of day can be believed."""
    fix = "sudo timedatectl set-ntp true; without a network: a clock module with a battery, or GPS with chrony"
    if now() < YEAR_2024:
        return fail("clock", f"it is {time.strftime('%Y-%m-%d', time.gmtime(now()))} here", fix)
    told = read()
    if told is None:
        return warn("clock", "the kernel may not be asked whether it is synchronised", "see `timedatectl`")
    if told[0] & UNSYNCHRONISED:
        return warn("clock", "not synchronised: UTC of events may be wrong", fix)
    return ok("clock", f"synchronised, within {told[1] / 1000:.0f} ms")


def disk(name: str, folder: Path, floor_mb: int, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs) -> Finding:
    """Whether a folder can be written and its disk has room."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return fail(name, f"{folder} cannot be written by this user", f"sudo chown -R $USER {there}, or another folder")
    found = statvfs(there)
    if found.f_flag & os.ST_RDONLY:
        return fail(name, f"{folder} lies on a read-only disk", "dmesg | grep -i error; a worn SD card turns read-only")
    free = found.f_bavail * found.f_frsize / MB
    text = f"{folder}: {free:.0f} MB free"
    if found.f_files and not found.f_favail:
        return fail(name, f"{folder}: no inodes are left", "delete many small files: df -i")
    if free < floor_mb:
        return fail(name, f"{text}, expected {floor_mb}", "delete what is not needed: sudo du -xh / | sort -h | tail")
    if free < 2 * floor_mb:
        return warn(name, f"{text}, soon less than {floor_mb}", "delete what is not needed, or lower clips.max_mb")
    return ok(name, text)


def heat(system: Path = Path("/sys"), run: Run = output) -> Iterator[Finding]:
    """Temperature, and whether the board slows itself down."""
    zones = [_number(path) / 1000 for path in system.glob("class/thermal/thermal_zone*/temp")]
    real = [celsius for celsius in zones if -40 < celsius < 150]
    if real:
        hottest = max(real)
        text, fix = f"{hottest:.0f} °C", "shade, a heat sink, or holes in the housing"
        if hottest >= TOO_HOT_C:
            yield fail("temperature", text, fix)
        else:
            yield warn("temperature", text, fix) if hottest >= HOT_C else ok("temperature", text)
    bits = _throttled(system, run)
    if bits is None:
        return
    now = [THROTTLE[bit] for bit in THROTTLE if bits >> bit & 1]
    past = [THROTTLE[bit] for bit in THROTTLE if bits >> bit + 16 & 1]
    for text, fix in now:
        yield fail("power", text, fix)
    if past and not now:
        yield warn("power", f"since the start: {', '.join(text for text, _ in past)}", past[0][1])
    if not (now or past):
        yield ok("power", "not throttled")


def _throttled(system: Path, run: Run) -> int | None:
    for path in system.glob("devices/platform/soc*/soc*:firmware/get_throttled"):
        return int(path.read_text(), 16)
    told = run(["vcgencmd", "get_throttled"])
    return int(told.partition("=")[2], 16) if told and "=" in told else None


def _number(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return float("nan")


def memory(info: Path = Path("/proc/meminfo")) -> Finding:
    """Whether there is room for the daemon."""
    fields = dict(line.split(":") for line in info.read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024 / MB
    if free < 150:
        return warn("memory", f"{free:.0f} MB available", "end other programs; on a Pi: boot without a desktop")
    return ok("memory", f"{free:.0f} MB available")


def permissions(devices: Path = Path("/dev/snd"), writable: Callable[[Path], bool] | None = None) -> Finding:
    """Whether this user may open the sound devices."""
    nodes = sorted(devices.glob("pcm*c")) if devices.is_dir() else []
    if not nodes:
        return warn("permissions", f"no capture device in {devices}", "plug a microphone in; see `arecord -l`")
    may = writable or (lambda path: os.access(path, os.R_OK | os.W_OK))
    if all(may(node) for node in nodes):
        return ok("permissions", f"{len(nodes)} capture devices can be opened")
    return fail("permissions", f"{devices} is closed to this user", "sudo usermod -aG audio $USER, then log in again")


def kernels(folder: Path) -> Finding:
    """Whether compiled kernels can be kept, and by nobody else: numba reads them back as code."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return fail("kernels", f"{folder} cannot be written: each start compiles again", "export NUMBA_CACHE_DIR=…")
    status = there.stat()
    if there == folder and (status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid != os.getuid()):
        return fail("kernels", f"{folder} can be written by others, whose code would be run", f"chmod 700 {folder}")
    if not any(folder.rglob("*.nbi")):
        return warn("kernels", f"{folder} is empty: the next start compiles", "wheatear warm")
    return ok("kernels", str(folder))


def service(run: Run = output) -> Iterator[Finding]:
    """What systemd says about the service; of the system and of this user."""
    known = False
    for scope in ([], ["--user"]):
        told = run(["systemctl", *scope, "show", "wheatear", "-p", "LoadState,ActiveState,SubState,NRestarts,Result"])
        fields = dict(line.split("=", 1) for line in (told or "").splitlines() if "=" in line)
        if fields.get("LoadState") == "loaded":
            known = True
            yield _state(fields, " ".join(["", *scope]))
    if not known:
        yield ok("service", "none; `sudo wheatear install-service` makes one")


def _state(fields: dict[str, str], scope: str) -> Finding:
    state = f"{fields.get('ActiveState')} ({fields.get('SubState')})"
    restarts = int(fields.get("NRestarts") or 0)
    if fields.get("ActiveState") == "failed":
        return fail("service", f"{state}, {fields.get('Result')}", JOURNAL.replace(" -u", f"{scope} -u"))
    if fields.get("ActiveState") != "active":
        return warn("service", state, f"sudo systemctl{scope} enable --now wheatear")
    if restarts:
        text = f"{state}, started again {restarts} times"
        return warn("service", text, JOURNAL.replace(" -u", f"{scope} -u"))
    return ok("service", state)
