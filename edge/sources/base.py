"""What every source of sound does, and what most of them share.

A source is opened (errors with their cause come here), started (it delivers from a thread or callback of its own into a
ring, under a new epoch) and closed. Whatever ends it, the ring is closed: with an error that says what happened, or
without one at a clean end.
"""

from __future__ import annotations

import logging
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge.blocks import Float32
from edge.clock import FLOOR_NS, Clock, SampleClock
from edge.errors import SourceError, WheatearError
from edge.ids import uuid7

log = logging.getLogger(__name__)

Channel = int | str  # an index from 0, or "mix"
Channels = Channel | tuple[Channel, ...]  # several: samples come as ``[N, n]``, for a `Fan`
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
JOIN_S = 5.0


class Sink(Protocol):
    """Where a source delivers: a `Ring`, or a `Fan` of them."""

    def begin(self, epoch: str, start: int = 0, lost: int = 0, exact: bool = True) -> None:
        """Say what the next sample is."""

    def write(self, samples: Float32) -> None:
        """Append samples; never waits."""

    def write_all(self, samples: Float32, stop: threading.Event) -> bool:
        """Append samples, waiting for room; False if it was stopped."""

    def close(self, error: WheatearError | None = None) -> None:
        """Say that nothing follows."""


class Source(Protocol):
    """Where sound comes from.

    Attributes
    ----------
    name
        For people: printable, without credentials.
    rate
        Samples per second; known once open.
    live
        Sound that happens now and does not wait; otherwise nothing is ever lost, the source waits for the ring.
    reconnects
        After a loss it may come back: opening it again makes sense.
    start_utc_ns
        UTC of sample 0 where the sound itself tells it (files).
    frames
        Samples to come, where known.
    bad_samples, first_bad
        Samples that were NaN or infinite and became 0, and the index of the first of them.
    zeros_are_a_fault
        It has noise of its own: nothing but zeros means that it does not work.
    longest_wait_s
        Between attempts to have it back.
    gather_s
        Seconds of live sound that are wanted at a time, to be set before `open`: each delivery wakes the processor.
    period_s
        Seconds of sound in each delivery; known once open, 0 where that varies.
    """

    name: str
    rate: int
    live: bool
    reconnects: bool
    start_utc_ns: int | None
    frames: int | None
    bad_samples: int
    first_bad: int | None
    zeros_are_a_fault: bool
    longest_wait_s: float
    gather_s: float
    period_s: float

    def open(self) -> None:
        """Find the sound and learn its rate.

        Raises
        ------
        SourceError
            In one line: what was looked for, what was found, what to do.
        """

    def start(self, ring: Sink, clock: Clock, sample_clock: SampleClock) -> None:
        """Begin to deliver into `ring`, under a new epoch."""

    def close(self) -> None:
        """End delivery and close the ring; may be called more than once."""


class BaseSource:
    """Attributes of `Source`, and the one place where samples are made finite.

    Attributes
    ----------
    floor_ns
        Uncertainty of the samples' UTC that no stamp can lower.
    """

    floor_ns = FLOOR_NS
    reconnects = False
    zeros_are_a_fault = False
    longest_wait_s = 30.0

    def __init__(self, name: str, *, live: bool) -> None:
        self.name = printable(name)
        self.gather_s = self.period_s = 0.0
        self.rate = 0
        self.live = live
        self.start_utc_ns: int | None = None
        self.frames: int | None = None
        self.bad_samples = 0
        self.first_bad: int | None = None

    def clean(self, samples: Float32, index: int) -> Float32:
        """Return `samples` ``[N]`` or ``[N, n]``, the first of them sample `index`, with NaN and infinities as 0."""
        finite = np.isfinite(samples)
        if finite.all():
            return samples
        if self.first_bad is None:
            self.first_bad = index + int(finite.argmin()) // (finite.size // len(finite))
            log.warning("%s: sample %d is not a number; such samples are taken as 0", self.name, self.first_bad)
        self.bad_samples += int(np.count_nonzero(~finite))
        return np.where(finite, samples, np.float32(0))


class ThreadSource(BaseSource, ABC):
    """A source that delivers from a thread: subclasses write `open` and `deliver`."""

    def __init__(self, name: str, *, live: bool) -> None:
        super().__init__(name, live=live)
        self.stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ring: Sink | None = None

    @abstractmethod
    def open(self) -> None:
        """Find the sound and learn its rate."""

    @abstractmethod
    def deliver(self, feed: Feed) -> None:
        """Put all samples into `feed` until they end or `stop` is set; raise what goes wrong."""

    def release(self) -> None:
        """Give back files and processes; called once delivery has ended."""

    def start(self, ring: Sink, clock: Clock, sample_clock: SampleClock) -> None:
        """Begin to deliver into `ring`, under a new epoch."""
        self._ring = ring
        feed = Feed(self, ring, clock, sample_clock, self.stop)
        feed.begin()
        self._thread = threading.Thread(target=self._run, args=(feed,), name=f"source {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End delivery and close the ring; may be called more than once."""
        self.stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
        else:
            self.release()
        if self._ring is not None:
            self._ring.close()

    def _run(self, feed: Feed) -> None:
        error: WheatearError | None = SourceError(f"{self.name}: reading failed for an unknown reason; see the log")
        try:
            self.deliver(feed)
            error = None
        except WheatearError as problem:
            error = problem
        except OSError as problem:
            error = SourceError(f"{self.name}: cannot be read any further: {problem.strerror or problem}")
        finally:
            self.release()
            feed.ring.close(error)


class Feed:
    """A source thread's way into the ring: indices, cleaning, stamping.

    Attributes
    ----------
    index
        Index of the next sample.
    """

    def __init__(
        self, source: BaseSource, ring: Sink, clock: Clock, sample_clock: SampleClock, stop: threading.Event
    ) -> None:
        self.ring = ring
        self.clock = clock
        self.index = 0
        self._source = source
        self._sample_clock = sample_clock
        self._stop = stop
        self._epoch = ""

    def begin(self, lost: int | None = None) -> None:
        """Begin a new epoch; after a loss, `lost` is the estimate of what is missing before it."""
        self._epoch = uuid7(self.clock)
        self.index = 0
        self._sample_clock.begin(self._epoch, self._source.floor_ns)
        if self._source.start_utc_ns is not None:
            self._sample_clock.fix(self._source.start_utc_ns, self._source.floor_ns)
        self.ring.begin(self._epoch, 0, lost or 0, exact=lost is None)

    def skip(self, lost: int) -> None:
        """Say that exactly `lost` samples are missing; the epoch goes on."""
        self.index += lost
        self.ring.begin(self._epoch, self.index, lost)

    def put(self, samples: Float32, *, wait: bool, stamp: bool) -> bool:
        """Deliver samples; return False where delivery shall stop.

        Parameters
        ----------
        samples
            float32, ``[N]``.
        wait
            Wait for room in the ring; otherwise the oldest samples are overwritten.
        stamp
            The samples have just happened: tell the sample clock.
        """
        samples = self._source.clean(samples, self.index)
        if stamp:
            self._sample_clock.stamp(self.index + len(samples), self.clock.utc_ns())
        self.index += len(samples)
        if wait:
            return self.ring.write_all(samples, self._stop)
        self.ring.write(samples)
        return not self._stop.is_set()


def to_mono(frames: Float32, channel: Channels) -> Float32:
    """Return one channel ``[N]`` of frames ``[N, C]``, or the mean of all where `channel` is ``"mix"``.

    Several channels come as ``[N, n]``.
    """
    if isinstance(channel, tuple):
        columns = [to_mono(frames, one) for one in channel]
        return columns[0][:, np.newaxis] if len(columns) == 1 else np.stack(columns, axis=1)
    if channel == "mix":
        return frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float32)
    return frames[:, int(channel)]


def channels_needed(channel: Channels, available: int) -> int:
    """How many of the `available` channels of a device must be opened; a mix is of the first two."""
    wanted: Sequence[Channel] = channel if isinstance(channel, tuple) else (channel,)
    return max(min(available, 2) if one == "mix" else int(one) + 1 for one in wanted)


def check_format(name: str, rate: int, channels: int, channel: Channels) -> None:
    """Refuse rates and channels that cannot be.

    Raises
    ------
    SourceError
        Naming the source.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise SourceError(f"{name}: expected {LOWEST_RATE} to {HIGHEST_RATE} samples a second, got {rate}")
    for one in channel if isinstance(channel, tuple) else (channel,):
        if one != "mix" and not (isinstance(one, int) and 0 <= one < channels):
            raise SourceError(f'{name}: expected a channel from 0 to {channels - 1} or "mix", got {one}')


def printable(text: str) -> str:
    """Return `text` without control characters: names of devices and files reach terminals."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()
