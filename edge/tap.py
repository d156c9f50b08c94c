"""Who looks over a stream's shoulder: clips and the privacy gate see sound, raw scores and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge.blocks import Event, ScoreBlock
from edge.ring import Ring


class Tap(Protocol):
    """One stream's; every call comes from the thread that decides the stream's events and must return at once.

    The order is: `attach` (at the start and after each reconnection: another ring), then `scores` and `event` as they
    come, `close` at last. Sound is read with ``ring.copy(epoch, start, stop)``, from any thread, for as long as the
    ring holds it.

    Attributes
    ----------
    history_s
        Seconds of past sound that the ring shall hold for it.
    """

    history_s: float

    def attach(self, ring: Ring, rate: int, epoch: str) -> None:
        """Sound of `epoch` comes through `ring` from now on, at `rate` Hz; again for each new epoch."""

    def scores(self, block: ScoreBlock, labels: Sequence[str]) -> None:
        """Raw scores of one of the stream's models, before the decoder; `labels` name their columns."""

    def event(self, event: Event) -> None:
        """An event of this stream, as it is handed over."""

    def close(self) -> None:
        """Nothing follows."""
