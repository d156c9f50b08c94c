"""Sound files to mono float32 at the training rate, decoded once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs
import soundfile
import soxr

Float32 = npt.NDArray[np.float32]


def decode(path: Path, rate: int, start: int = 0, stop: int | None = None) -> Float32:
    """Return the file's mono mix, float32 ``[N]`` at `rate` Hz, or only its samples from `start` to `stop`.

    Of a file that was decoded before, no more is read than is asked for.

    Raises
    ------
    ValueError
        The file is missing or is no sound file.
    """
    cached = _cache_file(path, rate)
    if cached.exists():
        return np.array(np.load(cached, mmap_mode="r")[start:stop])
    try:
        samples, source_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"expected a sound file at {path}, got: {error}") from None
    mono = samples.mean(axis=1)
    if source_rate != rate:
        mono = soxr.resample(mono, source_rate, rate, quality="HQ")
    mono = mono.astype(np.float32)
    _save(cached, mono)
    return mono[start:stop].copy()


def _cache_file(path: Path, rate: int) -> Path:
    """Name by the file's place, size and time, so that a changed file is decoded anew."""
    stat = path.stat() if path.exists() else None
    if stat is None:
        raise ValueError(f"expected a sound file at {path}, got nothing there; check --data")
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{rate}"
    return platformdirs.user_cache_path("wheatear") / "decoded" / (hashlib.sha256(key.encode()).hexdigest() + ".npy")


def _save(target: Path, samples: Float32) -> None:
    """Write beside and rename, so that two trainings may share the cache."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part.npy")
    np.save(part, samples)
    part.replace(target)
