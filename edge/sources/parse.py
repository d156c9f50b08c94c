"""What ``--source`` means: one text, many kinds of source."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.errors import SourceError
from edge.sources.alsa import AlsaSource
from edge.sources.base import Channels, Source
from edge.sources.ffmpeg import FfmpegSource
from edge.sources.microphone import MicrophoneSource
from edge.sources.pipe import PipeSource
from edge.sources.redact import redact
from edge.sources.soundfile import SoundFileSource

IDENTITIES = ("usb:", "card:", "alsa:")
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64", ".raw")


def make_source(
    text: str | None = None,
    *,
    rate_hint: int | None = None,
    pcm: str | None = None,
    realtime: bool = False,
    channel: Channels = "mix",
    start: str | None = None,
) -> Source:
    """Return the source that `text` names; it is not open yet.

    =======================  ==========================================
    none, ``mic:``           the default microphone
    ``-``                    standard input
    ``mic:2``, ``mic:USB``   a device by index or name, whatever else has that name
    ``mic:usb:0d8c:0014``    a USB device by its identity, whatever its number; ``@1-1.2`` behind it: in that socket
    ``mic:card:Device``      a sound card by its ALSA id
    ``mic:alsa:NAME``        any ALSA device
    ``file:2``               a file, whatever else has that name
    an existing path         that file
    ``rtsp://…``             a URL
    an integer               a device by index
    ``birds.wav``, ``./x``   a file that is missing: opening it says so
    anything else            a device by name or a part of it
    =======================  ==========================================

    Parameters
    ----------
    text
        As typed.
    rate_hint
        The model's rate: microphones are opened at it where they can.
    pcm
        ``ENCODING:RATE:CHANNELS`` of raw samples on standard input.
    realtime
        Files at the pace of the clock; standard input counts as live.
    channel
        Index from 0, or ``"mix"``.
    start
        UTC of a file's first sample, RFC 3339.

    Raises
    ------
    SourceError
        For options that do not go with the source.
    """
    kind, rest = kind_of(text or "mic:")
    if kind != "file":
        _refuse("--start", start, "a sound file", text)
    if kind == "pipe":
        return PipeSource(pcm=pcm, channel=channel, realtime=realtime)
    _refuse("--pcm", pcm, "standard input (--source -)", text)
    if kind == "file":
        return SoundFileSource(rest, realtime=realtime, channel=channel, start_utc_ns=parse_start(start))
    if kind == "url":
        return FfmpegSource(rest, channel=channel)
    if rest.startswith(IDENTITIES) or (not rest and sys.platform == "linux"):
        return AlsaSource(rest or None, rate_hint=rate_hint, channel=channel)
    device = int(rest) if rest.isascii() and rest.isdigit() else rest or None
    return MicrophoneSource(device, rate_hint=rate_hint, channel=channel)


def _refuse(option: str, value: str | None, expected: str, text: str | None) -> None:
    if value is not None:
        raise SourceError(f"{option}: expected {expected}, got the source `{redact(text or 'mic:')}`; leave it out")


def kind_of(text: str) -> tuple[str, str]:
    """Return ``pipe``, ``url``, ``file`` or ``mic``, and what it is called."""
    if text == "-":
        return "pipe", ""
    for kind in ("mic", "file"):
        if text.startswith(f"{kind}:"):
            return kind, text.removeprefix(f"{kind}:")
    if Path(text).expanduser().exists():
        return "file", text
    if "://" in text:
        return "url", text
    like_a_path = text.startswith(("/", "./", "../", "~")) or text.lower().endswith(SOUND_SUFFIXES)
    return ("file" if like_a_path else "mic"), text


def parse_start(text: str | None) -> int | None:
    """Return ns since 1970 of an RFC 3339 time; None for None.

    Raises
    ------
    SourceError
        Where it is no time, or lacks its zone.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise SourceError(f"--start: expected a time with its zone such as 2025-05-01T04:30:00Z, got `{text}`")
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
