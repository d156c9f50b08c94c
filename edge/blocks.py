"""The types that flow from a microphone to a subscriber. Read this first.

    source ─AudioBlock─▶ resampler ─AudioBlock─▶ front end ─FeatureBlock─▶ scorer ─ScoreBlock─▶ decoder ─Event─▶

Every block carries its *epoch* (a UUIDv7: one unbroken relation between samples and time) and its *absolute index*
within it. Stages take and give blocks: ``push(block)``, ``flush()``, ``reset(epoch, start)``. Nothing is silently
joined: a block whose ``gap`` is not zero says that samples were lost just before it.

Indices count on three grids that share their zero, the start of the epoch:

    source samples   0 1 2 3 …                      AudioBlock.start at AudioBlock.rate
    feature frames   |---hop---|---hop---| …        frame k begins at sample k · hop of the model's rate
    score frames     |---------hop---------| …      score k begins at sample k · hop of the model's rate
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
EventType = Literal["begin", "end", "gap", "lost", "resumed", "health"]


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Samples of one stream.

    Attributes
    ----------
    epoch
        Stream epoch, UUIDv7 text.
    start
        Index of the first sample since the epoch's start, at `rate`.
    rate
        Samples per second.
    samples
        float32, shape ``[N]``, full scale ±1.
    gap
        Samples lost between the block before and this one; 0 where they join.
    exact
        False where `gap` is an estimate (a device overflow tells no count).
    """

    epoch: str
    start: int
    rate: int
    samples: Float32
    gap: int = 0
    exact: bool = True

    @property
    def stop(self) -> int:
        """Index just behind the last sample."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBlock:
    """Feature frames ``[T, F]``, float32; frame ``k`` of the epoch begins at sample ``k · hop`` at `rate`."""

    epoch: str
    first_frame: int
    hop: int
    rate: int
    frames: Float32


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBlock:
    """Class probabilities ``[T, C]`` in 0 … 1, float32.

    Score ``k`` speaks of the samples ``k · hop`` to ``k · hop + span`` at `rate`; `span` exceeds `hop` where windows
    overlap. `embeddings` and `clip` (running scores of the whole clip so far), where the model gives any, have one row
    per score.
    """

    epoch: str
    first_frame: int
    hop: int
    rate: int
    scores: Float32
    span: int
    embeddings: Float32 | None = None
    clip: Float32 | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber receives: something began, ended, was lost or resumed.

    Attributes
    ----------
    v
        Version of this schema.
    log, stream, seq
        Journal, stream and number in it: together the cursor for replay. Numbers never repeat.
    id
        ``epoch:label:onset_sample``, the same for ``begin`` and ``end``.
    onset_sample, offset_sample
        Source-rate samples since the epoch's start; ``offset_sample`` is null until the end.
    onset_s, offset_s
        The same in seconds.
    onset_utc_ns, onset_utc, utc_uncertainty_ns
        Wall-clock time of the onset, where it is known.
    peak, mean
        Of the smoothed score over the event, 0 … 1.
    rule
        The decision rule that made the event, in words.
    reason
        Why it ended: ``offset``, ``gap``, ``stop``, ``interrupted``, ``gate`` (its model was not to listen: a
        level gate, the hours, a second stage); details of other types.
    model
        ``name@version`` of the model that heard it.
    durable
        True when the event was in the journal before it was published.
    """

    v: int = 1
    log: str = ""
    stream: str
    seq: int = 0
    id: str
    device: str
    epoch: str
    type: EventType
    label: str | None = None
    onset_sample: int
    offset_sample: int | None = None
    onset_s: float
    offset_s: float | None = None
    onset_utc_ns: int | None = None
    onset_utc: str | None = None
    utc_uncertainty_ns: int | None = None
    peak: float | None = None
    mean: float | None = None
    rule: str | None = None
    reason: str | None = None
    model: str | None = None
    durable: bool = False
    detail: dict[str, Any] | None = None
