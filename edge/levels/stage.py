"""The levels of a stream, minute by minute: sound and scores in, messages out.

    epoch    |- - - - minute 0 - - - -|- - - - minute 1 - - - -|
    sound    ##########   ############ ###|                          seconds = 59.3: what was lost is said
    scores     ########   ############ #|                            they come late, so a minute is told when
    told                                  ▲ minute 0                 SETTLE_S of the next one have been heard

Minutes are those of the epoch. Levels are of the sound as the source gives it, before gain and high-pass, so that a
calibration holds whatever else is configured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edge.blocks import AudioBlock, ScoreBlock
from edge.clock import SampleClock, rfc3339
from edge.levels.design import Float64, a_weight, midband, nominal
from edge.levels.message import Bands, Levels, Weighted
from edge.levels.meter import FRAME_S, FRAMES_PER_S, Frame, Meter
from edge.levels.presence import Bools, Presence, decibels

MINUTE_S = 60
MINUTE = MINUTE_S * FRAMES_PER_S  # frames
SETTLE_S = 10  # scores speak of sound that was heard up to so long ago


class LevelStage:
    """Measures a stream.

    Parameters
    ----------
    device, stream
        Names that stand in every message.
    clock
        Source sample → UTC.
    rate
        Source samples per second.
    calibration_db
        Sound pressure level of full scale (RMS 1), dB.
    thresholds
        By label: the score from which on a class is active. Others are never present.
    """

    def __init__(
        self,
        device: str,
        stream: str,
        clock: SampleClock,
        rate: int,
        calibration_db: float = 0.0,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._device, self._stream, self._clock, self._rate = device, stream, clock, rate
        self._calibration, self._thresholds = calibration_db, dict(thresholds or {})
        self._meter, self._presence = Meter(rate), Presence()
        self._hz = [nominal(number) for number in self._meter.numbers]
        self._a = np.array([a_weight(midband(number)) for number in self._meter.numbers])
        self._epoch = ""
        self._minutes: dict[int, list[Frame]] = {}
        self._active: dict[int, dict[str, Bools]] = {}

    def push(self, block: AudioBlock) -> list[Levels]:
        """Take sound; tell of the minutes that are over."""
        told = self.flush() if block.epoch != self._epoch else []
        self._epoch = block.epoch
        for frame in self._meter.push(block):
            self._minutes.setdefault(frame.number // MINUTE, []).append(frame)
        now = block.stop / self._rate
        over = [minute for minute in self._minutes if (minute + 1) * MINUTE_S + SETTLE_S <= now]
        return told + [self._tell(minute) for minute in over]

    def scores(self, block: ScoreBlock, labels: Sequence[str]) -> None:
        """Take scores of any model of the stream."""
        if block.epoch != self._epoch:
            return
        for column, label in enumerate(labels):
            threshold = self._thresholds.get(label, math.inf)
            for row in np.flatnonzero(block.scores[:, column] >= threshold).tolist():
                start = (block.first_frame + row) * block.hop
                self._mark(label, start / block.rate, (start + block.span) / block.rate)

    def _mark(self, label: str, start_s: float, stop_s: float) -> None:
        """A class is active in the frames that a score speaks of."""
        first, stop = int(start_s * FRAMES_PER_S), math.ceil(stop_s * FRAMES_PER_S)
        for minute in range(first // MINUTE, (stop - 1) // MINUTE + 1):
            active = self._active.setdefault(minute, {})
            frames = active.setdefault(label, np.zeros(MINUTE, np.bool_))
            frames[max(0, first - minute * MINUTE) : stop - minute * MINUTE] = True

    def flush(self) -> list[Levels]:
        """Tell of what has been measured and not told: nothing more comes of this epoch."""
        told = [self._tell(minute) for minute in sorted(self._minutes)]
        self._active = {}
        return told

    def _tell(self, minute: int) -> Levels:
        frames = self._minutes.pop(minute)
        active = self._active.pop(minute, {})
        self._active = {later: some for later, some in self._active.items() if later > minute}
        at = [frame.number % MINUTE for frame in frames]
        bands = np.array([frame.bands for frame in frames])
        presence = self._presence.minute(bands, {label: some[at] for label, some in sorted(active.items())})
        start = minute * MINUTE_S * self._rate
        utc = self._clock.utc_ns(start, self._epoch)
        return Levels(
            device=self._device,
            stream=self._stream,
            epoch=self._epoch,
            start_sample=start,
            start_s=float(minute * MINUTE_S),
            start_utc_ns=utc[0] if utc else None,
            start_utc=rfc3339(utc[0]) if utc else None,
            utc_uncertainty_ns=utc[1] if utc else None,
            seconds=len(frames) * FRAME_S,
            calibration_db=self._calibration,
            a=self._weighted(np.array([frame.a for frame in frames])),
            z=self._weighted(np.array([frame.z for frame in frames])),
            bands=self._bands(bands),
            presence={label: round(share, 4) for label, share in presence.items()},
        )

    def _weighted(self, squares: Float64) -> Weighted:
        """Equivalent level and percentiles of mean squares ``[T]``; Lₙ is what n % of the frames exceed."""
        percentiles = np.percentile(decibels(squares), (90, 50, 10))
        levels = self._calibration + np.array([decibels(squares.mean()), *percentiles])
        leq, l10, l50, l90 = np.round(levels, 2).tolist()
        return Weighted(leq=leq, l10=l10, l50=l50, l90=l90)

    def _bands(self, squares: Float64) -> Bands:
        levels = decibels(squares.mean(axis=0)) + self._calibration
        return Bands(hz=self._hz, lzeq=np.round(levels, 2).tolist(), laeq=np.round(levels + self._a, 2).tolist())
