"""`wheatear demo`: a synthesised scene in real time through the daemon and over ZeroMQ, truth beside detection."""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edge.blocks import Event
from edge.commands.format import human
from edge.config import Config, JournalFile, Publish, Stream
from edge.demo import RATE, Truth, scene
from edge.levels.message import Message


@click.command()
@click.option("--fast", is_flag=True, help="As fast as it can instead of in real time.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another scene.")
@click.option("--model", default=Stream().models[0], show_default=True, help="A model's name or folder.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the scene to a WAV file, too.")
def demo(fast: bool, seed: int, model: str, save: Path | None) -> None:
    """Hear a synthesised scene for a minute and compare what was detected with what was there.

    The scene goes through the same daemon, journal and sockets as a microphone would; this command subscribes to it
    over TCP. No sound hardware is needed.
    """
    import soundfile

    samples, truth = scene(seed)
    if save:
        soundfile.write(save, samples, RATE)
    with tempfile.TemporaryDirectory(prefix="wheatear-demo-") as folder:
        path = Path(folder) / "scene.wav"
        soundfile.write(path, samples, RATE)
        config = Config(
            device="demo",
            streams=(Stream(name="scene", source=str(path), model=model, realtime=not fast),),
            publish=Publish(*_free_endpoints()),
            journal=JournalFile(path=str(Path(folder) / "demo.journal")),
        )
        click.echo(
            f"A scene of {len(samples) / RATE:.0f} s, heard by {model}; events come over {config.publish.events}"
        )
        _report(truth, _hear(config))


def _hear(config: Config) -> list[Event]:
    """Run the daemon on the scene; print and return what a subscriber receives."""
    from edge.client import Subscriber
    from edge.daemon import Daemon

    published: list[Message] = []
    heard: list[Event] = []
    daemon = Daemon(config, publish=True, show=published.append, linger=5.0)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            daemon.run()
        except BaseException as error:  # handed to the main thread, which raises it
            failures.append(error)

    thread = threading.Thread(target=run, name="daemon")
    with Subscriber(config.publish.events, config.publish.replay, since=1, timeout=0.2) as events:
        thread.start()
        try:
            while thread.is_alive() and not (daemon.ended.is_set() and len(heard) == len(published)):
                for event in events:
                    heard.append(event)
                    click.echo(human(event))
        finally:
            daemon.stop()
            thread.join()
    if failures:
        raise failures[0]
    return heard


def _free_endpoints() -> tuple[str, str]:
    """The default endpoints, or free ports of the loopback where another daemon holds them."""
    default = Publish()
    ports = [int(endpoint.rpartition(":")[2]) for endpoint in (default.events, default.replay)]
    with socket.socket() as a, socket.socket() as b:
        try:
            for s, port in zip((a, b), ports, strict=True):
                s.bind(("127.0.0.1", port))
        except OSError:
            ports = [_bound(), _bound()]
    return f"tcp://127.0.0.1:{ports[0]}", f"tcp://127.0.0.1:{ports[1]}"


def _bound() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _report(truth: list[Truth], heard: list[Event]) -> None:
    """Print each truth with the detections that overlap it, and the detections that no truth explains."""
    ends = [event for event in heard if event.type == "end"]
    table = Table(title="truth and detection")
    for column in ("truth", "from s", "to s", "heard", "from s", "to s", "peak"):
        table.add_column(column, justify="left" if column in ("truth", "heard") else "right")
    found, explained = 0, set()
    for t in truth:
        hits = [e for e in ends if e.label == t.label and e.onset_s < t.offset and (e.offset_s or 0) > t.onset]
        explained |= {e.id for e in hits}
        found += bool(hits)
        first, last = (hits[0], hits[-1]) if hits else (None, None)
        table.add_row(
            t.label,
            f"{t.onset:.1f}",
            f"{t.offset:.1f}",
            "yes" if len(hits) == 1 else f"yes, in {len(hits)} parts" if hits else "no",
            f"{first.onset_s:.1f}" if first else "",
            f"{last.offset_s:.1f}" if last and last.offset_s is not None else "",
            f"{max(e.peak or 0 for e in hits):.2f}" if hits else "",
        )
    for e in (e for e in ends if e.id not in explained):
        table.add_row("none", "", "", str(e.label), f"{e.onset_s:.1f}", f"{e.offset_s or 0:.1f}", f"{e.peak:.2f}")
    Console().print(table)
    click.echo(f"{found} of {len(truth)} truths found, {len(ends) - len(explained)} detections without a truth")
