"""One source, kept alive: opened, watched, and had back when it is lost. Its channels go to the streams that want them.

open ──▶ deliver ──▶ lost? ──▶ wait (longer each time, with jitter) ──▶ open …
│                    └ a file, or standard input: the end
└ fails: streams are told, and it is tried again
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.clock import Clock, SampleClock
from edge.config.streams import Stream as StreamConfig
from edge.errors import SourceError, WheatearError
from edge.fan import Fan
from edge.ring import Ring
from edge.sources.base import Channel, Source
from edge.supervise.backoff import Backoff
from edge.supervise.stream import Feed, Stream

log = logging.getLogger(__name__)

RING_SECONDS = 10.0
CHUNK_S = 0.1  # gathered where nobody says otherwise
POLL_S = 0.25
ZEROS_S = 60.0  # of nothing but zeros, then the device is opened again; twice as long each time
ZEROS_LONGEST_S = 3600.0
STUCK_S = 120.0  # opening, starting and closing take less


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two streams listen to the same capture."""

    source: str
    pcm: str
    start: str
    realtime: bool

    @classmethod
    def of(cls, stream: StreamConfig) -> Key:
        """The key of a stream."""
        return cls(stream.source, stream.pcm, stream.start, stream.realtime)


MakeSource = Callable[[Key, tuple[Channel, ...], int], Source]


class Capture:
    """Runs one source in a thread of its own.

    Parameters
    ----------
    key
        What to open.
    channels
        Those that are wanted now; streams that join later may choose among them.
    rate
        Hz to open microphones at, where they can: the highest that a model wants.
    gather_s
        Seconds of sound to ask the source for at a time: the least that a stream gathers.
    make_source
        Makes the source afresh, at the start and at every reconnection.
    clock
        The time of day.
    patient
        Wait for a source that is not there at the start; otherwise that is the end.

    Attributes
    ----------
    tried
        Set after the first attempt to open.
    error
        Why the first attempt failed.
    """

    def __init__(
        self,
        key: Key,
        channels: tuple[Channel, ...],
        rate: int,
        gather_s: float,
        make_source: MakeSource,
        clock: Clock,
        patient: bool,
    ) -> None:
        self.key, self.channels = key, channels
        self.tried = threading.Event()
        self.error: WheatearError | None = None
        self._rate, self._make_source, self._clock, self._patient = rate, make_source, clock, patient
        self._gather_s = gather_s
        self._streams: dict[Stream, threading.Event] = {}
        self._changing = threading.Lock()
        self._now: tuple[Source, Fan, SampleClock] | None = None
        self._rings: dict[Stream, Ring] = {}
        self._go, self._stop = threading.Event(), threading.Event()
        self._backoff = Backoff()
        self._over = False
        self._result: WheatearError | None = None
        self._zeros_s = ZEROS_S
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture {key.source[:40]}", daemon=True)

    def start(self) -> None:
        """Open the source; `deliver` lets it run."""
        self._thread.start()

    def deliver(self) -> None:
        """Let sound flow to the streams that have been added."""
        self._go.set()

    def add(self, stream: Stream, wake: threading.Event) -> None:
        """Deliver to one more stream, from the next samples on; `wake` is set when there are some."""
        with self._changing:
            self._streams[stream] = wake
            self._gather_s = min(self._gather_s, gathered_s(stream.config))  # heeded when it is opened next
            if self._now:
                self._connect(stream, wake, *self._now)
            elif self._over:
                stream.finish(self._result)

    def remove(self, stream: Stream) -> int:
        """Deliver nothing more to a stream; return how many are left."""
        with self._changing:
            self._streams.pop(stream, None)
            ring = self._rings.pop(stream, None)
            if ring and self._now:
                self._now[1].remove(ring)
            return len(self._streams)

    def stop(self) -> None:
        """End delivery."""
        self._stop.set()
        self._go.set()

    def join(self) -> None:
        """Wait for the end."""
        if self._thread.is_alive():
            self._thread.join()

    @property
    def stuck(self) -> bool:
        """Opening, starting or closing the source hangs: some drivers and sound libraries do."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > STUCK_S

    def _run(self) -> None:
        error: WheatearError | None = None
        try:
            source = self._first()
            while source is not None:
                error = self._listen(source)
                again = source.reconnects and (error is not None or source.live)
                source = self._reopen() if again and not self._stop.is_set() else None
                error = None if again else error
        except WheatearError as problem:
            error = problem
        except Exception as problem:  # the supervisor's boundary: other captures go on
            log.exception("capture of %s failed", self.key.source)
            error = SourceError(f"{type(problem).__name__}: {problem}")
        finally:
            with self._changing:
                self._over, self._result = True, error
                for stream, wake in self._streams.items():
                    stream.finish(error)
                    wake.set()
            self.tried.set()

    def _first(self) -> Source | None:
        """The source at the start."""
        try:
            source = self._make_source(self.key, self.channels, self._rate)
            try:
                self._open(source)
            except SourceError as error:
                if not (self._patient and source.reconnects):
                    raise
                self._tell(error)
                self.tried.set()
                self._go.wait()
                return self._reopen()
        except WheatearError as error:
            self.error = error
            raise
        self.tried.set()
        self._go.wait()
        if self._stop.is_set():
            source.close()
            return None
        return source

    def _open(self, source: Source) -> None:
        source.gather_s = self._gather_s
        self._busy_since = time.monotonic()
        try:
            source.open()
        finally:
            self._busy_since = None

    def _reopen(self) -> Source | None:
        """The source again, as soon as it can be opened; None when told to stop."""
        while not self._stop.wait(self._backoff.wait()):
            source = self._make_source(self.key, self.channels, self._rate)
            try:
                self._open(source)
                return source
            except SourceError as error:
                log.info("%s", error)
                self._tell(error)
        return None

    def _listen(self, source: Source) -> WheatearError | None:
        """Deliver until the source ends or is lost; return what it ended with."""
        fan, clock = Fan(self.channels), SampleClock(source.rate)
        self._backoff = Backoff(longest=source.longest_wait_s)
        with self._changing:
            self._now = (source, fan, clock)
            for stream, wake in self._streams.items():
                self._connect(stream, wake, *self._now)
        try:
            self._busy_since = time.monotonic()
            source.start(fan, self._clock, clock)
            self._busy_since = None
            while not self._stop.is_set() and not fan.ended.wait(POLL_S):
                self._look(source, fan)
        finally:
            with self._changing:
                self._now = None
                self._rings.clear()
            self._busy_since = time.monotonic()
            source.close()
            self._busy_since = None
            for _, wake in self._all():
                wake.set()
        return fan.error

    def _connect(self, stream: Stream, wake: threading.Event, source: Source, fan: Fan, clock: SampleClock) -> None:
        rate = source.rate
        history, enough = round(stream.history_s * rate), least(gathered_s(stream.config), source)
        ring = Ring(history + round(RING_SECONDS * rate), rate, wake, least=enough, history=history)
        self._rings[stream] = ring
        fan.add(ring, stream.config.channel)
        stream.attach(Feed(ring, clock, source))
        wake.set()

    def _look(self, source: Source, fan: Fan) -> None:
        """A microphone that gives nothing but zeros is opened again: some recover so."""
        if not source.zeros_are_a_fault:
            return
        zeros = min((stream.status.zero_s for stream, _ in self._all()), default=0.0)
        if not zeros:
            self._zeros_s = ZEROS_S
        elif zeros > self._zeros_s:
            self._zeros_s = min(2 * self._zeros_s, ZEROS_LONGEST_S)
            fan.close(SourceError(f"{source.name}: every sample has been the same for {zeros:.0f} s; opened again"))

    def _tell(self, error: SourceError) -> None:
        for stream, wake in self._all():
            stream.unreachable(error)
            wake.set()

    def _all(self) -> list[tuple[Stream, threading.Event]]:
        with self._changing:
            return list(self._streams.items())


def gathered_s(config: StreamConfig) -> float:
    """Seconds of sound that a stream gathers."""
    return CHUNK_S if config.chunk is None else config.chunk


def least(chunk: float, source: Source) -> int:
    """Samples of a chunk, in whole deliveries: else it would wait for one more to be full."""
    period = max(1, round(source.period_s * source.rate))
    return max(1, round(chunk * source.rate) // period * period)
