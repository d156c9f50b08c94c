"""Decisions become events: source samples, seconds, UTC, and the identity that subscribers see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge.blocks import AudioBlock, Event, EventType
from edge.clock import SampleClock, rfc3339
from edge.decode.decoder import Detection
from edge.resample import convert


@dataclass(slots=True)
class EventMaker:
    """Makes the events of one stream.

    Attributes
    ----------
    device, stream, model
        Names that stand in every event; `model` is ``name@version``.
    rate
        Samples per second of the source: the grid of the events.
    clock
        Source sample → UTC.
    """

    device: str
    stream: str
    model: str
    rate: int
    clock: SampleClock
    _open: dict[str, Event] = field(default_factory=dict)

    def detection(self, epoch: str, found: Detection, rate: int) -> Event:
        """Event of a decision whose samples count at `rate`; an ``end`` keeps the time that its ``begin`` was given."""
        begun = self._open.pop(found.label, None)
        if found.type == "end" and begun:
            offset = convert(found.offset or 0, rate, self.rate, up=True)
            return Event(
                stream=self.stream,
                id=begun.id,
                device=self.device,
                epoch=epoch,
                type="end",
                label=found.label,
                onset_sample=begun.onset_sample,
                offset_sample=offset,
                onset_s=begun.onset_s,
                offset_s=round(offset / self.rate, 6),
                onset_utc_ns=begun.onset_utc_ns,
                onset_utc=begun.onset_utc,
                utc_uncertainty_ns=begun.utc_uncertainty_ns,
                peak=found.peak,
                mean=found.mean,
                rule=found.rule,
                reason=found.reason,
                model=self.model,
            )
        onset = convert(found.onset, rate, self.rate)
        event = self._event(
            epoch,
            "begin",
            onset,
            label=found.label,
            peak=found.peak,
            mean=found.mean,
            rule=found.rule,
            model=self.model,
        )
        self._open[found.label] = event
        return event

    def interrupt(self) -> list[Event]:
        """Ends of all open events, for a detector that cannot end them any more; where they end is unknown."""
        begun, self._open = self._open, {}
        return [interrupted(event) for event in begun.values()]

    def gap(self, block: AudioBlock) -> Event:
        """Event of samples that were lost just before `block`."""
        onset = max(0, block.start - block.gap)
        return self._event(
            block.epoch,
            "gap",
            onset,
            offset_sample=block.start,
            offset_s=round(block.start / self.rate, 6),
            reason="samples were lost",
            detail={"lost_samples": block.gap, "exact": block.exact},
        )

    def notice(self, kind: EventType, epoch: str, sample: int, reason: str, **detail: Any) -> Event:
        """``lost``, ``resumed`` or ``health``: something about the stream itself."""
        return self._event(epoch, kind, sample, reason=reason, detail=detail or None)

    def _event(self, epoch: str, kind: EventType, onset: int, label: str | None = None, **fields: Any) -> Event:
        utc = self.clock.utc_ns(onset, epoch)
        return Event(
            stream=self.stream,
            id=f"{epoch}:{label or kind}:{onset}",
            device=self.device,
            epoch=epoch,
            type=kind,
            label=label,
            onset_sample=onset,
            onset_s=round(onset / self.rate, 6),
            onset_utc_ns=utc[0] if utc else None,
            onset_utc=rfc3339(utc[0]) if utc else None,
            utc_uncertainty_ns=utc[1] if utc else None,
            **fields,
        )


def interrupted(begun: Event) -> Event:
    """The end of an event whose detector died while it was open."""
    return msgspec.structs.replace(begun, type="end", seq=0, reason="interrupted", offset_sample=None, offset_s=None)
