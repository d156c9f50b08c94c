"""Everything that follows detection, opened from the configuration and closed again: one call for the daemon.

with open_outputs(config, status, show) as outputs:
    outputs.submit(event)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from edge.blocks import Event
from edge.config import Config
from edge.decode.event import interrupted
from edge.errors import JournalError
from edge.levels.message import Message
from edge.publish.board import Board, OutputStatus
from edge.publish.gate import Gate
from edge.publish.journal import Journal, is_disk_fault
from edge.publish.keys import KeyFolder
from edge.publish.outbox import Outbox
from edge.publish.replay import ReplayServer
from edge.publish.sink import Sink
from edge.publish.zeromq import Publisher, is_local
from edge.status import DeviceStatus

logger = logging.getLogger(__name__)


class Outputs:
    """What the daemon holds while it runs.

    Attributes
    ----------
    status
        Counters of journal, wire and bridges.
    board
        Where parts of the daemon may have a ``health`` event made.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.board: Board = outbox.board
        self.status: OutputStatus = outbox.board.status

    def submit(self, message: Message) -> bool:
        """Hand an event or levels over; never blocks. False where the queue was full: lost, counted and announced."""
        return self._outbox.submit(message)

    @property
    def alive(self) -> bool:
        """Whether events still go out."""
        return self._outbox.alive


@contextmanager
def open_outputs(
    config: Config,
    status: DeviceStatus,
    show: Callable[[Message], None] | None = None,
    streams: Sequence[str] = (),
) -> Iterator[Outputs]:
    """Open journal, sockets, bridges and files as the configuration says.

    Parameters
    ----------
    config
        The daemon's.
    status
        Counters of the streams, for metrics and health.
    show
        Called with each event and each minute of levels in the moment it is published.
    streams
        Names of the streams; heartbeats speak of them before their first event.

    Raises
    ------
    WheatearError
        What is configured cannot be had. A disk that is full or read-only is no such case: events then go out with
        ``durable = false`` until it works.
    """
    board = Board()
    with ExitStack() as stack:
        open_journal = partial(Journal, config.journal_path, config.device_name)
        with ExitStack() as opened:  # closed here if a later part cannot be had; else the outbox takes them over
            journal = _try_journal(open_journal, board)
            if journal:
                opened.callback(journal.close)
            gate = _open_gate(config, board, stack)
            publisher = _open_publisher(config, board, gate)
            opened.callback(publisher.close)
            _open_replay(config, board, gate, stack)
            unended = _unended(journal)
            sinks = _open_sinks(config, status, board, opened)
            _open_metrics(config, status, board, stack)
            opened.pop_all()
        outbox = Outbox(
            journal,
            publisher,
            device=config.device_name,
            streams=streams,
            on_published=show,
            sinks=sinks,
            board=board,
            reopen=open_journal,
            keep=config.journal.keep,
            max_bytes=config.journal.max_bytes,
        )
        stack.enter_context(outbox)
        for event in unended:
            outbox.submit(event)
        _warn(config, board)
        yield Outputs(outbox)


def _try_journal(open_journal: Callable[[], Journal], board: Board) -> Journal | None:
    try:
        return open_journal()
    except JournalError as error:
        if not is_disk_fault(error):
            raise
        board.say(f"the journal fails, events go out with durable=false: {error}", journal="failing")
        return None


def _open_gate(config: Config, board: Board, stack: ExitStack) -> Gate | None:
    curve = config.publish.curve
    if not curve.enabled:
        return None
    gate = Gate(KeyFolder(Path(curve.folder).expanduser() if curve.folder else None), board)
    stack.callback(gate.close)
    return gate


def _open_publisher(config: Config, board: Board, gate: Gate | None) -> Publisher:
    to = config.publish
    return Publisher(
        to.events,
        config.device_name,
        to.allow_remote,
        gate=gate,
        board=board,
        queue=to.queue,
        subscriptions=to.subscriptions,
    )


def _open_replay(config: Config, board: Board, gate: Gate | None, stack: ExitStack) -> None:
    to = config.publish
    server = ReplayServer(config.journal_path, to.replay, to.allow_remote, gate=gate, board=board, requests=to.requests)
    stack.enter_context(server)


def _unended(journal: Journal | None) -> list[Event]:
    """Ends of the events that were open when the daemon was killed."""
    if journal is None:
        return []
    return [interrupted(event) for stream in journal.streams() for event in journal.open_events(stream)]


def _open_sinks(config: Config, status: DeviceStatus, board: Board, opened: ExitStack) -> list[Sink]:
    """Bridges and files; their packages are imported only where they are wanted."""
    sinks: list[Sink] = []
    lines = config.json_lines
    if lines.path:
        from edge.publish.jsonlines import line_sink

        path = Path(lines.path).expanduser()
        sinks.append(line_sink(path, board, lines.max_bytes, lines.files, lines.keep_free))
        opened.callback(sinks[-1].close)
    if config.mqtt.host:
        from edge.publish.mqtt import MqttBridge

        bridge = MqttBridge(
            config.mqtt,
            config.device_name,
            config.journal_path,
            board,
            partial(health, status, board),
            partial(_labels, status),
        )
        sinks.append(bridge)
        opened.callback(bridge.close)
    return sinks


def _open_metrics(config: Config, status: DeviceStatus, board: Board, stack: ExitStack) -> None:
    to = config.metrics
    if to.port:
        from edge.publish.metrics import Collector, MetricsServer

        server = MetricsServer(Collector(status, board.status), to.port, to.address, to.allow_remote)
        stack.callback(server.close)


def health(status: DeviceStatus, board: Board) -> dict[str, Any]:
    """How the device is, in short: ``state`` is ``ok`` or ``problem``."""
    streams = {name: stream.state for name, stream in dict(status.streams).items()}
    outputs = board.status
    well = outputs.durable and not {"failed", "reconnecting"} & set(streams.values())
    return {
        "state": "ok" if well else "problem",
        "streams": streams,
        "durable": outputs.durable,
        "dropped": sum(dict(outputs.dropped).values()),
        "denied": outputs.denied,
    }


def _labels(status: DeviceStatus) -> dict[str, list[str]]:
    return {name: list(stream.scores) for name, stream in dict(status.streams).items()}


def _warn(config: Config, board: Board) -> None:
    """Say what is open to the network; it stays allowed, but not unnoticed."""
    to = config.publish
    if not to.curve.enabled and not (is_local(to.events) and is_local(to.replay)):
        board.say(
            f"{to.events} is open to the network without keys: anyone there can follow what this device hears; make "
            "keys with `wheatear keys new` and set enabled = true in [publish.curve]",
            security="no keys",
        )
    if config.mqtt.host and not config.mqtt.tls and not is_local(f"tcp://{config.mqtt.host}:1"):
        board.say(
            f"events travel to the MQTT broker {config.mqtt.host} in the clear, and so does the password: set "
            "tls = true in [mqtt]",
            security="plain mqtt",
        )
