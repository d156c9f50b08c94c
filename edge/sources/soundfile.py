"""Sound files: whatever libsndfile reads, block by block, as fast as possible or in real time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edge.blocks import Float32
from edge.clock import SECOND, Clock
from edge.errors import SourceError
from edge.sources.base import Channels, Feed, ThreadSource, check_format, printable, to_mono
from edge.sources.pcm import WavHeader, read_header

BLOCK_SAMPLES = 1 << 17  # over all channels: half a megabyte
REALTIME_BLOCK_S = 0.05
TICK_S = 0.005
WHOLE_SECOND_NS = SECOND  # what file names and broadcast chunks are good for
AUDIOMOTH_YEARS = (2015, 2100)  # hexadecimal names outside of them are just names


class SoundFileSource(ThreadSource):
    """A sound file.

    Parameters
    ----------
    path
        WAV, FLAC, OGG, MP3, AIFF, RF64 …
    realtime
        Deliver at the pace of the injected clock; otherwise as fast as the reader takes it. Nothing is lost either way.
    channel
        Index from 0, or ``"mix"``.
    start_utc_ns
        UTC of the first sample; else taken from a broadcast chunk or an AudioMoth file name, where there is one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        realtime: bool = False,
        channel: Channels = "mix",
        start_utc_ns: int | None = None,
    ) -> None:
        super().__init__(Path(path).name, live=False)
        self._path = Path(path).expanduser()
        self._where = printable(str(path))
        self._realtime = realtime
        self._channel = channel
        self._given = start_utc_ns
        self._file: Any = None
        self._promised = 0

    def open(self) -> None:
        """Open the file and read its header."""
        header = self._look()
        import soundfile

        try:
            self._file = soundfile.SoundFile(self._path)
        except soundfile.LibsndfileError as problem:
            raise SourceError(
                f"{self._where}: expected a sound file (WAV, FLAC, OGG, MP3, AIFF …), got {self._beginning()}: "
                f"{problem.error_string.rstrip('.')}; check it with `file`, or convert it with ffmpeg"
            ) from None
        self.rate, self.frames = self._file.samplerate, self._file.frames
        self._promised = self._file.frames
        try:
            check_format(self._where, self.rate, self._file.channels, self._channel)
            if header and header.data_bytes and header.frame_bytes:
                self._promised = header.data_bytes // header.frame_bytes
            if not self.frames:
                promise = f" though its header promises {self._promised}" if self._promised else ""
                raise SourceError(f"{self._where}: expected sound, got 0 samples{promise}; record or copy it again")
        except SourceError:
            self.release()
            raise
        self.start_utc_ns = self._given if self._given is not None else start_of(self._path, header)
        self.floor_ns = 0 if self._given is not None else WHOLE_SECOND_NS

    def deliver(self, feed: Feed) -> None:
        """Read block by block to the end.

        Raises
        ------
        SourceError
            Where there is less than the header promised; what there is has been delivered.
        """
        began = feed.clock.monotonic_ns()
        size = max(BLOCK_SAMPLES // self._file.channels, 1)
        if self._realtime:
            size = max(int(self.rate * REALTIME_BLOCK_S), 1)
        while len(frames := self._read(size, feed.index)):
            if self._realtime:
                self._pace(feed.clock, began + (feed.index + len(frames)) * SECOND // self.rate)
            if self.stop.is_set() or not feed.put(to_mono(frames, self._channel), wait=True, stamp=False):
                return
        if feed.index < self._promised:
            raise SourceError(
                f"{self._where}: is truncated: expected {self._promised} samples, got {feed.index}, all of which "
                "were read; copy it again if the original is longer"
            )

    def release(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _read(self, size: int, index: int) -> Float32:
        """Return the next frames ``[N, C]``; where the file is damaged, those before the damage."""
        import soundfile

        frames = np.empty((size, self._file.channels), np.float32)
        try:
            got: Float32 = self._file.read(out=frames)
        except soundfile.LibsndfileError:
            return frames[: max(self._file.tell() - index, 0)]
        return got

    def _pace(self, clock: Clock, due: int) -> None:
        while (wait := due - clock.monotonic_ns()) > 0 and not self.stop.is_set():
            self.stop.wait(min(wait / SECOND, TICK_S))

    def _look(self) -> WavHeader | None:
        """Read the WAV header ourselves: libsndfile tells neither a promise broken nor when the recording began."""
        if not self._path.exists():
            raise SourceError(f"{self._where}: no such file; check the name (here is {Path.cwd()})")
        if not self._path.is_file():
            raise SourceError(f"{self._where}: expected a file, got a folder or device; name one sound file")
        try:
            with self._path.open("rb") as file:
                return read_header(file.read, self._where)
        except OSError as problem:
            raise SourceError(f"{self._where}: cannot be read: {problem.strerror}; check its permissions") from None

    def _beginning(self) -> str:
        with self._path.open("rb") as file:
            head = file.read(16)
        return f"a file that begins with {head!r}" if head else "an empty file"


def start_of(path: Path, header: WavHeader | None) -> int | None:
    """UTC ns of the first sample from a broadcast chunk or the file's name; None where neither tells.

    A broadcast chunk has no time zone: it is taken as UTC, which is what recorders in the field are set to.
    """
    if header and header.bext and (found := broadcast_start(header.bext, header.rate)) is not None:
        return found
    return audiomoth_start(path.stem)


def broadcast_start(bext: bytes, rate: int) -> int | None:
    """UTC ns from the date, time and time reference (samples since midnight) of a ``bext`` chunk (EBU Tech 3285)."""
    text = bext[320:338].decode("ascii", "replace")
    parts = re.fullmatch(r"(\d{4})\D(\d\d)\D(\d\d)(\d\d)\D(\d\d)\D(\d\d)", text)
    start = _utc_ns(parts.groups()) if parts else None
    reference = int.from_bytes(bext[338:346], "little") if len(bext) >= 346 else 0
    if start is None or not reference:
        return start
    day = 24 * 3600 * SECOND
    fine = start - start % day + reference * SECOND // rate
    return fine if abs(fine - start) < 2 * SECOND else start  # many recorders leave the reference at nonsense


def audiomoth_start(stem: str) -> int | None:
    """UTC ns from ``20240501_043000`` (T behind it: triggered) or the older ``5CE9E6F0``, seconds since 1970.

    >>> audiomoth_start("5CE9E6F0") // 10**9 == 0x5CE9E6F0
    True
    """
    if parts := re.fullmatch(r"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)T?", stem):
        return _utc_ns(parts.groups())
    if re.fullmatch(r"[0-9A-F]{8}", stem):
        seconds = int(stem, 16)
        year = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).year
        return seconds * SECOND if AUDIOMOTH_YEARS[0] <= year < AUDIOMOTH_YEARS[1] else None
    return None


def _utc_ns(parts: tuple[str, ...]) -> int | None:
    try:
        year, month, day, hour, minute, second = (int(part) for part in parts)
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * SECOND
    except ValueError:  # a thirteenth month is a name, not a time
        return None
