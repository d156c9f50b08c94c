"""Which sound is kept on the device, and which never is."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.inference.card import Probability, Seconds

Count = Annotated[int, Meta(ge=0)]


class Privacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sounds that clips must not hold, human voice first of all.

    Attributes
    ----------
    labels
        Labels of any model of the stream; empty: no gate.
    threshold
        Raw score from which a frame counts as private; lower than the rule that makes events of it.
    look_ahead
        Seconds masked before a private frame; every clip waits so long behind its end before it is written.
    hold
        Seconds masked behind a private frame.
    action
        ``silence`` the masked part, or ``drop`` the clip.
    """

    labels: tuple[str, ...] = ()
    threshold: Probability = 0.2
    look_ahead: Seconds = 2.0
    hold: Seconds = 2.0
    action: Literal["silence", "drop"] = "silence"


class Clips(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sound around events as FLAC files; nothing is kept unless asked for.

    Attributes
    ----------
    enabled
        Keep clips.
    folder
        Where; "" means the user's state folder.
    labels
        Labels whose events are kept; empty: all.
    before, after
        Seconds of sound kept before the onset and behind the offset.
    join
        Events whose sound begins within so many seconds behind a clip share it; the clip waits for them.
    longest
        Seconds; a clip is cut there, whatever goes on.
    backlog
        Seconds of sound that may wait for the disk; further clips are dropped and counted.
    keep_days
        Older clips are deleted; 0: none for their age.
    max_mb
        The oldest are deleted beyond it; 0: no limit but `min_free_mb`.
    keep_per_label
        The newest clips of each label that neither age nor `max_mb` deletes.
    min_free_mb
        Free space of the disk below which no clip is written, whatever else is asked for.
    privacy
        What no clip may hold.
    """

    enabled: bool = False
    folder: str = ""
    labels: tuple[str, ...] = ()
    before: Seconds = 2.0
    after: Seconds = 2.0
    join: Seconds = 2.0
    longest: Annotated[float, Meta(gt=0, le=600)] = 30.0
    backlog: Annotated[float, Meta(gt=0, le=3600)] = 120.0
    keep_days: Annotated[float, Meta(ge=0)] = 30.0
    max_mb: Count = 2000
    keep_per_label: Count = 10
    min_free_mb: Count = 500
    privacy: Privacy = Privacy()
