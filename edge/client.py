"""The subscriber: every event once and in order, whatever the network does.

    with Subscriber() as events:
        for event in events:
            print(event.label, event.onset_s)

It subscribes to everything, because topic filters would look like holes. Each stream has a position, the next number
expected::

    live event 7, expected 5     5 and 6 are asked for by replay, given, then 7
    live event 4, expected 5     seen already: dropped
    heartbeat last = 8, at 8     8 went lost behind us: asked for by replay
    a number nobody has          skipped by the journal at a restart: the hole closes silently
    replay is silent             all that follows waits: the device may have died; asked again when it is heard again
    cannot be replayed           a ``lost`` event made here says which numbers
    begin that is still open     said again for newcomers: given once to whom it is new, as `edge.publish.zeromq.Open`

While replay answers, live events wait in the socket's queue, in their order.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from edge.blocks import Event
from edge.errors import WireError
from edge.levels.message import Levels
from edge.publish.reader import PAGE_LIMIT, Page
from edge.publish.zeromq import (
    DEFAULT_ENDPOINT,
    KEEPALIVE_MS,
    TOPIC_ROOT,
    Heartbeat,
    Open,
    replay_endpoint,
    split_endpoint,
)

if TYPE_CHECKING:
    import zmq

    from edge.publish.keys import ClientKeys

logger = logging.getLogger(__name__)

RECEIVE_QUEUE = 10_000  # live events that wait here while replay answers or the caller works
MAX_EVENT = 1 << 20  # bytes
MAX_PAGE = 4 << 20
REPLAY_TIMEOUT_S = 2.0
BUSY_WAIT_S = 1.0  # the device answers so many questions a second
BUSY_TRIES = 30
DOUBT_S = 1.0  # what is received within it may have waited here since before the device died
DOUBT_TRIES = 3  # a device that is heard and still does not answer has no replay
SILENCE_S = 5.0  # without even a heartbeat: worth a warning


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a stream: the first event wanted is number `seq`.

    Attributes
    ----------
    seq
        Number of the first event wanted.
    stream
        The stream it counts in; every stream where empty.
    log
        The log it counts in; whichever is there where empty.
    """

    seq: int
    stream: str = ""
    log: str = ""

    @classmethod
    def after(cls, event: Event) -> Cursor:
        """The place behind an event, to go on from after a restart of the subscriber."""
        return cls(event.seq + 1, event.stream, event.log)


@dataclass(slots=True)
class _Doubt:
    """A hole that replay was silent about, the messages that wait behind it, and when one is sure to be fresh."""

    messages: list[Event | Heartbeat]
    until: float


class _Kind(msgspec.Struct):
    type: str
    retained: bool = False


class Subscriber:
    """Iterator over the events of a publisher.

    Parameters
    ----------
    endpoint
        The publisher's; it may start later, and may come and go.
    replay
        Where missed events are asked for; the port after the publisher's where None.
    labels
        Events of other labels are left out. Events without a label (gaps, losses, health) always come: they say when
        silence does not mean that nothing sounded.
    stream
        Events of other streams are left out.
    keys
        For a device that has keys: this client's, and the device's public one. Without the right ones nothing comes.
    since
        First event wanted, as a `Cursor` or a number that holds for every stream; where None, only live events and
        the begin of what sounds just now.
    on_levels
        Called with each minute of levels, while events are waited for; they are left out where None.
    timeout
        Iteration ends after so many seconds without an event; None waits for ever.

    Raises
    ------
    WireError
        An endpoint cannot be understood.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        replay: str | None = None,
        labels: Iterable[str] | None = None,
        since: Cursor | int | None = None,
        timeout: float | None = None,
        *,
        stream: str | None = None,
        keys: ClientKeys | None = None,
        on_levels: Callable[[Levels], object] | None = None,
    ) -> None:
        import zmq

        self.endpoint = endpoint
        self.replay = replay or replay_endpoint(endpoint)
        self.timeout = timeout
        self._labels = frozenset([labels] if isinstance(labels, str) else labels or ())
        self._stream, self._keys, self._on_levels = stream, keys, on_levels
        self._since = Cursor(since) if isinstance(since, int) else since
        self._next: dict[tuple[str, str, str], int] = {}  # (device, stream, log) → number expected
        self._first: dict[tuple[str, str, str], int] = {}  # the same → number that it began with
        self._doubts: dict[tuple[str, str, str], _Doubt] = {}
        self._silences: Counter[tuple[str, str, str]] = Counter()  # of replay, one after the other in one run
        self._runs: dict[tuple[str, str, str], str] = {}
        self._opened: set[tuple[str, str, str, int]] = set()  # open events before that, which were given
        self._ready: Iterator[Event] = iter(())
        self._heard_at: float | None = None
        self._asked_at = time.monotonic()  # when the subscription was last sent
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._asker: zmq.Socket[bytes] | None = None
        try:
            self._socket = self._connect(zmq.SUB, endpoint, MAX_EVENT)
            self._asker = self._connect(zmq.DEALER, self.replay, MAX_PAGE)
        except WireError:
            self._context.destroy(linger=0)
            raise
        self._socket.setsockopt_string(zmq.SUBSCRIBE, TOPIC_ROOT)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; closing twice does nothing."""
        self._context.destroy(linger=0)

    @property
    def heard(self) -> bool:
        """Whether a publisher has said anything yet, if only a heartbeat."""
        return self._heard_at is not None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        """The next event; ends after `timeout` seconds without one, and may be asked again then."""
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        watch = _Silence(self.endpoint)
        while True:
            for event in self._ready:
                if self._wanted(event):
                    return event
            left = SILENCE_S if deadline is None else deadline - time.monotonic()
            if self._socket.poll(max(0, int(1000 * min(left, SILENCE_S)))):
                watch.over()
                self._heard_at = time.monotonic()
                self._ready = self._follow(self._socket.recv_multipart())
                continue
            self._ask_to_listen_again()
            if left <= 0:
                raise StopIteration
            watch.check()

    def _ask_to_listen_again(self) -> None:
        """Subscribe anew where silence says that the device has not heard us.

        libzmq 4.3.5 can lose a subscription that arrives between another client's nonsense and that client's end: in
        manual mode the nonsense takes its place in the queue of whom to subscribe (``xpub_t::xrecv``).
        """
        import zmq

        now = time.monotonic()
        if now - max(self._heard_at or 0.0, self._asked_at) >= SILENCE_S:
            self._asked_at = now
            self._socket.setsockopt_string(zmq.UNSUBSCRIBE, TOPIC_ROOT)
            self._socket.setsockopt_string(zmq.SUBSCRIBE, TOPIC_ROOT)

    def _wanted(self, event: Event) -> bool:
        return not self._labels or event.label is None or event.label in self._labels

    def _connect(self, kind: int, endpoint: str, size: int) -> zmq.Socket[bytes]:
        import zmq

        split_endpoint(endpoint)
        socket = self._context.socket(kind)
        for option, value in {
            zmq.IPV6: int("[" in endpoint),
            zmq.LINGER: 0,
            zmq.RCVHWM: RECEIVE_QUEUE,
            zmq.MAXMSGSIZE: size,
            zmq.RECONNECT_IVL_MAX: 500,
            zmq.HEARTBEAT_IVL: KEEPALIVE_MS,
            zmq.HEARTBEAT_TIMEOUT: 3 * KEEPALIVE_MS,
        }.items():
            socket.setsockopt(option, value)
        if self._keys:
            socket.setsockopt_string(zmq.CURVE_SERVERKEY, self._keys.server)
            socket.setsockopt_string(zmq.CURVE_PUBLICKEY, self._keys.public)
            socket.setsockopt_string(zmq.CURVE_SECRETKEY, self._keys.secret)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise WireError(
                f"cannot connect to {endpoint!r}: {error}; expected a form like {DEFAULT_ENDPOINT}"
            ) from None
        return socket

    def _follow(self, message: list[bytes]) -> Iterator[Event]:
        """What one message leads to: itself, and before it whatever was missed."""
        said = _decode(message)
        if said is None or self._stream not in (None, said.stream):
            return
        if isinstance(said, Levels):
            if self._on_levels:
                self._on_levels(said)
            return
        if isinstance(said, Heartbeat) and self._runs.get(_key(said)) != said.run:
            self._runs[_key(said)] = said.run
            self._silences[_key(said)] = 0  # the device was silent because it had died
        if isinstance(said, Open):
            yield from self._news(said)
        elif isinstance(said, Event) and said.seq == 0:
            yield said  # the journal fails for long and the device has run out of numbers
        elif doubt := self._doubts.get(_key(said)):
            doubt.messages.append(said)
            if time.monotonic() >= doubt.until or len(doubt.messages) > RECEIVE_QUEUE:
                yield from self._try_again(_key(said))
        else:
            yield from self._advance(said)

    def _advance(self, said: Event | Heartbeat) -> Iterator[Event]:
        """What was missed before a message, and itself; nothing where it must wait for replay."""
        key = _key(said)
        yield from self._fill(said, said.seq if isinstance(said, Event) else said.last_seq + 1)
        if isinstance(said, Event) and key not in self._doubts and said.seq >= self._next[key]:
            self._next[key] = said.seq + 1
            yield said

    def _try_again(self, key: tuple[str, str, str]) -> Iterator[Event]:
        """The device is heard again: take in what has waited, until replay is silent once more."""
        messages = self._doubts.pop(key).messages
        for place, message in enumerate(messages):
            yield from self._advance(message)
            if doubt := self._doubts.get(key):
                doubt.messages += messages[place + 1 :]
                return

    def _news(self, said: Open) -> Iterator[Event]:
        """An event that is still open, if it is older than all that we follow and new to us; moves no position."""
        key = _key(said)
        place = (*key, said.seq)
        if self._since is None and said.seq < self._first.get(key, 0) and place not in self._opened:
            self._opened.add(place)
            yield said

    def _fill(self, said: Event | Heartbeat, stop: int) -> Iterator[Event]:
        """Replay what is missing below number `stop`."""
        key = _key(said)
        if key not in self._next:
            yield from self._meet(said, stop)
        while self._next[key] < stop:
            start = self._next[key]
            page = self._ask(Cursor(start, said.stream, said.log), stop - start)
            if page is None and self._may_be_dead(said):
                return
            if page is None or page.log != said.log:
                self._next[key] = stop
                why = f"{self.replay} does not answer" if page is None else page.error or "it answers for another log"
                yield _lost(said, start, stop, why)
                return
            self._silences[key] = 0
            yield from self._take(key, said, page, stop)

    def _may_be_dead(self, said: Event | Heartbeat) -> bool:
        """Whether to wait until the device is heard again, where replay is silent; else its events are lost."""
        key = _key(said)
        self._silences[key] += 1
        if self._silences[key] >= DOUBT_TRIES:
            return False
        self._doubts[key] = _Doubt([said], time.monotonic() + DOUBT_S)
        return True

    def _take(self, key: tuple[str, str, str], said: Event | Heartbeat, page: Page, stop: int) -> Iterator[Event]:
        """Events of a page, and the losses that it admits to; moves the position at least by one number."""
        start = self._next[key]
        if page.oldest > start:
            self._next[key] = min(page.oldest, stop)
            yield _lost(said, start, self._next[key], "they have expired on the device")
        for event in page.events:
            if self._next[key] <= event.seq < stop:
                self._next[key] = event.seq + 1
                yield event
        if page.next <= page.head:
            self._next[key] = max(self._next[key], min(page.next, stop), start + 1)
            return
        behind, self._next[key] = max(self._next[key], page.head + 1), stop
        if behind < stop:  # numbers up to the head that nobody has were skipped; those above it were not committed
            yield _lost(said, behind, stop, "the device's journal has not got them")

    def _meet(self, said: Event | Heartbeat, stop: int) -> Iterator[Event]:
        """Choose the position in a log that is new to us."""
        since = self._since
        if any(key[:2] == (said.device, said.stream) for key in self._next):
            start = 1  # a new log of a stream that we followed: all of it is news
        elif since is None or since.stream not in ("", said.stream):
            start = stop
        elif since.log in ("", said.log):
            start = max(1, since.seq)
            if start > stop:
                logger.warning("stream %s is at %d: what comes before %d is left out", said.stream, stop - 1, start)
        else:
            start = 1
            yield _lost(said, since.seq, None, f"log {since.log} was set aside and {said.log} began")
        self._next[_key(said)] = self._first[_key(said)] = start

    def _ask(self, cursor: Cursor, count: int) -> Page | None:
        """One page of replay, at the second try if need be; None where nobody answers, or the device stays busy."""
        silent = 0
        for _ in range(BUSY_TRIES):
            page = self._try(cursor, count)
            error = "unavailable" if page is None else page.error or ""
            if error.startswith("unavailable"):
                silent += 1
                if silent == 2:
                    return None
            elif error.startswith("busy"):
                time.sleep(BUSY_WAIT_S)
            else:
                return page
        return None

    def _try(self, cursor: Cursor, count: int) -> Page | None:
        import zmq

        if self._asker is None:
            self._asker = self._connect(zmq.DEALER, self.replay, MAX_PAGE)
        limit = min(count, PAGE_LIMIT)
        request = {"v": 1, "stream": cursor.stream, "log": cursor.log, "from": cursor.seq, "limit": limit}
        question = msgspec.json.encode(request)
        self._asker.send(question)
        answer = self._asker.recv_multipart()[-1] if self._asker.poll(int(1000 * REPLAY_TIMEOUT_S)) else question
        if answer != question:  # who connects to a free port may be connected to himself, and hear his own question
            try:
                return msgspec.json.decode(answer, type=Page)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                return Page(events=[], next=1, head=0, error=f"what {self.replay} answers is no page: {error}")
        self._asker.close()  # a late answer must not be taken for the next one
        self._asker = None
        return None


class _Silence:
    """Warns once when a publisher falls silent, and once when it is back."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._since = time.monotonic()
        self._warned = False

    def check(self) -> None:
        if not self._warned and time.monotonic() - self._since >= SILENCE_S:
            self._warned = True
            logger.warning(
                "nothing heard from %s for %g s: is `wheatear run` up there? waiting", self._endpoint, SILENCE_S
            )

    def over(self) -> None:
        self._since = time.monotonic()
        if self._warned:
            self._warned = False
            logger.warning("%s is heard again", self._endpoint)


def _decode(message: list[bytes]) -> Event | Heartbeat | Levels | None:
    """The payload of a message; what is not of ours is logged and left out."""
    try:
        kind = msgspec.json.decode(message[-1], type=_Kind)
        if kind.type == "heartbeat":
            return msgspec.json.decode(message[-1], type=Heartbeat)
        if kind.type == "levels":
            return msgspec.json.decode(message[-1], type=Levels)
        if kind.retained:
            return msgspec.json.decode(message[-1], type=Open)
        return msgspec.json.decode(message[-1], type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("a message was not understood and left out: %s", error)
        return None


def _key(said: Event | Heartbeat) -> tuple[str, str, str]:
    return said.device, said.stream, said.log


def _lost(said: Event | Heartbeat, start: int, stop: int | None, why: str) -> Event:
    """A ``lost`` event made here, without a number, for the numbers ``start … stop − 1``."""
    last = None if stop is None else stop - 1
    what = f"from {start} on" if last is None else f"{start} to {last}"
    return Event(
        stream=said.stream,
        id=f"{said.log}:lost:{start}",
        device=said.device,
        epoch="",
        type="lost",
        log=said.log,
        onset_sample=0,
        onset_s=0.0,
        reason=f"events {what} of stream {said.stream} cannot be replayed: {why}",
        detail={"from": start, "to": last},
    )
