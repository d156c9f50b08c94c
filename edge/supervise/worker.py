"""The inference thread of a model: serves its streams in turn.

One stream after the other gets one block done, whatever has come for it; a stream that has nothing costs a look into
its ring. No lock is ever fought over, and no stream waits for more than one block of each other. What it does not
fetch in time is overwritten in the ring, and announced by the stream as a gap.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

IDLE_S = 0.2  # how soon a restart that is due is seen, and orders without sound


class Served(Protocol):
    """What a worker serves: a `Stream`.

    Attributes
    ----------
    name
        For the log.
    ended
        Set when it wants no more steps.
    """

    name: str
    ended: threading.Event

    def step(self) -> bool:
        """Do at most one block of work; return False where there was none."""

    def crashed(self, error: Exception) -> None:
        """A step raised this."""

    def stop(self, reason: str = "stop") -> None:
        """End what is open; there will be no further step."""


class Worker:
    """A thread that serves streams until stopped.

    Parameters
    ----------
    name
        Of the model; names the thread.

    Attributes
    ----------
    wake
        To be set by whoever has something for one of its streams: the rings' writers, and those who give orders.
    """

    def __init__(self, name: str) -> None:
        self.wake = threading.Event()
        self._orders: deque[Callable[[], None]] = deque()
        self._streams: tuple[Served, ...] = ()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"inference {name}", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def add(self, stream: Served) -> None:
        """Serve one more stream; from any thread."""
        self._order(lambda: self._enter(stream))

    def remove(self, stream: Served, reason: str = "stop") -> None:
        """End a stream's open events and serve it no more; from any thread, `stream.ended` tells when it is done."""
        self._order(lambda: self._leave(stream, reason))

    @property
    def streams(self) -> tuple[Served, ...]:
        """Those that it serves."""
        return self._streams

    def stop(self) -> None:
        """End all streams' open events, and the thread."""
        self._stopping = True
        self.wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _order(self, what: Callable[[], None]) -> None:
        self._orders.append(what)
        self.wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self.wake.clear()
            while self._orders:
                self._orders.popleft()()
            busy = [stream for stream in self._streams if self._serve(stream)]
            if not busy:
                self.wake.wait(IDLE_S)
        for stream in self._streams:
            self._leave(stream, "stop")

    def _serve(self, stream: Served) -> bool:
        """One step of a stream; whatever goes wrong in it is its own affair."""
        if stream.ended.is_set():
            self._streams = tuple(one for one in self._streams if one is not stream)
            return False
        try:
            return stream.step()
        except Exception as error:  # the supervisor's boundary: others go on
            log.exception("stream %s failed", stream.name)
            stream.crashed(error)
            return True

    def _enter(self, stream: Served) -> None:
        self._streams = (*self._streams, stream)

    def _leave(self, stream: Served, reason: str) -> None:
        self._streams = tuple(one for one in self._streams if one is not stream)
        try:
            stream.stop(reason)
        except Exception:  # as above
            log.exception("stream %s failed at its end", stream.name)
            stream.ended.set()
