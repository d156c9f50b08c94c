"""AudioSet's embeddings: TFRecord files of 128 bytes per second of sound, read without TensorFlow.

A file is a chain of records, each a ``tf.SequenceExample`` (a protocol buffer):

length (8 bytes) | its checksum (4) | the message (length) | its checksum (4)

audioset_v1_embeddings/bal_train/*.tfrecord, unbal_train/…, eval/…
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

WIDTH = 128
RANGE = 2.0  # embeddings are clipped to -2 … 2 before they become bytes
LONGEST = 1 << 24  # bytes of a record; more is a broken file
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, eq=False)
class Embedding:
    """One segment of a video.

    Attributes
    ----------
    video
        Its YouTube id.
    start, end
        Seconds.
    labels
        Class indices, by ``class_labels_indices.csv``, ascending.
    frames
        uint8 ``[T, 128]``, one a second; `dequantise` gives numbers.
    """

    video: str
    start: float
    end: float
    labels: tuple[int, ...]
    frames: UInt8


def dequantise(frames: UInt8) -> Float32:
    """Return embeddings -2 … 2 of bytes, by steps of 4 / 255."""
    return frames.astype(np.float32) * np.float32(2 * RANGE / 255) - np.float32(RANGE)


def quantise(values: Float32) -> UInt8:
    """Return bytes of embeddings; what goes beyond ±2 is clipped."""
    return np.rint((np.clip(values, -RANGE, RANGE) + RANGE) * 255 / (2 * RANGE)).astype(np.uint8)


def read(path: Path) -> Iterator[Embedding]:
    """Yield the segments of a file.

    Raises
    ------
    ValueError
        No file, a checksum that does not fit, or a message that is no embedding; the path and the record are named.
    """
    for number, message in enumerate(records(path), start=1):
        try:
            yield _embedding(message)
        except (IndexError, KeyError, ValueError, struct.error) as error:
            raise ValueError(f"{path}: expected an embedding in record {number}, got: {error!r}") from None


def records(path: Path) -> Iterator[bytes]:
    """Yield the messages of a TFRecord file, whose checksums fit.

    Raises
    ------
    ValueError
        No file, or one that is cut or broken.
    """
    if not path.is_file():
        raise ValueError(f"expected a TFRecord file at {path}, got nothing there; check --data")
    with path.open("rb") as handle:
        number = 0
        while head := handle.read(12):
            number += 1
            length = struct.unpack("<Q", head[:8])[0] if _fits(head[:8], head[8:]) else LONGEST + 1
            body = handle.read(length + 4) if length <= LONGEST else b""
            if len(body) != length + 4 or not _fits(body[:-4], body[-4:]):
                raise ValueError(f"{path}: expected a whole record {number}, got a broken one; fetch the file anew")
            yield body[:-4]


def _fits(data: bytes, checksum: bytes) -> bool:
    """Whether a TFRecord's masked CRC-32C is that of the data."""
    crc = int(_crc32c(np.frombuffer(data, np.uint8), TABLE))
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return checksum == struct.pack("<I", masked)


def _table() -> npt.NDArray[np.uint32]:
    """CRC-32C (Castagnoli) of each byte."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(0x82F63B78), values >> 1).astype(np.uint32)
    return values


TABLE = _table()


@numba.njit(cache=True)
def _crc32c(data: UInt8, table: npt.NDArray[np.uint32]) -> int:
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)


def _embedding(message: bytes) -> Embedding:
    """Read a SequenceExample: context = 1, feature_lists = 2."""
    parts = dict(_fields(message))
    context, lists = dict(_entries(parts[1])), dict(_entries(parts[2]))
    frames = [_values(feature)[0] for _, feature in _fields(lists["audio_embedding"])]
    if any(len(frame) != WIDTH for frame in frames):
        raise ValueError(f"expected {WIDTH} bytes a frame")
    return Embedding(
        _values(context["video_id"])[0].decode(),
        _values(context["start_time_seconds"])[0],
        _values(context["end_time_seconds"])[0],
        tuple(sorted(_values(context["labels"]))),
        np.frombuffer(b"".join(frames), np.uint8).reshape(-1, WIDTH),
    )


def _entries(message: bytes | int) -> Iterator[tuple[str, bytes]]:
    """Keys and values of a map: each entry is a message with key = 1, value = 2."""
    for _, entry in _fields(message):
        fields = dict(_fields(entry))
        yield _bytes(fields[1]).decode(), _bytes(fields[2])


def _values(feature: bytes) -> list[Any]:
    """Return the values of a Feature: bytes_list = 1, float_list = 2 or int64_list = 3, packed or not."""
    ((kind, values),) = _fields(feature)
    if kind == 1:
        return [_bytes(value) for _, value in _fields(values)]
    unpack = _floats if kind == 2 else _integers
    return [number for _, value in _fields(values) for number in unpack(value)]


def _floats(value: bytes | int) -> list[float]:
    data = value if isinstance(value, bytes) else struct.pack("<I", value)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def _integers(value: bytes | int) -> list[int]:
    if isinstance(value, int):
        return [value]
    out, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        out.append(number)
    return out


def _bytes(value: bytes | int) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number in place of a message")
    return value


def _fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """Yield number and content of each field: bytes of a nested message or text, an integer of the rest."""
    message, at = _bytes(message), 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            value, at = int.from_bytes(message[at : at + size], "little"), at + size
        elif kind == BYTES:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise ValueError("a field that ends behind its message")
        yield tag >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return an integer of seven bits a byte, low ones first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
