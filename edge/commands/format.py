"""Events as lines: for people, aligned, and for programs, JSON. Both are safe on any terminal."""

from __future__ import annotations

import re
import unicodedata

import msgspec

from edge.blocks import Event
from edge.levels.message import Levels, Message

_UNSAFE = re.compile("[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def plain(text: str) -> str:
    r"""Text without control, format, private or line-breaking characters: a label cannot move the cursor.

    >>> plain("rain\x1b[2J\u202e!")
    'rain[2J!'
    """
    return "".join(c for c in text if unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029")


def clock(utc: str | None, seconds: float) -> str:
    """When it began: UTC where it is known, else stream time ``+hh:mm:ss.mmm``, in 24 columns."""
    if utc:
        return f"{plain(utc):<24}"
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"+{minutes // 60:02d}:{minutes % 60:02d}:{rest / 1000:06.3f}".ljust(24)


def human(message: Message) -> str:
    """One aligned line of an event or of levels."""
    return _levels(message) if isinstance(message, Levels) else _event(message)


def _event(event: Event) -> str:
    """One aligned line: time, stream, type, label, duration, peak, number; or the reason where there is no label.

    >>> _event(Event(stream="mic", id="e:rain:8000", device="hut", epoch="e", type="end", label="rain", seq=7,
    ...              onset_sample=8000, onset_s=0.5, offset_sample=40000, offset_s=2.5, peak=0.93, durable=True))
    '+00:00:00.500            mic         end      rain                        2.00 s  0.93  #7'
    """
    number = f"#{event.seq}" if event.seq else "-"
    if event.seq and not event.durable:
        number += " not journalled"
    head = f"{clock(event.onset_utc, event.onset_s)} {plain(event.stream):<11} {event.type:<8} "
    if event.label is None:
        clip = (event.detail or {}).get("clip")  # a file's name, where the event tells of one
        text = plain(" ".join(filter(None, (event.reason, clip))))
        return f"{head}{text:<40}  {number}"
    duration = "" if event.offset_s is None else f"{event.offset_s - event.onset_s:.2f} s"
    peak = "" if event.peak is None else f"{event.peak:.2f}"
    return f"{head}{plain(event.label):<22} {duration:>11} {peak:>5}  {number}"


def _levels(levels: Levels) -> str:
    """Levels of a minute, and which classes were present for how much of it, the longest first."""
    a = levels.a
    presence = sorted(levels.presence.items(), key=lambda one: -one[1])
    heard = "  ".join(f"{plain(label)} {share:.0%}" for label, share in presence)
    return (
        f"{clock(levels.start_utc, levels.start_s)} {plain(levels.stream):<11} levels   "
        f"LAeq {a.leq:.1f}  L10 {a.l10:.1f}  L50 {a.l50:.1f}  L90 {a.l90:.1f} dB  {levels.seconds:g} s  {heard}"
    ).rstrip()


def line(message: Message) -> str:
    """The message as JSON in one line; characters that could fool a terminal are escaped, so nothing is left out."""
    text = msgspec.json.encode(message).decode()
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
