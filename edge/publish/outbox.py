"""The outbox: one thread that journals events and then publishes them. Whoever submits never waits.

    submit ──▶ queue (bounded) ──▶ commit ──▶ publish ──▶ on_published
                                     │ fails
                                     └──▶ publish with durable=false, keep (bounded), commit later

A batch is what arrived during the last commit; there is no commit timer.
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
from edge.publish.journal import Journal
from edge.publish.wake import Wake
from edge.publish.zeromq import HEARTBEAT_S, Publisher

logger = logging.getLogger(__name__)

QUEUE = 10_000
KEEP = 200_000  # events that the journal retains: some 100 MB
PRUNE_EVERY = 1_000
RETRY_S = 1.0
DEVICE_STREAM = "device"  # the stream of what concerns no microphone: the outbox's own health


class Outbox:
    """Journals and publishes events from a thread of its own, until closed.

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
        Called by the outbox's thread with each event, after it was published.
    queue
        Events that may wait: for the outbox, and once more for a journal that fails.
    keep
        Events that the journal retains.

    The outbox takes journal and publisher over, and closes them.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        publisher: Publisher | None = None,
        *,
        device: str = "",
        streams: Iterable[str] = (),
        on_published: Callable[[Event], None] | None = None,
        queue: int = QUEUE,
        keep: int = KEEP,
    ) -> None:
        self._journal, self._publisher = journal, publisher
        self._device = device or (journal.device if journal else "") or (publisher.device if publisher else "")
        self._on_published = on_published
        self._limit, self._keep = queue, keep
        self.log = journal.log if journal else uuid7()
        self._numbers: dict[str, int] = {}
        self._queue: list[Event] = []
        self._overflow = 0
        self._lock = threading.Lock()
        self._notices: list[Event] = []
        self._notice_count = 0
        self._epoch, self._began = uuid7(), time.monotonic()
        self._waiting: deque[Event] = deque(maxlen=queue)
        self._forgotten = 0
        self._failing = False
        self._retry_at = 0.0
        self._beat_at = 0.0
        self._unpruned = PRUNE_EVERY
        self._closing = False
        self._wake = Wake()
        self._announce(streams)
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

    def submit(self, event: Event) -> bool:
        """Hand an event over; never blocks.

        Returns
        -------
        bool
            False where the queue was full: the event is lost, counted, and a ``health`` event will say so.

        Raises
        ------
        TypeError, ValueError
            The event has something in it that JSON cannot say.
        """
        msgspec.json.encode(event)  # an event that has no JSON fails where it was made, not in the outbox
        with self._lock:
            if len(self._queue) >= self._limit or self._closing:
                self._overflow += 1
                return False
            self._queue.append(event)
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
                poller.poll(self._patience_ms())
                self._wake.clear()
                self._turn()
            self._retry_at = 0.0  # the journal's last chance
            self._deliver(self._take())
            while batch := self._take():
                self._deliver(batch)
            if self._waiting:
                logger.error("%d events could not be journalled before the end", len(self._waiting))
        finally:
            if self._journal:
                self._journal.close()
            if self._publisher:
                self._publisher.close()

    def _poller(self) -> Any:
        if self._publisher:
            import zmq

            poller: Any = zmq.Poller()
            poller.register(self._publisher.socket, zmq.POLLIN)
        else:
            poller = select.poll()
        poller.register(self._wake.fileno(), select.POLLIN)
        return poller

    def _patience_ms(self) -> int:
        """Sleep until the next heartbeat or retry; not at all while there is something of our own to say."""
        return 0 if self._notices else max(0, int(1000 * (self._beat_at - time.monotonic())) + 1)

    def _turn(self) -> None:
        if self._publisher:
            self._publisher.serve()
        batch = self._take()
        if batch or (self._waiting and time.monotonic() >= self._retry_at):
            self._deliver(batch)
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + HEARTBEAT_S
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

    def _deliver(self, batch: Sequence[Event]) -> None:
        for event in self._commit(self._number(batch)):
            if self._publisher:
                self._publisher.send(event)
            if self._on_published:
                try:
                    self._on_published(event)
                except Exception:  # a listener's fault must not silence the device
                    logger.exception("on_published failed for event %s", event.id)
        if self._unpruned >= PRUNE_EVERY:
            self._prune()

    def _number(self, batch: Sequence[Event]) -> list[Event]:
        if self._journal is None:
            return [self._count(event) for event in batch]
        if self._may_write():
            with suppress(JournalError):  # the commit that follows will say it
                self._journal.reserve(batch)
        return self._journal.number(batch)

    def _count(self, event: Event) -> Event:
        number = self._numbers[event.stream] = self._numbers.get(event.stream, 0) + 1
        return replace(event, log=self.log, seq=number)

    def _may_write(self) -> bool:
        return not self._failing or time.monotonic() >= self._retry_at

    def _commit(self, events: list[Event]) -> list[Event]:
        """Events as they may be published: durable where the journal has them, kept for later where it has not."""
        if self._journal is None or not (events or self._waiting):
            return events
        if not self._may_write():
            return self._remember(events)
        try:
            stored = self._journal.append([*self._waiting, *events])
        except JournalError as error:
            self._retry_at = time.monotonic() + RETRY_S
            if not self._failing:
                self._failing = True
                self._notice(f"the journal fails, events go out with durable=false: {error}", journal="failing")
            return self._remember(events)
        if self._failing:
            self._recovered()
        fresh = stored[len(self._waiting) :]
        self._waiting.clear()
        self._unpruned += len(stored)
        return fresh

    def _remember(self, events: list[Event]) -> list[Event]:
        self._forgotten += max(0, len(self._waiting) + len(events) - self._limit)
        self._waiting.extend(events)  # the oldest fall out
        return events

    def _recovered(self) -> None:
        self._failing = False
        self._notice(
            f"the journal works again: {len(self._waiting)} events committed late, {self._forgotten} never",
            journal="working",
            late=len(self._waiting),
            never=self._forgotten,
        )
        self._forgotten = 0

    def _prune(self) -> None:
        self._unpruned = 0
        if self._journal:
            try:
                self._journal.prune(self._keep)
            except JournalError as error:
                logger.warning("old events are kept for now: %s", error)

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

    def _announce(self, streams: Iterable[str]) -> None:
        if self._publisher is None:
            return
        known = self._journal.streams() if self._journal else []
        for stream in {*known, *streams}:
            self._publisher.announce(stream, self.log, self._journal.head(stream) if self._journal else 0)
