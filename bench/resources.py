"""What the daemon costs as it is installed: processor time, memory, and how soon it listens.

The real command in a process of its own, with journal and sockets. Sound comes through a pipe at its own pace, as
from a microphone, in blocks of 20 ms; the start is over when the daemon tells the service manager that it is ready.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.result import Figure, Result, figure
from bench.scene import busy_scene
from edge.demo import RATE
from edge.errors import ConfigError

BLOCK_S = 0.02
WARM_UP_S = 5.0
START_S = 120.0
TICKS = os.sysconf("SC_CLK_TCK")


def run(model: str, seconds: float, rounds: int) -> list[Result]:
    """Measure so many runs of the daemon, each hearing `seconds` of a busy scene.

    Raises
    ------
    ConfigError
        The daemon does not start.
    """
    once(model, 1.0)  # fills the caches: what follows are warm starts
    runs = [once(model, seconds) for _ in range(rounds)]
    figures = [
        figure("daemon, one stream", "processor", [100 * cpu for _, cpu, _ in runs], "% of a core", "less"),
        figure("daemon, one stream", "resident memory", [rss for _, _, rss in runs], "MiB", "less"),
        figure("daemon, one stream", "start to ready", [ready for ready, _, _ in runs], "s", "less"),
    ]
    idle = _idle_share()
    return [
        Result(
            benchmark="resources",
            settings={"model": model, "rate": RATE, "seconds": seconds, "rounds": rounds},
            figures=[*figures, Figure(row="machine", column="idle just before", value=idle, unit="% of all cores")],
            notes=["A pipe at the pace of sound, blocks of 20 ms; journal on disk, ZeroMQ on loopback, no subscriber."],
        )
    ]


def once(model: str, seconds: float) -> tuple[float, float, float]:
    """Run the daemon; return seconds to readiness, processor seconds per second, MiB at the end."""
    with tempfile.TemporaryDirectory(prefix="wheatear-") as folder, _manager(Path(folder)) as ready:
        command = [sys.executable, "-c", "from edge.cli import main; main()", "run", "--source", "-", "--realtime"]
        command += ["--pcm", f"s16le:{RATE}:1", "--model", model, "--journal", f"{folder}/events.journal"]
        command += ["--publish", f"tcp://127.0.0.1:{_port()}"]
        began = time.monotonic()
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": f"{folder}/notify"},
        )
        ended = threading.Event()
        player = threading.Thread(target=_play, args=(daemon, seconds + WARM_UP_S + 5, ended))
        player.start()
        try:
            if not ready.wait(START_S) or daemon.poll() is not None:
                raise ConfigError(f"bench resources: the daemon did not start: {_complaint(daemon)}")
            took = time.monotonic() - began
            time.sleep(min(WARM_UP_S, seconds))
            used, at = _cpu(daemon.pid), time.monotonic()
            time.sleep(seconds)
            return took, (_cpu(daemon.pid) - used) / (time.monotonic() - at), _rss(daemon.pid)
        finally:
            ended.set()
            player.join()
            daemon.terminate()
            daemon.communicate()


def _play(daemon: subprocess.Popen[bytes], seconds: float, ended: threading.Event) -> None:
    """Write a scene at the pace of sound."""
    pipe = daemon.stdin
    if pipe is None:
        return
    samples = (busy_scene(min(seconds, 60.0))[0] * 32767).astype("<i2")
    block = round(BLOCK_S * RATE)
    began, sent = time.monotonic(), 0
    while not ended.wait(max(0.0, began + sent / RATE - time.monotonic())):
        try:
            pipe.write(np.take(samples, range(sent, sent + block), mode="wrap").tobytes())
            pipe.flush()
        except OSError:  # the daemon has ended; who waits for it will say so
            return
        sent += block


@contextmanager
def _manager(folder: Path) -> Iterator[threading.Event]:
    """A service manager's socket; the event is set by READY=1."""
    ready = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(folder / "notify"))

        def listen() -> None:
            while text := s.recv(4096):
                if text.startswith(b"READY=1"):
                    ready.set()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield ready
        finally:
            s.shutdown(socket.SHUT_RDWR)
            thread.join()


def _cpu(pid: int) -> float:
    """Processor seconds used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _idle_share(seconds: float = 1.0) -> float:
    """How much of the machine nobody uses, %."""

    def times() -> list[int]:
        return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]

    before = times()
    time.sleep(seconds)
    spent = [b - a for a, b in zip(before, times(), strict=True)]
    return 100 * (spent[3] + spent[4]) / max(1, sum(spent))


def _complaint(daemon: subprocess.Popen[bytes]) -> str:
    daemon.kill()
    return (daemon.communicate()[1] or b"no word").decode(errors="replace").strip().splitlines()[-1]


def _port() -> int:
    """A free port with a free one behind it."""
    while True:
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            port: int = a.getsockname()[1]
            try:
                b.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
