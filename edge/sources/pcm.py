"""Bytes to samples: raw PCM and the WAV container, also from a stream that cannot be sought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.blocks import Float32
from edge.errors import SourceError
from edge.sources.base import HIGHEST_RATE, LOWEST_RATE

WIDTHS = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4}  # bytes per sample
WAVE_PCM, WAVE_FLOAT, WAVE_EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # what writes into a pipe cannot know its length
MAX_CHUNK = 1 << 20  # no chunk before the sound is larger, but for junk from a stranger
MAX_CHANNELS = 1024

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Interleaved samples: `encoding` (``s16le``, ``s24le``, ``s32le``, ``f32le``), samples per second, channels."""

    encoding: str
    rate: int
    channels: int

    @property
    def width(self) -> int:
        """Bytes per frame."""
        return WIDTHS[self.encoding] * self.channels

    def decode(self, data: bytes) -> Float32:
        """Return whole frames of `data` as float32 ``[N, C]``, full scale ±1."""
        if self.encoding == "f32le":
            samples = np.frombuffer(data, "<f4").astype(np.float32)
        elif self.encoding == "s16le":
            samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15)
        elif self.encoding == "s32le":
            samples = np.frombuffer(data, "<i4").astype(np.float32) / np.float32(2**31)
        else:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)  # the upper three bytes of an int32
            samples = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        return samples.reshape(-1, self.channels)


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What stands before the samples of a WAV.

    Attributes
    ----------
    format
        None where the encoding is none of ours (A-law, 8 bit …).
    rate, frame_bytes
        From the ``fmt`` chunk.
    data_bytes
        Length promised; None where the writer did not know.
    offset
        Bytes before the first sample.
    bext
        The broadcast extension (EBU Tech 3285), empty where there is none.
    """

    format: PcmFormat | None
    rate: int
    frame_bytes: int
    data_bytes: int | None
    offset: int
    bext: bytes


def parse_pcm(text: str) -> PcmFormat:
    """Parse ``ENCODING:RATE:CHANNELS``.

    Raises
    ------
    SourceError
        Saying what was expected.
    """
    parts = text.split(":")
    numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts[1:]]
    known = len(parts) == 3 and parts[0] in WIDTHS
    if not known or not LOWEST_RATE <= numbers[0] <= HIGHEST_RATE or not 1 <= numbers[1] <= MAX_CHANNELS:
        raise SourceError(
            f"--pcm: expected ENCODING:RATE:CHANNELS such as s16le:16000:1 ({', '.join(WIDTHS)}), got `{text}`"
        )
    return PcmFormat(parts[0], numbers[0], numbers[1])


def read_header(read: Read, name: str) -> WavHeader | None:
    """Read up to the first sample; None where the bytes are no WAV or end before one.

    Parameters
    ----------
    read
        ``read(n)`` returns `n` bytes, fewer only at the end.
    name
        Of the source, for messages.

    Raises
    ------
    SourceError
        Where a WAV begins but makes no sense.
    """
    head = read(12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return None
    chunks: dict[bytes, bytes] = {}
    offset = 12
    while len(start := read(8)) == 8:
        kind, size = start[:4], int.from_bytes(start[4:], "little")
        offset += 8
        if kind == b"data":
            return _header(chunks, size, offset, name)
        if size > MAX_CHUNK:
            raise SourceError(f"{name}: expected sound within a WAV, got a chunk {kind!r} of {size} bytes before it")
        chunks[kind] = read(size + size % 2)[:size]
        offset += size + size % 2
    return None


def _header(chunks: dict[bytes, bytes], size: int, offset: int, name: str) -> WavHeader:
    fmt = chunks.get(b"fmt ", b"")
    if len(fmt) < 16:
        raise SourceError(f"{name}: expected a WAV with a format chunk before its sound, got none; the file is damaged")
    tag, channels = int.from_bytes(fmt[:2], "little"), int.from_bytes(fmt[2:4], "little")
    rate, bits = int.from_bytes(fmt[4:8], "little"), int.from_bytes(fmt[14:16], "little")
    if tag == WAVE_EXTENSIBLE and len(fmt) >= 26:
        tag = int.from_bytes(fmt[24:26], "little")
    letter = {WAVE_PCM: "s", WAVE_FLOAT: "f"}.get(tag, "?")
    encoding = f"{letter}{bits}le"
    known = encoding in WIDTHS and 1 <= channels <= MAX_CHANNELS
    long = chunks.get(b"ds64", b"")  # RF64 holds its true length apart
    length = int.from_bytes(long[8:16], "little") if len(long) >= 16 else size
    return WavHeader(
        PcmFormat(encoding, rate, channels) if known else None,
        rate,
        int.from_bytes(fmt[12:14], "little"),
        None if length in UNKNOWN_LENGTHS else length,
        offset,
        chunks.get(b"bext", b""),
    )


class PcmReader:
    """Turns chunks of bytes of any size into whole frames.

    Parameters
    ----------
    pcm
        The format.
    data_bytes
        Where the sound ends and other chunks begin; None where only the stream's end tells.
    """

    def __init__(self, pcm: PcmFormat, data_bytes: int | None = None) -> None:
        self.pcm = pcm
        self._left = data_bytes
        self._rest = b""

    @property
    def partial(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._rest)

    @property
    def missing(self) -> int:
        """Bytes promised that have not come."""
        return self._left or 0

    @property
    def done(self) -> bool:
        """All that was promised has come."""
        return self._left == 0

    def push(self, data: bytes) -> Float32:
        """Return the frames ``[N, C]`` that `data` completes."""
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        data = self._rest + data
        whole = len(data) - len(data) % self.pcm.width
        self._rest = data[whole:]
        return self.pcm.decode(data[:whole])
