"""How the device is: plain counters and gauges, each written by one thread and read by any without locks.

What reads them (metrics, heartbeat, watchdog, `wheatear doctor`) takes a `snapshot`, which `msgspec` can encode.
"""

from __future__ import annotations

import copy
import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from edge.levels.message import Levels

State = Literal["starting", "running", "reconnecting", "off", "gated", "failed", "ended"]
WAITING: frozenset[State] = frozenset({"starting", "reconnecting", "off", "gated"})  # declared: no sound is expected
STATM = Path("/proc/self/statm")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class StreamStatus(msgspec.Struct):
    """One stream; dictionaries are replaced, never changed.

    Attributes
    ----------
    name
        The stream's, as in topics and events.
    state
        ``starting`` (model and source are opened), ``running``, ``reconnecting`` (the source was lost), ``off`` (by
        schedule), ``gated`` (below the level gate), ``failed`` (crashed, will be restarted), ``ended``.
    rate
        Source samples per second; 0 until the source was open.
    samples
        Source samples heard since the start.
    gaps, lost_samples
        Losses of sound so far, and the samples in them.
    dropped
        What bounded queues behind the ring had to leave out: blocks by the name of the queue.
    restarts
        How often the stream was begun again after a crash.
    reconnects
        How often its source came back after a loss.
    lag_s
        Sound in the ring that was not decided yet, seconds.
    realtime_factor
        Seconds of work for a second of sound, over the last seconds.
    level_dbfs
        RMS of the last second, dB of a full-scale square wave; −inf is told as −200.
    peak
        Largest magnitude of the last second, full scale 1.
    clipped
        Samples at full scale so far.
    zero_s
        Seconds for which every sample has been 0 until now.
    unscored_s
        Sound that the models were given since one of them gave no score, seconds.
    scores
        Latest probability of each label.
    queue
        Samples that wait for the model.
    last_event_utc_ns
        When the last event was handed over; 0 before the first.
    last_sample_ns
        When the last samples came, on the monotonic clock; 0 before the first.
    events
        Events handed over so far.
    model
        ``name@version`` of each model, joined by commas.
    second
        That of the second stage alone; "" where there is none.
    second_samples
        Source samples that it was given.
    levels
        Of the last whole minute, where they are measured.
    error
        Why it is not running; "" where it is.
    """

    name: str
    state: State = "starting"
    rate: int = 0
    samples: int = 0
    gaps: int = 0
    lost_samples: int = 0
    dropped: dict[str, int] = {}  # msgspec copies it for each
    restarts: int = 0
    reconnects: int = 0
    lag_s: float = 0.0
    realtime_factor: float = 0.0
    level_dbfs: float = -200.0
    peak: float = 0.0
    clipped: int = 0
    zero_s: float = 0.0
    unscored_s: float = 0.0
    scores: dict[str, float] = {}
    queue: int = 0
    last_event_utc_ns: int = 0
    last_sample_ns: int = 0
    events: int = 0
    model: str = ""
    second: str = ""
    second_samples: int = 0
    levels: Levels | None = None
    error: str = ""

    @property
    def waiting(self) -> bool:
        """In a state in which no sound is expected."""
        return self.state in WAITING

    @property
    def second_share(self) -> float:
        """Share of the sound so far that the second stage was given: its duty cycle, 0 … 1."""
        return self.second_samples / self.samples if self.samples else 0.0

    def drop(self, queue: str, blocks: int = 1) -> None:
        """Count what `queue` left out."""
        self.dropped = {**self.dropped, queue: self.dropped.get(queue, 0) + blocks}

    def snapshot(self) -> StreamStatus:
        """A copy that no thread writes to any more."""
        return copy.copy(self)


class DeviceStatus(msgspec.Struct):
    """All streams of the device.

    Attributes
    ----------
    device
        Its name.
    streams
        By name.
    started_utc_ns
        When the daemon began.
    rss_bytes
        Resident memory; filled by `snapshot`.
    """

    device: str
    streams: dict[str, StreamStatus] = {}
    started_utc_ns: int = msgspec.field(default_factory=time.time_ns)
    rss_bytes: int = 0

    def stream(self, name: str) -> StreamStatus:
        """The status of a stream; made where there is none yet."""
        if name not in self.streams:
            self.streams = {**self.streams, name: StreamStatus(name)}
        return self.streams[name]

    def snapshot(self) -> DeviceStatus:
        """A copy that no thread writes to any more, with the memory as it is now."""
        streams = {name: stream.snapshot() for name, stream in self.streams.items()}
        return DeviceStatus(self.device, streams, self.started_utc_ns, rss_bytes())


def rss_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
