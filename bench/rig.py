"""Everything between a microphone and a subscriber, in real time, with a stamp at every door.

    due ─source─ written ─ring─ read ─front end─ features ─engine─ scores ─decoder─ submitted
        ─journal─ committed ─publisher─ sent ─socket─ received

The parts are the daemon's own. Sources play arrays at the pace of the clock and, like a device, do not wait for the
reader; a block of sound is *due* when its last sample has sounded. Streams share one model and one outbox.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from bench.ports import free_ports
from edge.blocks import AudioBlock, Event, Float32, ScoreBlock
from edge.clock import SECOND, SampleClock, SystemClock
from edge.decode.event import EventMaker
from edge.errors import WireError
from edge.inference.model import Model
from edge.listener import Listener
from edge.pipeline import Pipeline
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.replay import ReplayServer
from edge.publish.zeromq import Publisher, replay_endpoint
from edge.ring import Ring
from edge.sources.base import Feed, ThreadSource
from edge.supervise.capture import RING_SECONDS
from edge.supervise.stream import BLOCK_SECONDS
from edge.supervise.worker import Worker

STAGES = ("source", "ring", "front end", "engine", "decoder", "journal", "publisher", "socket")
Key = tuple[str, str, str]  # stream, id, type
GOLDEN = (5**0.5 - 1) / 2  # its multiples fill a second evenly, however many
now = time.monotonic_ns  # one clock for all processes of a machine


class Heard(msgspec.Struct, array_like=True):
    """What the subscriber's process tells of an event: when it had it in hands."""

    stream: str
    id: str
    type: str
    seq: int
    ns: int

    @property
    def key(self) -> Key:
        """Which event it is."""
        return self.stream, self.id, self.type


def key(event: Event) -> Key:
    """Which event it is: a begin and its end share an id."""
    return event.stream, event.id, event.type


@dataclass
class Stamps:
    """When each event was read, had features, scores, was submitted (one entry), committed and sent."""

    decided: dict[Key, list[int]] = field(default_factory=dict)
    committed: dict[Key, int] = field(default_factory=dict)
    sent: dict[Key, int] = field(default_factory=dict)


class PacedSource(ThreadSource):
    """Plays an array at the pace of the clock.

    Parameters
    ----------
    samples
        float32 ``[N]``.
    rate
        Samples per second.
    block
        Samples per write.
    begin_ns
        When sample 0 sounds, by the monotonic clock.

    Attributes
    ----------
    written
        When each block was given to the ring.
    """

    def __init__(self, samples: Float32, rate: int, block: int, begin_ns: int) -> None:
        super().__init__("paced", live=True)
        self.rate = rate
        self.block = block
        self.begin_ns = begin_ns
        self.written: list[int] = []
        self._samples = samples

    def open(self) -> None:
        """Nothing can go wrong here."""
        self.frames = len(self._samples)

    def due(self, block: int) -> int:
        """When the last sample of a block has sounded."""
        return self.begin_ns + (block + 1) * self.block * SECOND // self.rate

    def deliver(self, feed: Feed) -> None:
        """Deliver each block when it is due."""
        for number in range(len(self._samples) // self.block):
            if self.stop.wait(max(0, self.due(number) - now()) / SECOND):
                return
            self.written.append(now())
            first = number * self.block
            feed.put(self._samples[first : first + self.block], wait=False, stamp=True)


class StampedListener(Listener):
    """The listener, noting when a block passes its stages."""

    def __init__(self, model: Model, source_rate: int) -> None:
        super().__init__(model, source_rate)
        self.passed: list[int] = []

    def _hear(self, block: AudioBlock) -> list[ScoreBlock]:
        features = self._front.push(block)
        if not len(features.frames):
            return []
        self.passed.append(now())
        scores = self._scorer.push(features)
        self.passed.append(now())
        return [scores] if len(scores.scores) else []


class StampedPipeline(Pipeline):
    """The pipeline, noting when a block passes its stages."""

    def __init__(self, model: Model, maker: EventMaker, stamps: Stamps) -> None:
        self._stamped = StampedListener(model, maker.rate)
        super().__init__(model, maker, listener=self._stamped)
        self._stamps = stamps

    def push(self, block: AudioBlock) -> list[Event]:
        """As the base says."""
        self._stamped.passed = [now()]
        events = super().push(block)
        if events:
            passed = [*self._stamped.passed, now()]
            self._stamps.decided.update((key(event), passed) for event in events)
        return events


class StampedJournal(Journal):
    """The journal, noting when an event is committed."""

    stamps: Stamps

    def append(self, events: Sequence[Event]) -> list[Event]:
        """As the base says."""
        stored = super().append(events)
        self.stamps.committed.update(dict.fromkeys(map(key, stored), now()))
        return stored


class StampedPublisher(Publisher):
    """The publisher, noting when an event is encoded and enters its socket: behind that a subscriber may be faster."""

    stamps: Stamps
    _key: Key | None = None

    def send(self, event: Event) -> None:
        """As the base says."""
        self._key = key(event)
        super().send(event)

    def _send(self, message: Sequence[bytes]) -> None:
        if self._key is not None:  # None: a heartbeat
            self.stamps.sent[self._key] = now()
            self._key = None
        super()._send(message)


class Stream:
    """One microphone's way into the outbox, served by the worker of its model as in the daemon."""

    def __init__(self, name: str, model: Model, stamps: Stamps, source: PacedSource) -> None:
        self.name, self.source = name, source
        self.pipeline = StampedPipeline(
            model, EventMaker("bench", name, model.id, source.rate, SampleClock(source.rate)), stamps
        )
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.ring = Ring(round(RING_SECONDS * source.rate), source.rate)

    def start(self, submit: Callable[[Event], object], worker: Worker) -> None:
        """Play, until the source ends or `close` is called."""
        self._submit = submit
        self.ring = Ring(self.ring.capacity, self.ring.rate, worker.wake)
        self.source.open()
        worker.add(self)
        self.source.start(self.ring, SystemClock(), self.pipeline.maker.clock)

    def step(self) -> bool:
        """Hear what has come."""
        block = self.ring.poll(round(BLOCK_SECONDS * self.ring.rate))
        if block is not None:
            for event in self.pipeline.push(block):
                self._submit(event)
        elif self.ring.ended:
            self.ended.set()
        return block is not None

    def crashed(self, error: Exception) -> None:
        """A measurement that fails has no figure."""
        self.error = error
        self.ended.set()

    def stop(self, _reason: str = "stop") -> None:
        """Hear nothing more."""
        self.ended.set()

    @property
    def backlog(self) -> float:
        """Seconds of sound that are due and that the pipeline has not taken yet."""
        due = min((now() - self.source.begin_ns) / SECOND, (self.source.frames or 0) / self.source.rate)
        return max(0.0, due - self.pipeline.position[1] / self.source.rate)


@contextmanager
def playing(streams: Sequence[Stream], submit: Callable[[Event], object]) -> Iterator[None]:
    """All streams, served by one worker; they are ended with the block.

    Raises
    ------
    Exception
        What went wrong in a stream.
    """
    worker = Worker("bench")
    worker.start()
    try:
        for stream in streams:
            stream.start(submit, worker)
        yield
    finally:
        for stream in streams:
            stream.source.close()
        worker.stop()
    for stream in streams:
        if stream.error is not None:
            raise stream.error


def follow(ring: Ring, pipeline: Pipeline, submit: Callable[[Event], object]) -> None:
    """Submit the events of what `ring` holds, as soon as it comes, until it ends."""
    limit = round(BLOCK_SECONDS * ring.rate)
    while not ring.ended:
        block = ring.read(limit, timeout=0.2)
        if block is not None:
            for event in pipeline.push(block):
                submit(event)


@contextmanager
def outbox(
    folder: Path,
    endpoint: str,
    stamps: Stamps,
    streams: Sequence[str],
    journal: type[StampedJournal] = StampedJournal,
    publisher: type[StampedPublisher] = StampedPublisher,
) -> Iterator[Outbox]:
    """Journal, publisher and replay in a folder, as the daemon has them."""
    path = folder / "bench.journal"
    with ExitStack() as stack:
        book = journal(path, "bench")
        book.stamps = stamps
        try:
            wire = publisher(endpoint, "bench")
        except WireError:
            book.close()
            raise
        wire.stamps = stamps
        box = stack.enter_context(Outbox(book, wire, streams=streams))
        stack.enter_context(ReplayServer(path, replay_endpoint(endpoint)))
        yield box


class Listener:
    """A subscriber in a process of its own."""

    def __init__(self, endpoint: str) -> None:
        command = [sys.executable, "-m", "bench.listener", endpoint]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ready(self) -> None:
        """Wait until it has heard a heartbeat.

        Raises
        ------
        WireError
            It ended instead.
        """
        if not self._process.stdout.readline():
            raise WireError("bench: the subscriber's process ended before it heard anything; its message is above")

    def finish(self, events: int) -> list[Heard]:
        """What it heard, once it has so many events, or after two seconds without one."""
        heard, _ = self._process.communicate(b"%d\n" % events)
        return msgspec.json.decode(heard, type=list[Heard])

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()


@contextmanager
def place(kind: str) -> Iterator[tuple[Path, str]]:
    """A folder that goes away, and a free endpoint: `kind` is ``tcp`` or ``ipc``."""
    with tempfile.TemporaryDirectory(prefix="wheatear-bench-") as name:
        yield Path(name), f"ipc://{name}/events" if kind == "ipc" else f"tcp://127.0.0.1:{free_ports()}"


@dataclass(frozen=True)
class Journey:
    """One event's way: nine instants, eight stages between them, which sum to the whole by construction.

    Attributes
    ----------
    event_type, label
        What it is.
    onset_sample
        Its onset as decided.
    marks
        Monotonic ns: due, written, read, features, scores, submitted, committed, sent, received.
    decided_after
        Samples that had to sound before it could be decided.
    """

    stream: str
    event_type: str
    label: str
    onset_sample: int
    decided_after: int
    marks: tuple[int, ...]

    @property
    def stages(self) -> list[float]:
        """Seconds in each of `STAGES`."""
        return [(b - a) / SECOND for a, b in pairwise(self.marks)]

    @property
    def total(self) -> float:
        """Seconds from due to received."""
        return (self.marks[-1] - self.marks[0]) / SECOND


def decisions(model: Model, samples: Float32, rate: int, block: int) -> list[tuple[Event, int]]:
    """Each event of a recording with the number of the block that decides it, found without any clock."""
    pipeline = Pipeline(model, EventMaker("bench", "bench", model.id, rate, SampleClock(rate)))
    return [
        (event, number)
        for number in range(len(samples) // block)
        for event in pipeline.push(AudioBlock("bench", number * block, rate, samples[number * block :][:block]))
    ]


def stagger(number: int) -> int:
    """Nanoseconds by which a stream begins later, spread over a second: microphones do not beat in time."""
    return round(number * GOLDEN % 1 * SECOND)


def rolled(samples: Float32, part: float) -> Float32:
    """The same sound beginning elsewhere, so that streams do not hear everything at once."""
    return np.roll(samples, -round(part * len(samples)))
