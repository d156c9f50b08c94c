"""A source that does on purpose what real ones do by accident; ships, so that users can test their own set-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.blocks import Float32
from edge.errors import SourceError
from edge.sources.base import Feed, ThreadSource


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
        float32 ``[N]``.
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
    ) -> None:
        super().__init__("fake", live=live)
        self.rate = rate
        self._samples = np.asarray(samples, np.float32)
        self._block = block
        self._faults = sorted(faults, key=lambda fault: fault.at)
        self._overwrite = overwrite

    def open(self) -> None:
        """Nothing can go wrong here."""
        self.frames = len(self._samples)

    def deliver(self, feed: Feed) -> None:
        """Deliver block by block, each up to the next fault."""
        position, faults = 0, list(self._faults)
        while position < len(self._samples) and not self.stop.is_set():
            if faults and faults[0].at <= position:
                fault = faults.pop(0)
                if fault.kind == "end":
                    return
                position += self._suffer(fault, feed)
                continue
            end = min(position + self._block, faults[0].at if faults else len(self._samples))
            feed.put(self._samples[position:end], wait=not self._overwrite, stamp=self.live)
            position = end

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
