"""The notice board of all outputs: what they count, and what they want to be told as a ``health`` event.

Whoever drops, fails or recovers says so here, from any thread and without waiting; the outbox reads the board at least
once a second, makes events of it and so announces them to everyone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import msgspec

from edge.publish.wear import HOUR_S, per_day

NOTICES = 100
ANNOUNCE_S = 10.0  # drops of a queue are announced at once, and then this often while they go on


class OutputStatus(msgspec.Struct):
    """Counters and gauges of journal, wire and bridges, since the start.

    Attributes
    ----------
    published
        Events that went out over the wire.
    queued
        What waits, by queue: ``outbox``, ``journal`` (published, but not committed yet) and each sink.
    dropped
        What bounded queues left out, by queue.
    durable
        False while the journal fails or is absent: events go out with ``durable = false``.
    journal_bytes, journal_written
        Size of the journal, and bytes handed to the file system for it.
    began
        When counting began, on the monotonic clock.
    peers
        Subscriptions that are served.
    refused
        Requests and subscriptions above a cap.
    denied
        Connections without a key that is allowed.
    connected
        By bridge: whether its far end is there.
    """

    published: int = 0
    queued: dict[str, int] = {}  # msgspec copies it for each
    dropped: dict[str, int] = {}
    durable: bool = False
    journal_bytes: int = 0
    journal_written: int = 0
    peers: int = 0
    refused: int = 0
    denied: int = 0
    connected: dict[str, bool] = {}
    began: float = msgspec.field(default_factory=time.monotonic)

    @property
    def journal_bytes_per_day(self) -> float:
        """Bytes handed to the file system a day, at the mean rate; within the first hour as if that were over."""
        return per_day(self.journal_written, max(HOUR_S, time.monotonic() - self.began))


class Notice(msgspec.Struct, frozen=True):
    """A ``health`` event to be."""

    reason: str
    detail: dict[str, Any]


class Board:
    """Counters that any thread may read, and notices for the outbox.

    Attributes
    ----------
    status
        The counters; each is written by one thread, or under the board's lock by `drop`, `refuse` and `deny`.
    """

    def __init__(self) -> None:
        self.status = OutputStatus()
        self._lock = threading.Lock()
        self._notices: deque[Notice] = deque(maxlen=NOTICES)
        self._told: dict[str, int] = {}
        self._told_at: dict[str, float] = {}

    def say(self, reason: str, **detail: Any) -> None:
        """Have a ``health`` event made; never blocks, the oldest of too many are left out."""
        self._notices.append(Notice(reason, detail))

    def drop(self, queue: str, count: int = 1, announce: bool = True) -> None:
        """Count events that a queue left out; they are announced unless the caller does that."""
        with self._lock:
            if not announce:
                self._told[queue] = self._told.get(queue, 0) + count
            self.status.dropped = {**self.status.dropped, queue: self.status.dropped.get(queue, 0) + count}

    def refuse(self) -> None:
        """Count a request or subscription above a cap."""
        with self._lock:
            self.status.refused += 1

    def deny(self) -> None:
        """Count a connection without a key that is allowed."""
        with self._lock:
            self.status.denied += 1

    def take(self) -> list[Notice]:
        """Notices since the last call, and one for each counter that has risen; for the outbox."""
        found = [self._notices.popleft() for _ in range(len(self._notices))]
        status = self.status
        for queue, count in status.dropped.items():
            found += self._risen(queue, count, f"events were left out: the queue of {queue} was full", dropped=queue)
        found += self._risen("refused", status.refused, "requests or subscriptions were refused: above a cap")
        found += self._risen("denied", status.denied, "connections were denied: their key is not allowed, or none came")
        return found

    def _risen(self, name: str, count: int, reason: str, **detail: Any) -> list[Notice]:
        """A notice of what has been counted since the last one, not too often."""
        new, now = count - self._told.get(name, 0), time.monotonic()
        if new <= 0 or now - self._told_at.get(name, -ANNOUNCE_S) < ANNOUNCE_S:
            return []
        self._told[name], self._told_at[name] = count, now
        return [Notice(f"{new} {reason}", {**detail, "count": new, "total": count})]
