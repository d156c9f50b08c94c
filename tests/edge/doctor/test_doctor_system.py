"""Faults of the system, put in one by one: each is found, and the line says what to type."""

import os
import stat
from types import SimpleNamespace

import pytest

from edge.doctor import system
from edge.doctor.finding import run
from edge.errors import ConfigError

NOW = 1_777_609_800.0


@pytest.mark.parametrize(
    ("told", "now", "level", "text"),
    [
        ((0, 4000), NOW, "ok", "synchronised, within 4 ms"),
        ((0x41, 16_000_000), NOW, "warn", "not synchronised"),
        (None, NOW, "warn", "may not be asked"),
        ((0, 4000), 300.0, "fail", "it is 1970-01-01 here"),
    ],
)
def test_the_clock(told, now, level, text):
    found = system.clock(lambda: told, lambda: now)
    assert found.level == level
    assert text in found.text
    assert bool(found.fix) == (level != "ok")


def test_the_kernels_own_clock_answers():
    status, error = system.kernel_clock()
    assert 0 <= status < 1 << 16
    assert 0 <= error <= 16_000_000  # MAXPHASE-bounded: NTP_PHASE_LIMIT of the kernel, µs


def volume(free_mb, flags=0, inodes=1000):
    return lambda path: SimpleNamespace(
        f_bavail=free_mb * 1000, f_frsize=1000, f_flag=flags, f_files=1000, f_favail=inodes
    )


@pytest.mark.parametrize(
    ("statvfs", "level", "text", "fix"),
    [
        (volume(5000), "ok", "5000 MB free", ""),
        (volume(300), "warn", "300 MB free, soon less than 200", "clips.max_mb"),
        (volume(100), "fail", "100 MB free, expected 200", "sudo du"),
        (volume(5000, os.ST_RDONLY), "fail", "read-only", "SD card"),
        (volume(5000, inodes=0), "fail", "no inodes are left", "df -i"),
    ],
)
def test_a_disk(tmp_path, statvfs, level, text, fix):
    found = system.disk("disk of journal", tmp_path / "not" / "there" / "yet", 200, statvfs)
    assert (found.check, found.level) == ("disk of journal", level)
    assert text in found.text
    assert fix in found.fix


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "state").write_text("")
    found = system.disk("disk", tmp_path / "state" / "wheatear", 1)
    assert (found.level, "cannot be written by this user" in found.text) == ("fail", True)


def board(folder, celsius=(), throttled=None):
    for number, value in enumerate(celsius):
        zone = folder / f"class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{value * 1000}\n")
    if throttled is not None:
        firmware = folder / "devices/platform/soc/soc:firmware"
        firmware.mkdir(parents=True)
        (firmware / "get_throttled").write_text(f"{throttled:x}\n")
    return folder


def levels(found):
    return [(one.check, one.level) for one in found]


@pytest.mark.parametrize(("celsius", "level"), [((40, 61), "ok"), ((40, 78), "warn"), ((90, 40), "fail")])
def test_heat(tmp_path, celsius, level):
    assert levels(system.heat(board(tmp_path, celsius), lambda _: None)) == [("temperature", level)]


def test_a_computer_that_tells_no_temperature(tmp_path):
    assert list(system.heat(tmp_path, lambda _: None)) == []


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0x0, ["ok"]),
        (0x1, ["fail"]),
        (0x5, ["fail", "fail"]),
        (0x50000, ["warn"]),
        (0x50005, ["fail", "fail"]),
    ],
)
def test_power_by_file_and_by_program(tmp_path, bits, expected):
    by_file = list(system.heat(board(tmp_path, throttled=bits), lambda _: None))
    by_program = list(system.heat(tmp_path / "none", lambda command: f"throttled=0x{bits:x}\n"))
    assert levels(by_file) == [("power", level) for level in expected]
    assert by_program == by_file
    if bits & 1:
        assert (by_file[0].text, "power supply" in by_file[0].fix) == ("the supply voltage is too low", True)


def test_memory(tmp_path):
    for kilobytes, level in ((1_000_000, "ok"), (90_000, "warn")):
        (tmp_path / "meminfo").write_text(f"MemTotal: 2000000 kB\nMemAvailable:  {kilobytes} kB\n")
        assert system.memory(tmp_path / "meminfo").level == level
    assert system.memory().level in ("ok", "warn")


def test_permissions(tmp_path):
    assert system.permissions(tmp_path / "none").level == "warn"
    (tmp_path / "pcmC1D0c").write_text("")
    (tmp_path / "pcmC0D0p").write_text("")
    assert system.permissions(tmp_path, lambda path: True).level == "ok"
    found = system.permissions(tmp_path, lambda path: False)
    assert (found.level, found.fix) == ("fail", "sudo usermod -aG audio $USER, then log in again")


def test_compiled_kernels(tmp_path):
    folder = tmp_path / "numba"
    assert system.kernels(folder).fix == "wheatear warm"
    folder.mkdir(mode=0o700)
    (folder / "a.nbi").write_text("")
    assert system.kernels(folder).level == "ok"
    folder.chmod(0o777)
    found = system.kernels(folder)
    assert (found.level, found.fix) == ("fail", f"chmod 700 {folder}")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777  # looked at, not changed


def shown(**fields):
    fields = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": "0", **fields}
    text = "".join(f"{key}={value}\n" for key, value in fields.items())
    return lambda command: text if "--user" not in command else "LoadState=not-found\n"


@pytest.mark.parametrize(
    ("run", "level", "text", "fix"),
    [
        (shown(), "ok", "active (running)", ""),
        (shown(NRestarts="7"), "warn", "started again 7 times", "journalctl -u wheatear"),
        (shown(ActiveState="failed", SubState="failed", Result="watchdog"), "fail", "watchdog", "journalctl"),
        (shown(ActiveState="inactive", SubState="dead"), "warn", "inactive (dead)", "systemctl enable --now"),
        (lambda command: None, "ok", "none", ""),
        (shown(LoadState="not-found"), "ok", "none", ""),
    ],
)
def test_the_service(run, level, text, fix):
    (found,) = system.service(run)
    assert found.level == level
    assert text in found.text
    assert fix in found.fix


def test_a_program_that_is_missing_fails_or_hangs_tells_nothing():
    assert system.output(["no-such-program-anywhere"]) is None
    assert system.output(["false"]) is None
    assert system.output(["echo", "yes"]) == "yes\n"


def test_a_check_that_fails_itself_is_a_line_and_the_others_go_on():
    def broken():
        yield system.clock(lambda: (0, 1000), lambda: NOW)
        raise ValueError("a line\nof nonsense")

    first, second = run("odd", broken)
    assert first.level == "ok"
    assert (second.check, second.level, second.text) == (
        "odd",
        "warn",
        "cannot be told: ValueError: a line of nonsense",
    )

    def refused():
        raise ConfigError("expected this, got that; do so")

    (found,) = run("odd", refused)
    assert (found.level, found.text, found.fix) == ("fail", "expected this, got that", "do so")
