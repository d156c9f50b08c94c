"""Clips on disk: a FLAC file and a JSON file beside it, in a folder that never fills the disk.

    <folder>/<stream>/2026-05-01/hut.mic.rain.20260501T043000123Z.0000123456.flac
                                 device.stream.label.UTC of its first sample.index of it

Only files of this form are ever deleted; every part of a name is a slug, so no label leads out of the folder. Age is
the file's own time.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from edge.blocks import Float32
from edge.clock import rfc3339
from edge.config.clips import Clips
from edge.errors import ClipError
from edge.ids import slug

log = logging.getLogger(__name__)

MB = 1_000_000
DAY_S = 86_400.0
CLOCK_SET = 1_577_836_800.0  # 2020: files of before are of a device that did not know the time
TIDY_S = 3600.0  # the same, where no clip comes
SWEEP_S = 60.0  # how often age and space are looked at, at most; free space is before every clip
CLIP = re.compile(r"([a-z0-9_-]+)\.([a-z0-9_-]+)\.([a-z0-9_-]+)\.(\d{8}T\d{9}Z|undated)\.(\d{10,})(-\d+)?\.flac")


class Kept(NamedTuple):
    """A clip that is there: when it was written, the slug of its label, bytes with its sidecar, and the file."""

    time: float
    label: str
    size: int
    path: Path


class ClipStore:
    """Writes clips of one stream; several may share a folder, in other threads and processes too.

    Parameters
    ----------
    clips
        Limits and place.
    folder
        The root of all clips.
    device, stream
        Names that stand in files and folders.
    statvfs
        ``os.statvfs``, or what a test puts in its place.
    """

    def __init__(
        self,
        clips: Clips,
        folder: Path,
        device: str,
        stream: str,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self._clips = clips
        self._root = folder
        self._device, self._stream = slug(device), slug(stream)
        self._statvfs = statvfs
        self._swept = time.monotonic() - TIDY_S
        self._total = 0  # bytes of all clips at the last sweep, and what was written since

    def write(self, label: str, samples: Float32, rate: int, start: int, sidecar: dict[str, Any]) -> str:
        """Keep a clip.

        Parameters
        ----------
        label
            What the file is named after.
        samples, rate
            float32 ``[N]``, full scale ±1, and Hz; kept bit by bit where they came from 24 bits or less.
        start
            Index of the first sample.
        sidecar
            What the JSON file shall hold; the clip's name, bit depth and format version are added.

        Returns
        -------
        str
            The FLAC file, relative to the folder.

        Raises
        ------
        ClipError
            The disk is too full, read-only or gone: in one line, with what to do.
        """
        data, bits = encode(samples, rate)
        utc = sidecar.get("start_utc_ns")
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():  # a sweep in between could take the new folder away
                self._make_room(len(data) + len(msgspec.json.encode(sidecar)))
                path = self._free_name(self._folder(utc), label, utc, start)
                name = path.relative_to(self._root).as_posix()
                text = msgspec.json.encode({"v": 1, "clip": name, "bits": bits, **sidecar})
                _put(path.with_suffix(".json"), text)
                try:
                    _put(path, data)
                except OSError:
                    path.with_suffix(".json").unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise ClipError(
                f"{self._root}: a clip cannot be written: {error.strerror}; check the disk and `clips.folder`"
            ) from None
        self._total += len(data) + len(text)
        return name

    def sweep(self) -> None:
        """Delete what is too old or too much; `write` does so by itself."""
        with self._locked():
            self._sweep(0)

    def tidy(self) -> None:
        """Sweep, if it was long ago: clips grow old where nothing new is heard, too."""
        if time.monotonic() - self._swept >= TIDY_S and self._root.is_dir():
            try:
                self.sweep()
            except OSError as error:
                self._swept = time.monotonic()
                log.warning("%s: old clips cannot be deleted: %s", self._root, error.strerror)

    def _sweep(self, need: int) -> None:
        """Delete, oldest first, until `need` bytes fit under all limits or only each label's minimum is left."""
        kept = sorted(self._scan(), reverse=True)
        total = sum(clip.size for clip in kept)
        newest: Counter[str] = Counter()
        spare = []
        for clip in kept:
            newest[clip.label] += 1
            if newest[clip.label] > self._clips.keep_per_label:
                spare.append(clip)
        while spare and (self._old(spare[-1]) or self._too_much(total + need) or self._missing(need) > 0):
            clip = spare.pop()
            _delete(clip.path)
            total -= clip.size
        self._swept, self._total = time.monotonic(), total

    def _old(self, clip: Kept) -> bool:
        """Whether its days are over; one written before the clock was set has no age."""
        return CLOCK_SET < clip.time < time.time() - self._clips.keep_days * DAY_S and self._clips.keep_days > 0

    def _too_much(self, total: int) -> bool:
        return 0 < self._clips.max_mb * MB < total

    def clean(self) -> None:
        """Remove what a killed process left half-written in this stream's folders."""
        for path in (self._root / self._stream).glob("*/.*.part"):
            path.unlink(missing_ok=True)

    def _make_room(self, need: int) -> None:
        due = time.monotonic() - self._swept >= SWEEP_S
        if due or self._missing(need) > 0 or self._too_much(self._total + need):
            self._sweep(need)
        if (missing := self._missing(need)) > 0:
            raise ClipError(
                f"{self._root}: expected {self._clips.min_free_mb} MB free behind a clip of {need / MB:.1f} MB, "
                f"{missing / MB:.1f} MB are missing; make room, or lower clips.min_free_mb or clips.keep_per_label"
            )

    def _missing(self, need: int) -> int:
        """Bytes by which the disk would be fuller than allowed."""
        disk = self._statvfs(self._root)
        return need + self._clips.min_free_mb * MB - disk.f_bavail * disk.f_frsize

    def _folder(self, utc_ns: int | None) -> Path:
        """The day's folder; made where it is missing, and refused where a link leads out of the root."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._root / self._stream / (rfc3339(utc_ns)[:10] if utc_ns is not None else "undated")
        for one in (folder.parent, folder):
            one.mkdir(mode=0o700, exist_ok=True)
            if one.is_symlink():
                raise ClipError(f"{one}: expected a folder, got a link; clips are not written through links")
        return folder

    def _free_name(self, folder: Path, label: str, utc_ns: int | None, start: int) -> Path:
        utc = "undated" if utc_ns is None else re.sub(r"[-:.]", "", rfc3339(utc_ns))
        stem = f"{self._device}.{self._stream}.{slug(label)}.{utc}.{start:010d}"
        path, number = folder / f"{stem}.flac", 1
        while path.exists() or path.is_symlink():
            number += 1
            path = folder / f"{stem}-{number}.flac"
        return path

    def _scan(self) -> Iterator[Kept]:
        for path in self._root.glob("*/*/*.flac"):
            match = CLIP.fullmatch(path.name)
            if match and not path.is_symlink():
                with suppress(FileNotFoundError):  # another process swept it
                    stat = path.stat()
                    yield Kept(stat.st_mtime, match[3], stat.st_size + _size(path.with_suffix(".json")), path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time in the folder, over processes."""
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def encode(samples: Float32, rate: int) -> tuple[bytes, int]:
    """FLAC of float32 samples ``[N]``, and its bits a sample: 16 where they hold all, else 24.

    libsndfile scales floats by 2^n − 1 when writing and by 2^n when reading; whole numbers come back as they were.
    """
    import soundfile

    whole = samples.astype(np.float64) * 2**15
    if np.array_equal(whole, np.rint(whole)) and (not len(whole) or (whole.min() >= -(2**15) and whole.max() < 2**15)):
        numbers, bits = whole.astype(np.int16), 16
    else:
        bits = 24
        wide = np.clip(np.rint(samples.astype(np.float64) * 2**23), -(2**23), 2**23 - 1)
        numbers = wide.astype(np.int32) << 8
    stream = io.BytesIO()
    soundfile.write(stream, numbers, rate, format="FLAC", subtype=f"PCM_{bits}")
    return stream.getvalue(), bits


def _put(path: Path, data: bytes) -> None:
    """Write a whole new file, private to the user: under another name first, so that a half one never has this one."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    with suppress(OSError):  # the day has more clips
        path.parent.rmdir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
