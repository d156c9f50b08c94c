"""What the daemon costs as it is installed: processor time, memory, and how soon it listens.

The real command in a process of its own, with journal and sockets. Sound comes at its own pace: through a pipe, as from
a recorder, and through a sound server, as from a microphone. The start is over when the daemon tells the service
manager that it is ready.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.microphone import MISSING, installed, pulse_microphone
from bench.ports import free_ports
from bench.result import Figure, Result, figure
from bench.scene import busy_scene
from edge.blocks import Float32
from edge.demo import RATE
from edge.errors import ConfigError

BLOCK_S = 0.02
WARM_UP_S = 5.0
START_S = 120.0
TICKS = os.sysconf("SC_CLK_TCK")
# A device has no scipy; numba would load it where it is there, for functions that nobody here calls.
COMMAND = "import sys; sys.modules['scipy'] = None; from edge.cli import main; main()"
NOTE = (
    "Blocks of 20 ms at the pace of sound; journal on disk, ZeroMQ on loopback, no subscriber. Processor time is user "
    "and system time of the process."
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: seconds and processor seconds until it is ready, then processor seconds a second, and MiB at the end."""

    ready_s: float
    start_cpu_s: float
    cpu: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Feed:
    """How sound comes: arguments of `wheatear run`, the environment it needs, and what plays once it is ready."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    play: Callable[[subprocess.Popen[bytes], Float32, threading.Event], None]


def run(model: str, seconds: float, rounds: int) -> list[Result]:
    """Measure so many runs of the daemon, each hearing `seconds` of a busy scene.

    Raises
    ------
    ConfigError
        The daemon does not start.
    """
    with pipe() as feed:
        once(feed, model, 1.0)  # fills the caches: what follows are warm starts
    figures, notes = [], [NOTE]
    for row, open_feed in (("pipe", pipe), ("microphone, PulseAudio", microphone)):
        if open_feed is microphone and not installed():
            notes.append(f"No microphone: it {MISSING}.")
            continue
        with open_feed() as feed:
            figures += _figures(row, [once(feed, model, seconds) for _ in range(rounds)])
    idle = Figure(row="machine", column="idle just after", value=_idle_share(), unit="% of all cores")
    settings = {"model": model, "rate": RATE, "seconds": seconds, "rounds": rounds}
    return [Result(benchmark="resources", settings=settings, figures=[*figures, idle], notes=notes)]


def _figures(row: str, runs: Sequence[Cost]) -> list[Figure]:
    return [
        figure(row, "processor", [100 * one.cpu for one in runs], "% of a core", "less"),
        figure(row, "resident memory", [one.rss_mib for one in runs], "MiB", "less"),
        figure(row, "start to ready", [one.ready_s for one in runs], "s", "less"),
        figure(row, "of it processor", [one.start_cpu_s for one in runs], "s", "less"),
    ]


@contextmanager
def pipe() -> Iterator[Feed]:
    """Standard input, written at the pace of sound."""
    yield Feed(["--source", "-", "--realtime", "--pcm", f"s16le:{RATE}:1"], os.environ, _write)


@contextmanager
def microphone() -> Iterator[Feed]:
    """The default microphone, of a sound server of our own."""
    with pulse_microphone() as mic:
        yield Feed(["--source", "mic:"], mic.env, lambda _daemon, samples, _ended: mic.play(samples, RATE))


def once(feed: Feed, model: str, seconds: float) -> Cost:
    """Run the daemon; return what it took."""
    samples = np.tile(busy_scene(min(seconds, 60.0))[0], 1 + int((seconds + WARM_UP_S + 5) // min(seconds, 60.0)))
    with tempfile.TemporaryDirectory(prefix="wheatear-") as folder, _manager(Path(folder)) as ready:
        command = [sys.executable, "-c", COMMAND, "run", *feed.arguments, "--model", model]
        command += ["--journal", f"{folder}/events.journal", "--publish", f"tcp://127.0.0.1:{free_ports()}"]
        env = {**feed.env, "NOTIFY_SOCKET": f"{folder}/notify"}
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        began = time.monotonic()
        daemon = subprocess.Popen(command, env=env, **streams)
        ended = threading.Event()
        player = threading.Thread(target=feed.play, args=(daemon, samples, ended))
        player.start()
        try:
            if not ready.wait(START_S) or daemon.poll() is not None:
                raise ConfigError(f"bench resources: the daemon did not start: {_complaint(daemon)}")
            took, start_cpu = time.monotonic() - began, _cpu(daemon.pid)
            time.sleep(min(WARM_UP_S, seconds))
            used, at = _cpu(daemon.pid), time.monotonic()
            time.sleep(seconds)
            share = (_cpu(daemon.pid) - used) / (time.monotonic() - at)
            return Cost(took, start_cpu, share, _rss(daemon.pid))
        finally:
            ended.set()
            player.join()
            daemon.terminate()
            daemon.communicate()


def _write(daemon: subprocess.Popen[bytes], samples: Float32, ended: threading.Event) -> None:
    """Write sound at its own pace."""
    stdin = daemon.stdin
    if stdin is None:
        return
    data = (samples * 32767).astype("<i2")
    block = round(BLOCK_S * RATE)
    began, sent = time.monotonic(), 0
    while not ended.wait(max(0.0, began + sent / RATE - time.monotonic())):
        try:
            stdin.write(data[sent : sent + block].tobytes())
            stdin.flush()
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
