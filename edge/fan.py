"""One source, many streams: the columns of what it delivers go into rings of their own.

    source ──[N, n]──▶ fan ──column 0──▶ ring of stream a
                           ──column 0──▶ ring of stream b
                           ──column 1──▶ ring of stream c

All share epoch and sample index, so that streams of one device can be compared sample by sample. Rings come and go
while sound flows: whoever asks leaves a note, and the source's thread, which alone writes, acts on it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from edge.blocks import Float32
from edge.errors import WheatearError
from edge.ring import Ring
from edge.sources.base import Channel


class Fan:
    """Looks like a ring to a source that delivers ``[N, n]``.

    Parameters
    ----------
    channels
        What the columns are.

    Attributes
    ----------
    ended
        Set once the source has closed it.
    error
        What it was closed with.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = tuple(channels)
        self.ended = threading.Event()
        self.error: WheatearError | None = None
        self._rings: tuple[tuple[Ring, int], ...] = ()
        self._notes: deque[tuple[Ring, int | None]] = deque()
        self._epoch, self._next = "", 0
        self._closing = threading.Lock()

    def add(self, ring: Ring, channel: Channel) -> None:
        """Deliver `channel` into `ring` too, from the next samples on; from any thread."""
        self._notes.append((ring, self.channels.index(channel)))
        with self._closing:
            if self.ended.is_set():
                ring.close(self.error)

    def remove(self, ring: Ring) -> None:
        """Deliver nothing more into `ring`; from any thread."""
        ring.close()
        self._notes.append((ring, None))

    def begin(self, epoch: str, start: int = 0, lost: int = 0, exact: bool = True) -> None:
        """Say what the next sample is; see `Ring.begin`."""
        self._epoch, self._next = epoch, start
        for ring, _ in self._rings:
            ring.begin(epoch, start, lost, exact)
        self._attend()

    def write(self, samples: Float32) -> None:
        """Append samples ``[N, n]``; never waits."""
        self._attend()
        for ring, column in self._rings:
            ring.write(samples[:, column])
        self._next += len(samples)

    def write_all(self, samples: Float32, stop: threading.Event) -> bool:
        """Append samples ``[N, n]``, waiting for room in each ring; False if `stop` was set meanwhile."""
        self._attend()
        for ring, column in self._rings:
            ring.write_all(samples[:, column], stop)
        self._next += len(samples)
        return not stop.is_set()

    def close(self, error: WheatearError | None = None) -> None:
        """Say that nothing follows. The first call counts."""
        with self._closing:
            if self.ended.is_set():
                return
            self.error = error
            self.ended.set()
        for ring, _ in [*self._rings, *self._notes]:
            ring.close(error)

    def _attend(self) -> None:
        """Let rings in and out, as they were noted."""
        while self._notes:
            ring, column = self._notes.popleft()
            if column is None:
                self._rings = tuple(pair for pair in self._rings if pair[0] is not ring)
            elif not ring.closed:
                ring.begin(self._epoch, self._next)
                self._rings = (*self._rings, (ring, column))
