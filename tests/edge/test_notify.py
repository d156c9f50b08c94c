"""systemd's protocol on a real datagram socket."""

import os
import socket

import pytest

from edge.notify import Notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.settimeout(2)
        yield s


def heard(manager):
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


def test_what_is_told(manager):
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.extend_start(90, "compiling\nkernels")
    assert heard(manager) == {"EXTEND_TIMEOUT_USEC": "90000000", "STATUS": "compiling kernels"}
    notifier.ready("two streams")
    assert heard(manager) == {"READY": "1", "STATUS": "two streams"}
    notifier.reloading()
    assert heard(manager).keys() == {"RELOADING", "MONOTONIC_USEC"}
    notifier.stopping()
    assert heard(manager) == {"STOPPING": "1"}


def test_an_abstract_socket():
    name = f"\0wheatear-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name)
        s.settimeout(2)
        Notifier({"NOTIFY_SOCKET": "@" + name[1:]}).stopping()
        assert s.recv(100) == b"STOPPING=1"


def test_the_watchdog_is_fed_three_times_in_its_period_and_no_oftener(manager, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"})
    assert notifier.watchdog_s == 30
    fed = 0
    for _ in range(600):  # a minute of ticks
        now[0] += 0.1
        notifier.alive("listening")
    manager.settimeout(0)
    while True:
        try:
            assert heard(manager) == {"WATCHDOG": "1", "STATUS": "listening"}
        except BlockingIOError:
            break
        fed += 1
    assert 5 <= fed <= 7


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere/at/all"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_manager_nothing_happens(environment):
    notifier = Notifier(environment)
    notifier.ready()
    notifier.alive()
    assert notifier.watchdog_s is None
