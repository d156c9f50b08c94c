"""The outbox: one thread that has events journalled and then publishes them. Whoever submits never waits.

    submit ──▶ queue (bounded) ──▶ commit ──▶ publish ──▶ sinks
                                     │ fails, or takes longer than `PATIENCE_S`
                                     └──▶ publish with durable=false, keep (bounded), commit later

A batch is what arrived during the last commit; there is no commit timer. The journal has a thread of its own
(`edge.publish.writer`), so that a disk that hangs cannot hold up what is heard live.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from edge.blocks import Event
from edge.clock import rfc3339
from edge.errors import JournalError
from edge.ids import uuid7
from edge.levels.message import Levels, Message
from edge.publish.board import Board
from edge.publish.journal import MAX_BYTES, Journal
from edge.publish.sink import Sink
from edge.publish.wake import Wake
from edge.publish.writer import CLOSE_S, KEEP, Commit, JournalWriter
from edge.publish.zeromq import HEARTBEAT_S, Publisher

logger = logging.getLogger(__name__)

QUEUE = 10_000
RETRY_S = 1.0
BATCH = 200  # events of one commit, so that its time tells of the disk and not of its size
PATIENCE_S = 2.0  # a commit that takes longer is not waited for: a slow disk must not make events late
DEVICE_STREAM = "device"  # the stream of what concerns no microphone: the outbox's own health


class Outbox:
    """Has events journalled and publishes them, from a thread of its own, until closed.

    Parameters
    ----------
    journal
        Where events are committed first; without one they go out with ``durable = false`` in a log of this run.
    publisher
        Whom they are published by; without one they are journalled only.
    device
        Name for the outbox's own events; the journal's or publisher's where empty.
    streams
        Streams that heartbeats speak of before their first event, beside those in the journal.
    on_published
        Called by the outbox's thread with each event, and each minute of levels, after it was published.
    sinks
        Where events go on to, after they were published.
    board
        Counters and notices that are shared with sinks and sockets.
    reopen
        Opens the journal, where it could not be opened at the start or was damaged since.
    queue
        Events that may wait: for the outbox, and once more for a journal that fails.
    keep, max_bytes
        Events that the journal retains, and about how many bytes.

    The outbox takes journal, publisher and sinks over, and closes them.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        publisher: Publisher | None = None,
        *,
        device: str = "",
        streams: Iterable[str] = (),
        on_published: Callable[[Message], None] | None = None,
        sinks: Sequence[Sink] = (),
        board: Board | None = None,
        reopen: Callable[[], Journal] | None = None,
        queue: int = QUEUE,
        keep: int = KEEP,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._publisher = publisher
        self._device = device or (journal.device if journal else "") or (publisher.device if publisher else "")
        self._on_published, self._sinks = on_published, sinks
        self._limit = queue
        self.board = board or Board()
        self.log, self._journalled = (journal.log if journal else uuid7()), journal is not None
        self._numbers: dict[str, int] = {}  # of the log of this run, while there is no journal
        self._queue: list[Event] = []
        self._levels: list[Levels] = []
        self._overflow = 0
        self._lock = threading.Lock()
        self._notices: list[Event] = []
        self._notice_count = 0
        self._epoch, self._began = uuid7(), time.monotonic()
        self._waiting: deque[Event] = deque(maxlen=queue)  # published, but not committed
        self._commit: Commit | None = None  # one that takes long
        self._late, self._forgotten = 0, 0
        self._failing = journal is None and reopen is not None
        self._retry_at = 0.0
        self._beat_at = 0.0
        self._closing = False
        self._wake = Wake()
        self._streams = list(streams)
        self._announce(journal)
        if journal:
            with suppress(JournalError):  # the first commit will say it
                journal.reserve_for(self._streams)
        self._writer = JournalWriter(journal, self.board, reopen, keep, max_bytes) if journal or reopen else None
        self.board.status.durable = journal is not None
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def submit(self, message: Message) -> bool:
        """Hand an event over, or levels, which are published and not journalled; never blocks.

        Returns
        -------
        bool
            False where the queue was full: the event is lost, counted, and a ``health`` event will say so.

        Raises
        ------
        TypeError, ValueError
            The event has something in it that JSON cannot say.
        """
        msgspec.json.encode(message)  # an event that has no JSON fails where it was made, not in the outbox
        with self._lock:
            if len(self._queue) + len(self._levels) >= self._limit or self._closing:
                self._overflow += 1
                return False
            if isinstance(message, Levels):
                self._levels.append(message)
            else:
                self._queue.append(message)
            self._wake.set()  # inside the lock: never on a pipe that `close` has closed
        return True

    def close(self) -> None:
        """Deliver what was submitted, then close journal and publisher."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake.set()
        self._thread.join()
        self._wake.close()

    # Everything below runs in the outbox's thread.

    def _run(self) -> None:
        try:
            poller = self._poller()
            while not self._closing:
                self._sleep(poller)
                self._wake.clear()
                self._turn()
            self._finish()
        finally:
            for sink in self._sinks:
                sink.close()
            if self._writer:
                self._writer.close()
            if self._publisher:
                self._publisher.close()

    def _finish(self) -> None:
        """Deliver what was submitted; the journal gets its last chance."""
        if self._commit:
            self._commit.wait(CLOSE_S)
        self._retry_at = 0.0
        self._deliver(self._take())
        self._publish_levels()
        while batch := self._take():
            self._deliver(batch)
        if self._waiting or self._commit:
            lost = len(self._waiting) + len(self._commit.events if self._commit else ())
            logger.error("%d events could not be journalled before the end", lost)

    def _poller(self) -> Any:
        if self._publisher:
            import zmq

            poller: Any = zmq.Poller()
            poller.register(self._publisher.socket, zmq.POLLIN)
        else:
            poller = select.poll()
        poller.register(self._wake.fileno(), select.POLLIN)
        return poller

    def _sleep(self, poller: Any) -> None:
        """Until something comes, or the next heartbeat; not at all while there is something of our own to say."""
        seconds = 0.0 if self._notices else max(0.0, self._beat_at - time.monotonic())
        if self._publisher:
            rest = self._publisher.rests_s  # new subscriptions wait for so long, events do not
            poller.register(self._publisher.socket, 0 if rest else select.POLLIN)
            seconds = min(seconds, rest) if rest else seconds
        poller.poll(int(1000 * seconds) + 1)

    def _turn(self) -> None:
        if self._publisher and not self._publisher.rests_s:
            self._publisher.serve()
        batch = self._take()
        if batch or self._commit or (self._waiting and self._may_write()):
            self._deliver(batch)
        self._publish_levels()
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + HEARTBEAT_S
            self._read_board()
            if self._publisher:
                self._publisher.beat()

    def _take(self) -> list[Event]:
        with self._lock:
            queue, self._queue = self._queue, []
            lost, self._overflow = self._overflow, 0
        if lost:
            self._notice(f"{lost} events were lost: the outbox was full ({self._limit} waiting)", lost=lost)
        notices, self._notices = self._notices, []
        return notices + queue

    def _read_board(self) -> None:
        for notice in self.board.take():
            self._notice(notice.reason, **notice.detail)
        status = self.board.status
        status.queued["outbox"], status.queued["journal"] = len(self._queue), len(self._waiting)

    def _deliver(self, batch: Sequence[Event]) -> None:
        for start in range(0, max(1, len(batch)), BATCH):
            self._publish(self._store(self._number(batch[start : start + BATCH])))

    def _publish(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._publisher:
                self._publisher.send(event)
            self.board.status.published += 1
            for sink in self._sinks:
                sink.push(event)
            self._show(event)

    def _publish_levels(self) -> None:
        """Levels stand beside the events: no number, no journal, no sinks."""
        with self._lock:
            levels, self._levels = self._levels, []
        for minute in levels:
            if self._publisher:
                self._publisher.send_levels(minute)
            self._show(minute)

    def _show(self, message: Message) -> None:
        if self._on_published:
            try:
                self._on_published(message)
            except Exception:  # a listener's fault must not silence the device
                logger.exception("on_published failed for event %s", getattr(message, "id", message.type))

    def _number(self, batch: Sequence[Event]) -> list[Event]:
        """Numbers from the lease, as far as it goes; the journal gives the others theirs when it commits them."""
        journal = self._writer.journal if self._writer else None
        if journal is None:
            if self._journalled:
                self._begin(uuid7(), None)  # numbers of the journal's log are not ours to give
            return [self._count(event) for event in batch]
        if journal.log != self.log:
            self._begin(journal.log, journal)
        return journal.number(batch)

    def _count(self, event: Event) -> Event:
        number = self._numbers[event.stream] = self._numbers.get(event.stream, 0) + 1
        return replace(event, log=self.log, seq=number)

    def _begin(self, log: str, journal: Journal | None) -> None:
        """Go on in another log: of a journal that was opened in operation, or of this run where it was lost."""
        self.log, self._journalled = log, journal is not None
        self._numbers.clear()
        self._announce(journal)

    def _may_write(self) -> bool:
        return not self._failing or time.monotonic() >= self._retry_at

    def _store(self, events: list[Event]) -> list[Event]:
        """Events as they may be published: durable where the journal has them, kept for later where it has not."""
        if self._commit and self._commit.wait(0):
            self._end(self._commit)
        if self._writer is None or not (events or self._waiting):
            return events
        if self._commit or not self._may_write():
            return self._remember(events)
        commit = self._writer.start([*self._waiting, *events])
        late = len(self._waiting)
        self._waiting.clear()
        if not commit.wait(PATIENCE_S):
            self._commit = commit
            self._fail(f"the disk takes longer than {PATIENCE_S:g} s for a commit")
            return events
        self._late += late
        self._end(commit)
        return commit.stored[late:] if commit.error is None else commit.events[late:]

    def _end(self, commit: Commit) -> None:
        """A commit has ended, perhaps one that was not waited for any more."""
        if commit is self._commit:
            self._commit = None
            self._late += len(commit.events)
        if commit.error is not None:
            newer, self._late = list(self._waiting), 0
            self._waiting.clear()
            self._remember([*commit.events, *newer])
            self._fail(str(commit.error))
            return
        if self._writer and self._writer.journal and self._writer.journal.log != self.log:
            self._begin(self._writer.journal.log, self._writer.journal)
        if self._failing and not self._waiting:
            self._recovered()

    def _remember(self, events: list[Event]) -> list[Event]:
        lost = max(0, len(self._waiting) + len(events) - self._limit)
        if lost:
            self._forgotten += lost
            self.board.drop("journal", lost, announce=False)  # told when it works again
        self._waiting.extend(events)  # the oldest fall out
        return events

    def _fail(self, why: str) -> None:
        self._retry_at = time.monotonic() + RETRY_S
        if not self._failing:
            self._failing, self.board.status.durable = True, False
            self._notice(f"the journal fails, events go out with durable=false: {why}", journal="failing")

    def _recovered(self) -> None:
        self._failing, self.board.status.durable = False, True
        self._notice(
            f"the journal works again: {self._late} events committed late, {self._forgotten} never",
            journal="working",
            late=self._late,
            never=self._forgotten,
        )
        self._late, self._forgotten = 0, 0

    def _notice(self, reason: str, **detail: Any) -> None:
        """Say something about the device itself; its stream counts milliseconds."""
        logger.warning("%s", reason)
        self._notice_count += 1
        now = time.time_ns()
        elapsed = int(1000 * (time.monotonic() - self._began))
        self._notices.append(
            Event(
                stream=DEVICE_STREAM,
                id=f"{self._epoch}:health-{self._notice_count}:{elapsed}",
                device=self._device,
                epoch=self._epoch,
                type="health",
                onset_sample=elapsed,
                onset_s=elapsed / 1000,
                onset_utc_ns=now,
                onset_utc=rfc3339(now),
                reason=reason,
                detail=detail,
            )
        )

    def _announce(self, journal: Journal | None) -> None:
        if self._publisher is None:
            return
        known = journal.streams() if journal else []
        for stream in {*known, *self._streams}:
            self._publisher.announce(stream, self.log, journal.head(stream) if journal else 0)
