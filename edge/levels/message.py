"""What is published of a minute's sound."""

from __future__ import annotations

from typing import Literal

import msgspec

from edge.blocks import Event


class Weighted(msgspec.Struct, frozen=True, kw_only=True):
    """Levels of a minute in one frequency weighting, dB.

    Attributes
    ----------
    leq
        Equivalent level: of the mean square.
    l10, l50, l90
        Level that 10, 50, 90 % of the frames of 125 ms exceed.
    """

    leq: float
    l10: float
    l50: float
    l90: float


class Bands(msgspec.Struct, frozen=True, kw_only=True):
    """Third-octave levels of a minute, dB, in the order of `hz`.

    Attributes
    ----------
    hz
        Nominal midband frequencies of the bands that the sampling rate carries: none reaches above 0.45 of it.
    lzeq, laeq
        Equivalent levels: as they are, and with the A-weighting of the midband frequency added.
    """

    hz: list[float]
    lzeq: list[float]
    laeq: list[float]


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """How loud a minute of a stream was; not numbered, not journalled.

    Attributes
    ----------
    v
        Version of this schema.
    device, stream, epoch
        As in events.
    start_sample, start_s
        Of the minute: source samples and seconds since the epoch's start.
    start_utc_ns, start_utc, utc_uncertainty_ns
        Wall-clock time of that, where it is known.
    seconds
        Sound that was measured: less than 60 where samples were lost, the stream was off, or began or ended.
    calibration_db
        What was added to dB of full scale (RMS 1) to make dB of sound pressure; 0 where nobody has calibrated.
    a, z
        A-weighted and unweighted (from 5 Hz on): `a.leq` is LAeq, `z.l50` LZ50.
    bands
        Third octaves.
    presence
        By class that a model has found in the minute: share of `seconds` in which it was heard over the rest, 0 … 1
        (card 02, see `edge.levels.presence`).
    """

    v: int = 1
    type: Literal["levels"] = "levels"
    device: str
    stream: str
    epoch: str
    start_sample: int
    start_s: float
    start_utc_ns: int | None = None
    start_utc: str | None = None
    utc_uncertainty_ns: int | None = None
    seconds: float
    calibration_db: float
    a: Weighted
    z: Weighted
    bands: Bands
    presence: dict[str, float] = {}


Message = Event | Levels  # what a stream has to say
