"""AudioSet's embeddings: TFRecord files of 128 bytes per second of sound, read and written without TensorFlow.

A file is a chain of records, each a ``tf.SequenceExample`` (a protocol buffer), or a ``tf.Example`` with the mean over
a whole video, as YouTube-8M has them beside its sequences:

length (8 bytes) | its checksum (4) | the message (length) | its checksum (4)

audioset_v1_embeddings/bal_train/*.tfrecord, unbal_train/…, eval/…
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
        uint8 ``[T, 128]``, one a second; `dequantise` gives numbers. Float32 ``[1, 128]`` of a whole video.
    at
        Where its record begins in the file, bytes.
    """

    video: str
    start: float
    end: float
    labels: tuple[int, ...]
    frames: UInt8 | Float32
    at: int = 0

    @property
    def values(self) -> Float32:
        """Numbers ``[T, 128]``."""
        return dequantise(self.frames) if self.frames.dtype == np.uint8 else self.frames


def dequantise(frames: UInt8) -> Float32:
    """Return embeddings -2 … 2 of bytes, by steps of 4 / 255."""
    return frames.astype(np.float32) * np.float32(2 * RANGE / 255) - np.float32(RANGE)


def quantise(values: Float32) -> UInt8:
    """Return bytes of embeddings; what goes beyond ±2 is clipped."""
    return np.rint((np.clip(values, -RANGE, RANGE) + RANGE) * 255 / (2 * RANGE)).astype(np.uint8)


def read(path: Path, at: int = 0) -> Iterator[Embedding]:
    """Yield the segments of a file, from the record that begins at byte `at` on.

    Raises
    ------
    ValueError
        No file, a checksum that does not fit, or a message that is no embedding; the path and the record are named.
    """
    for number, (place, message) in enumerate(records(path, at), start=1):
        try:
            yield replace(_embedding(message), at=place)
        except (IndexError, KeyError, ValueError, struct.error) as error:
            raise ValueError(f"{path}: expected an embedding in record {number}, got: {error!r}") from None


def write(path: Path, embeddings: Iterable[Embedding]) -> None:
    """Write segments as AudioSet's own files have them."""
    with path.open("wb") as handle:
        for embedding in embeddings:
            message = _message(embedding)
            length = struct.pack("<Q", len(message))
            handle.write(length + _checksum(length) + message + _checksum(message))


def records(path: Path, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield place and message of the records of a TFRecord file, from byte `at` on; their checksums fit.

    Raises
    ------
    ValueError
        No file, or one that is cut or broken.
    """
    if not path.is_file():
        raise ValueError(f"expected a TFRecord file at {path}, got nothing there; check --data")
    with path.open("rb") as handle:
        handle.seek(at)
        number, place = 0, at
        while head := handle.read(12):
            number += 1
            length = struct.unpack("<Q", head[:8])[0] if _fits(head[:8], head[8:]) else LONGEST + 1
            body = handle.read(length + 4) if length <= LONGEST else b""
            if len(body) != length + 4 or not _fits(body[:-4], body[-4:]):
                raise ValueError(f"{path}: expected a whole record {number}, got a broken one; fetch the file anew")
            yield place, body[:-4]
            place += len(head) + len(body)


def _fits(data: bytes, checksum: bytes) -> bool:
    return checksum == _checksum(data)


def _checksum(data: bytes) -> bytes:
    """A TFRecord's masked CRC-32C."""
    crc = int(_crc32c(np.frombuffer(data, np.uint8), TABLE))
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


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
    """Read a SequenceExample: context = 1, feature_lists = 2; or an Example: features = 1."""
    parts = dict(_fields(message))
    context = dict(_entries(parts[1]))
    if 2 not in parts:
        return _mean_of_a_video(context)
    lists = dict(_entries(parts[2]))
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


def _mean_of_a_video(features: dict[str, bytes]) -> Embedding:
    """Features of YouTube-8M's video-level files; nobody says when they begin and end."""
    mean = np.array(_values(features["mean_audio"]), np.float32)
    if mean.shape != (WIDTH,):
        raise ValueError(f"expected {WIDTH} numbers as mean_audio, got {mean.size}")
    (video,) = _values(features["id"] if "id" in features else features["video_id"])
    return Embedding(video.decode(), 0.0, 0.0, tuple(sorted(_values(features["labels"]))), mean[None])


def _message(embedding: Embedding) -> bytes:
    """A SequenceExample of an embedding."""
    context = {
        "video_id": _feature(1, [embedding.video.encode()]),
        "start_time_seconds": _feature(2, [struct.pack("<f", embedding.start)]),
        "end_time_seconds": _feature(2, [struct.pack("<f", embedding.end)]),
        "labels": _feature(3, [b"".join(map(_varint_of, embedding.labels))]),
    }
    frames = b"".join(_field(1, _feature(1, [frame.tobytes()])) for frame in embedding.frames)
    return _field(1, _map(context)) + _field(2, _map({"audio_embedding": frames}))


def _feature(kind: int, values: Iterable[bytes]) -> bytes:
    """A Feature: one list of byte strings, or packed numbers; see `_values`."""
    return _field(kind, b"".join(_field(1, value) for value in values))


def _map(entries: dict[str, bytes]) -> bytes:
    return b"".join(_field(1, _field(1, key.encode()) + _field(2, value)) for key, value in entries.items())


def _field(number: int, content: bytes) -> bytes:
    return _varint_of(number << 3 | BYTES) + _varint_of(len(content)) + content


def _varint_of(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


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
