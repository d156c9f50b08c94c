"""The wire: events and heartbeats as two frames, ``[topic, JSON]``, from an XPUB socket.

    wheatear.v1.<device>.<stream>.<type>.<label>.        every field a slug of [a-z0-9_-], `-` for none
    {"v": 1, "log": …, "stream": …, "seq": …, …}         the event; true names stand here

Every second, and whenever someone subscribes, a heartbeat for each stream tells the log and the last number that was
published, so that a subscriber knows where it stands without waiting for an event. The welcome also repeats the begin
events that are still open, as type ``open`` in the topic and with ``"retained": true``: who joins late knows what
sounds, and who has them already knows them by (log, stream, seq).
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import asdict

from edge.blocks import Event
from edge.clock import rfc3339
from edge.errors import WireError
from edge.ids import slug, uuid7
from edge.levels.message import Levels, Message
from edge.publish.board import Board

if TYPE_CHECKING:
    import zmq

    from edge.publish.gate import Gate

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5556"
TOPIC_ROOT = "wheatear.v1."
HEARTBEAT_S = 1.0
LINGER_MS = 1_000
SEND_QUEUE = 1_000  # events kept for each slow subscriber before it loses some (it will see the hole and ask replay)
MAX_SUBSCRIPTION = 255  # bytes
MAX_SUBSCRIPTIONS = 1_000  # different ones at a time
PEER_SUBSCRIPTIONS = 256  # of them by one client
WELCOME_S = 0.02  # between two welcomes: a storm of subscribers must not become a storm of heartbeats
MAX_OPEN = 1_000  # open events that newcomers are told
MAX_MESSAGE = 1_024  # bytes of what a subscriber may send
KEEPALIVE_MS = 5_000
LAST_PORT = 65_535


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream stands; not numbered, not journalled. `run` is another one after each start of the device."""

    v: int = 1
    type: Literal["heartbeat"] = "heartbeat"
    log: str
    device: str
    stream: str
    last_seq: int
    utc: str
    run: str = ""


class Open(Event, frozen=True, kw_only=True):
    """A ``begin`` that has no ``end`` yet, said again for newcomers; its number is the one it was published with."""

    retained: bool = True


def topic(event: Message | Heartbeat) -> str:
    """First frame of a message: what topic filters match, from the left."""
    label = event.label if isinstance(event, Event) else None
    kind = "open" if isinstance(event, Open) else event.type
    return f"{TOPIC_ROOT}{slug(event.device)}.{slug(event.stream)}.{slug(kind)}.{slug(label)}."


def frames(event: Message | Heartbeat) -> list[bytes]:
    """The message as it travels."""
    return [topic(event).encode(), msgspec.json.encode(event)]


def replay_endpoint(endpoint: str) -> str:
    """Where replay answers for a publisher: the TCP port after it, or the same path with ``-replay``.

    >>> replay_endpoint("tcp://127.0.0.1:5556"), replay_endpoint("ipc:///run/wheatear/events")
    ('tcp://127.0.0.1:5557', 'ipc:///run/wheatear/events-replay')
    """
    scheme, host, port = split_endpoint(endpoint)
    if scheme != "tcp":
        return endpoint + "-replay"
    if port == "*":
        return endpoint
    if int(port) == LAST_PORT:
        raise WireError(f"no replay port can follow {endpoint}: expected a port from 1 to {LAST_PORT - 1}")
    return f"tcp://{host}:{int(port) + 1}"


def split_endpoint(endpoint: str) -> tuple[str, str, str]:
    """Scheme, host or path, and port of an endpoint.

    Raises
    ------
    WireError
        It is none, or its port is not 1 … 65535 or ``*`` (ZeroMQ itself would take the remainder of 65536).
    """
    scheme, _, rest = endpoint.partition("://")
    if scheme in ("ipc", "inproc") and rest:
        return scheme, rest, ""
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not (port == "*" or (port.isdecimal() and 1 <= int(port) <= LAST_PORT)):
        raise WireError(
            f"{endpoint!r} is no endpoint: expected tcp://HOST:PORT with a port from 1 to {LAST_PORT}, or ipc://PATH"
        )
    return scheme, host, port


def bind(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    endpoint: str,
    allow_remote: bool,
    options: Mapping[Any, int],
    gate: Gate | None = None,
) -> zmq.Socket[bytes]:
    """A listening socket, loopback unless told otherwise, and guarded where there is a gate.

    Raises
    ------
    WireError
        The endpoint is open to the network without leave, occupied, or no endpoint at all.
    """
    import zmq

    if not allow_remote and not is_local(endpoint):
        raise WireError(
            f"will not listen on {endpoint}: anyone on the network could follow what this device hears, without a "
            f"password; use {DEFAULT_ENDPOINT} with an SSH tunnel, or allow remote subscribers explicitly"
        )
    socket = context.socket(kind)
    try:
        for option, value in {zmq.IPV6: int("[" in endpoint), zmq.LINGER: LINGER_MS, **options}.items():
            socket.setsockopt(option, value)
        if gate:
            gate.guard(socket)
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(0)
        raise WireError(_explain(endpoint, error.errno or 0, str(error))) from error
    return socket


def is_local(endpoint: str) -> bool:
    """Whether only this machine can reach the endpoint; unknown host names count as remote."""
    scheme, host, _ = split_endpoint(endpoint)
    if scheme != "tcp" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _explain(endpoint: str, code: int, text: str) -> str:
    import zmq

    if code == zmq.EADDRINUSE:
        return (
            f"cannot listen on {endpoint}: another program has it, perhaps a second `wheatear run`; stop that one or "
            "choose another port, such as --publish tcp://127.0.0.1:5566 (replay takes the port after it)"
        )
    return f"cannot listen on {endpoint}: {text}; expected an address of this machine such as {DEFAULT_ENDPOINT}"


class Publisher:
    """An XPUB socket, for the one thread that uses it after it was made.

    Parameters
    ----------
    endpoint
        Where to listen; port ``*`` picks a free one, and `endpoint` then says which.
    device
        Name of the device, for heartbeats.
    allow_remote
        Listen on addresses that other machines reach.
    gate
        Who may connect; anyone where None.
    board
        Where refusals are counted.
    queue
        Events kept for each slow subscriber.
    subscriptions
        Different subscriptions of one client.

    Raises
    ------
    WireError
        See `bind`.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        device: str = "",
        allow_remote: bool = False,
        *,
        gate: Gate | None = None,
        board: Board | None = None,
        queue: int = SEND_QUEUE,
        subscriptions: int = PEER_SUBSCRIPTIONS,
    ) -> None:
        import zmq

        self.device, self._run = device, uuid7()
        self._board, self._limit = board or Board(), subscriptions
        self._context: zmq.Context[zmq.Socket[bytes]] = gate.context if gate else zmq.Context()
        self._owns_context = gate is None
        options = {
            zmq.XPUB_MANUAL: 1,  # a subscription counts when `serve` accepts it: the welcome comes before any event
            zmq.SNDHWM: queue,
            zmq.MAXMSGSIZE: MAX_MESSAGE,
            zmq.HEARTBEAT_IVL: KEEPALIVE_MS,
            zmq.HEARTBEAT_TIMEOUT: 3 * KEEPALIVE_MS,
        }
        try:
            self.socket = bind(self._context, zmq.XPUB, endpoint, allow_remote, options, gate)
        except WireError:
            self._end_context()
            raise
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._holders: dict[bytes, list[str]] = {}  # clients by subscription, the latest last
        self._held: Counter[str] = Counter()  # different subscriptions of each client
        self._streams: dict[str, tuple[str, int]] = {}
        self._open: dict[tuple[str, str], Event] = {}
        self._welcomed_at = 0.0

    def announce(self, stream: str, log: str, last_seq: int) -> None:
        """Let heartbeats speak of a stream before its first event."""
        self._streams[stream] = (log, last_seq)

    def send(self, event: Event) -> None:
        """Publish; never blocks, a subscriber that is too slow misses it."""
        if event.seq:
            self._streams[event.stream] = (event.log, event.seq)
            self._note_open(event)
        self._send(frames(event))

    def send_levels(self, levels: Levels) -> None:
        """Publish levels; never blocks."""
        self._send(frames(levels))

    def _note_open(self, event: Event) -> None:
        if event.type == "begin":
            self._open[event.stream, event.id] = event
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
        elif event.type == "end":
            self._open.pop((event.stream, event.id), None)

    def beat(self) -> None:
        """Publish the heartbeat of every stream."""
        for stream, (log, last) in self._streams.items():
            utc = rfc3339(time.time_ns())
            beat = Heartbeat(log=log, device=self.device, stream=stream, last_seq=last, utc=utc, run=self._run)
            self._send(frames(beat))

    @property
    def rests_s(self) -> float:
        """Seconds for which subscriptions shall wait: `serve` should not be called sooner."""
        return max(0.0, self._welcomed_at + WELCOME_S - time.monotonic())

    def serve(self) -> None:
        """Accept the subscriptions that have arrived; welcome them with a heartbeat and with what is open."""
        import zmq

        welcome = False
        for _ in range(MAX_SUBSCRIPTIONS):  # bounded: a storm of subscriptions must not hold up events
            try:
                message = self.socket.recv(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                break
            welcome |= self._accept(message.bytes, peer_of(message))
        if welcome:
            self._welcomed_at = time.monotonic()
            self.beat()
            for event in self._open.values():
                self._send(frames(Open(**asdict(event))))

    def _accept(self, message: bytes, peer: str) -> bool:
        """Obey one message of a subscriber: byte 1 or 0, then the topic; True for a new subscription."""
        import zmq

        wish, prefix = message[:1], message[1:]
        if wish == b"\x00" and self._release(prefix, peer):
            self.socket.setsockopt(zmq.UNSUBSCRIBE, prefix)
        if wish != b"\x01":
            return False
        new = peer not in self._holders.get(prefix, ())
        room = prefix in self._holders or len(self._holders) < MAX_SUBSCRIPTIONS
        if len(prefix) > MAX_SUBSCRIPTION or not room or (new and self._held[peer] >= self._limit):
            self._board.refuse()
            return False
        self._held[peer] += new
        self._holders.setdefault(prefix, []).append(peer)
        self._board.status.peers = sum(map(len, self._holders.values()))
        self.socket.setsockopt(zmq.SUBSCRIBE, prefix)
        return True

    def _release(self, prefix: bytes, peer: str) -> bool:
        """Forget a subscription; one whose client has gone (ZeroMQ does not say which) counts for the latest."""
        holders = self._holders.get(prefix, [])
        if not holders or (peer and peer not in holders):
            return False
        place = len(holders) - 1 - holders[::-1].index(peer) if peer else -1
        gone = holders.pop(place)
        if gone not in holders:
            self._held[gone] -= 1
            self._held += Counter()  # forgets those at zero
        if not holders:
            del self._holders[prefix]
        self._board.status.peers = sum(map(len, self._holders.values()))
        return True

    def _send(self, message: Sequence[bytes]) -> None:
        import zmq

        self.socket.send_multipart(message, zmq.DONTWAIT)

    def close(self) -> None:
        """Send what is queued, for a second at most, and close."""
        self.socket.close()
        self._end_context()

    def _end_context(self) -> None:
        if self._owns_context:
            self._context.term()


def peer_of(frame: zmq.Frame) -> str:
    """Who sent a message: the name of its key, else its address; empty where ZeroMQ knows neither."""
    import zmq

    for name in ("User-Id", "Peer-Address"):
        try:
            if value := frame.get(name):
                return str(value)
        except zmq.ZMQError:
            continue
    return ""
