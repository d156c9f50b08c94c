"""What follows the outbox: files and bridges, each behind a bounded queue and a thread of its own.

outbox ──push──▶ queue (bounded) ──▶ thread ──▶ file, broker, …
         full: left out, counted, announced
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from edge.blocks import Event
from edge.publish.board import Board

logger = logging.getLogger(__name__)

T = TypeVar("T")
QUEUE = 2_000
CLOSE_S = 5.0  # a far end that hangs may hold up the end of the daemon for so long


class Sink(Protocol):
    """Somewhere else that events go, after they were published.

    Attributes
    ----------
    name
        As in counters and health events.
    """

    name: str

    def push(self, event: Event) -> None:
        """Take an event; must return at once."""

    def close(self) -> None:
        """Deliver what was pushed, for some seconds at most, and let go of everything."""


class QueueSink(Generic[T]):
    """A sink whose work is done by a thread of its own, in batches.

    Parameters
    ----------
    name
        As in counters and health events.
    deliver
        Called by the thread with what has come; it may block. What it raises is logged and ends nothing.
    board
        Where drops are counted.
    limit
        Events that may wait.
    finish
        Called by the thread at last.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[list[T]], None],
        board: Board,
        limit: int = QUEUE,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._deliver, self._finish = deliver, finish
        self._board, self._limit = board, limit
        self._queue: list[T] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def push(self, event: T) -> None:
        """Queue an event, or count it where the queue is full."""
        with self._changed:
            full = len(self._queue) >= self._limit
            if not full:
                self._queue.append(event)
                self._changed.notify()
            self._board.status.queued[self.name] = len(self._queue)
        if full:
            self._board.drop(self.name)

    def close(self) -> None:
        """Deliver what is queued, then end the thread; a delivery that hangs is left behind and said."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            logger.error("%s hangs: %d events were not delivered", self.name, len(self._queue))

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._deliver(batch)
            except Exception:  # a sink's fault must not silence it for good
                logger.exception("%s could not deliver %d events", self.name, len(batch))
                self._board.drop(self.name, len(batch))
        if self._finish:
            self._finish()

    def _take(self) -> list[T]:
        """What has come; empty when closed and drained."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            batch, self._queue = self._queue, []
            self._board.status.queued[self.name] = 0
            return batch
