"""A source that does on purpose what real ones do by accident; ships, so that users can test their own set-up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.blocks import Float32
from edge.errors import SourceError
from edge.sources.base import Channels, Feed, ThreadSource, to_mono


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong when sample `at` of the array is due.

    Attributes
    ----------
    kind
        ``overflow``: `lost` samples are skipped; a known count where `exact` (the epoch goes on, the index jumps), else
        an estimate and a new epoch. ``stall``: nothing comes for `seconds`. ``end``: a clean end. ``error``: the device
        is gone.
    """

    kind: Literal["overflow", "stall", "end", "error"]
    at: int
    lost: int = 0
    exact: bool = False
    seconds: float = 0.0


class FakeSource(ThreadSource):
    """Delivers an array.

    Parameters
    ----------
    samples
        float32 ``[N]``, or ``[N, C]`` of a device with channels.
    rate
        Samples per second.
    block
        Samples per write.
    faults
        What goes wrong, and when.
    live
        Stamp the samples with UTC.
    overwrite
        Do not wait for the reader, as a device does not; else nothing is lost but by faults.
    channel
        Index from 0, or ``"mix"``; several for a `Fan`.
    pace
        Times the speed of sound; 0 for as fast as it goes.
    repeats
        How often the array is played; faults happen in the first round only.
    reconnects
        After an error it may come back.
    """

    def __init__(
        self,
        samples: Float32,
        rate: int,
        block: int = 1600,
        faults: Sequence[Fault] = (),
        *,
        live: bool = True,
        overwrite: bool = False,
        channel: Channels = "mix",
        pace: float = 0.0,
        repeats: int = 1,
        reconnects: bool = False,
    ) -> None:
        super().__init__("fake", live=live)
        self.rate = rate
        self.reconnects = reconnects
        self._channel, self._pace, self._repeats = channel, pace, repeats
        self._samples = np.asarray(samples, np.float32)
        self._block = block
        self._faults = sorted(faults, key=lambda fault: fault.at)
        self._overwrite = overwrite

    def open(self) -> None:
        """Nothing can go wrong here."""
        self.frames = len(self._samples)

    def deliver(self, feed: Feed) -> None:
        """Deliver block by block, each up to the next fault."""
        began, faults = time.monotonic(), list(self._faults)
        for _ in range(self._repeats):
            position = 0
            while position < len(self._samples) and not self.stop.is_set():
                if faults and faults[0].at <= position:
                    fault = faults.pop(0)
                    if fault.kind == "end":
                        return
                    position += self._suffer(fault, feed)
                    continue
                end = min(position + self._block, faults[0].at if faults else len(self._samples))
                self._wait_for(began, feed.index + end - position)
                feed.put(self._pick(position, end), wait=not self._overwrite, stamp=self.live)
                position = end

    def _pick(self, start: int, stop: int) -> Float32:
        frames = self._samples[start:stop]
        if frames.ndim == 1 and self._channel == "mix":
            return frames
        return to_mono(frames if frames.ndim == 2 else frames[:, np.newaxis], self._channel)

    def _wait_for(self, began: float, index: int) -> None:
        """Wait until sample `index` has sounded, at this pace."""
        if self._pace:
            self.stop.wait(max(0.0, began + index / self.rate / self._pace - time.monotonic()))

    def _suffer(self, fault: Fault, feed: Feed) -> int:
        """Do what `fault` says; return the samples skipped."""
        if fault.kind == "error":
            raise SourceError(f"fake: failed at sample {fault.at}, as it was told to")
        if fault.kind == "stall":
            self.stop.wait(fault.seconds)
        elif fault.exact:
            feed.skip(fault.lost)
        else:
            feed.begin(lost=fault.lost)
        return fault.lost if fault.kind == "overflow" else 0
