"""The wire: events and heartbeats as two frames, ``[topic, JSON]``, from an XPUB socket.

    wheatear.v1.<device>.<stream>.<type>.<label>.        every field a slug of [a-z0-9_-], `-` for none
    {"v": 1, "log": …, "stream": …, "seq": …, …}         the event; true names stand here

Every second, and whenever someone subscribes, a heartbeat for each stream tells the log and the last number that was
published, so that a subscriber knows where it stands without waiting for an event.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edge.blocks import Event
from edge.clock import rfc3339
from edge.errors import WireError
from edge.ids import slug

if TYPE_CHECKING:
    import zmq

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5556"
TOPIC_ROOT = "wheatear.v1."
HEARTBEAT_S = 1.0
LINGER_MS = 1_000
SEND_QUEUE = 2_000  # events kept for each slow subscriber before it loses some (it will see the hole and ask replay)
MAX_SUBSCRIPTION = 255  # bytes
MAX_SUBSCRIPTIONS = 1_000  # different ones at a time
MAX_MESSAGE = 1_024  # bytes of what a subscriber may send
KEEPALIVE_MS = 5_000
LAST_PORT = 65_535


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream stands; not numbered, not journalled."""

    v: int = 1
    type: Literal["heartbeat"] = "heartbeat"
    log: str
    device: str
    stream: str
    last_seq: int
    utc: str


def topic(event: Event | Heartbeat) -> str:
    """First frame of a message: what topic filters match, from the left."""
    label = event.label if isinstance(event, Event) else None
    return f"{TOPIC_ROOT}{slug(event.device)}.{slug(event.stream)}.{slug(event.type)}.{slug(label)}."


def frames(event: Event | Heartbeat) -> list[bytes]:
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
    context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, allow_remote: bool, options: Mapping[Any, int]
) -> zmq.Socket[bytes]:
    """A listening socket, loopback unless told otherwise.

    Raises
    ------
    WireError
        The endpoint is open to the network without leave, occupied, or no endpoint at all.
    """
    import zmq

    if not allow_remote and not _is_local(endpoint):
        raise WireError(
            f"will not listen on {endpoint}: anyone on the network could follow what this device hears, without a "
            f"password; use {DEFAULT_ENDPOINT} with an SSH tunnel, or allow remote subscribers explicitly"
        )
    socket = context.socket(kind)
    try:
        for option, value in {zmq.IPV6: int("[" in endpoint), zmq.LINGER: LINGER_MS, **options}.items():
            socket.setsockopt(option, value)
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(0)
        raise WireError(_explain(endpoint, error.errno or 0, str(error))) from error
    return socket


def _is_local(endpoint: str) -> bool:
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

    Raises
    ------
    WireError
        See `bind`.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, device: str = "", allow_remote: bool = False) -> None:
        import zmq

        self.device = device
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options = {
            zmq.XPUB_MANUAL: 1,  # a subscription counts when `serve` accepts it: the welcome comes before any event
            zmq.SNDHWM: SEND_QUEUE,
            zmq.MAXMSGSIZE: MAX_MESSAGE,
            zmq.HEARTBEAT_IVL: KEEPALIVE_MS,
            zmq.HEARTBEAT_TIMEOUT: 3 * KEEPALIVE_MS,
        }
        try:
            self.socket = bind(self._context, zmq.XPUB, endpoint, allow_remote, options)
        except WireError:
            self._context.term()
            raise
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._accepted: Counter[bytes] = Counter()
        self._streams: dict[str, tuple[str, int]] = {}

    def announce(self, stream: str, log: str, last_seq: int) -> None:
        """Let heartbeats speak of a stream before its first event."""
        self._streams[stream] = (log, last_seq)

    def send(self, event: Event) -> None:
        """Publish; never blocks, a subscriber that is too slow misses it."""
        if event.seq:
            self._streams[event.stream] = (event.log, event.seq)
        self._send(frames(event))

    def beat(self) -> None:
        """Publish the heartbeat of every stream."""
        for stream, (log, last) in self._streams.items():
            beat = Heartbeat(log=log, device=self.device, stream=stream, last_seq=last, utc=rfc3339(time.time_ns()))
            self._send(frames(beat))

    def serve(self) -> None:
        """Accept the subscriptions that have arrived and welcome them with a heartbeat."""
        import zmq

        welcome = False
        for _ in range(MAX_SUBSCRIPTIONS):  # bounded: a storm of subscriptions must not hold up events
            try:
                message = self.socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                break
            welcome |= self._accept(message)
        if welcome:
            self.beat()

    def _accept(self, message: bytes) -> bool:
        """Obey one message of a subscriber: byte 1 or 0, then the topic; True for a new subscription."""
        import zmq

        wish, prefix = message[:1], message[1:]
        if wish == b"\x00" and self._accepted[prefix] > 0:
            self._accepted[prefix] -= 1
            self._accepted += Counter()  # forgets those at zero
            self.socket.setsockopt(zmq.UNSUBSCRIBE, prefix)
        room = prefix in self._accepted or len(self._accepted) < MAX_SUBSCRIPTIONS
        if wish != b"\x01" or len(prefix) > MAX_SUBSCRIPTION or not room:
            return False
        self._accepted[prefix] += 1
        self.socket.setsockopt(zmq.SUBSCRIBE, prefix)
        return True

    def _send(self, message: Sequence[bytes]) -> None:
        import zmq

        self.socket.send_multipart(message, zmq.DONTWAIT)

    def close(self) -> None:
        """Send what is queued, for a second at most, and close."""
        self.socket.close()
        self._context.term()
