"""What the journal writes to the disk, counted exactly from SQLite's write-ahead log.

    -wal file   | header 32 | frame header 24 + page | frame header 24 + page | …
                  sequence     page number, salt
                  and salt

A commit appends frames with the header's salt. A checkpoint copies each page that occurs in them into the main file
once; the next commit then begins a new log with another salt, over the old one. So the frames of the present salt are
what was written since the last checkpoint, and their page numbers are what the next one will write (layout:
https://sqlite.org/walformat.html). The flash below multiplies these bytes by its own erase blocks; that is not seen.
"""

from __future__ import annotations

import os
from pathlib import Path

HEADER, FRAME_HEADER = 32, 24
SALT = slice(16, 24)
FRAME_SALT = slice(8, 16)
HOUR_S, DAY_S = 3_600.0, 86_400.0


class WearMeter:
    """Counts the bytes that commits and checkpoints hand to the file system.

    Parameters
    ----------
    wal
        The ``-wal`` file.
    page_bytes
        Size of a page of the database.

    Attributes
    ----------
    written
        Bytes written since the meter was made.
    """

    def __init__(self, wal: Path, page_bytes: int) -> None:
        self._wal = wal
        self._frame = FRAME_HEADER + page_bytes
        self._page = page_bytes
        self._salt = b""
        self._frames = 0
        self._pages: set[bytes] = set()
        self.written = 0
        self.update()
        self.written = 0  # what was there before is not ours

    def update(self) -> int:
        """Take in the frames that the last commit has added; returns `written`."""
        try:
            file = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # no write-ahead log yet
            return self.written
        try:
            self._follow(file)
        finally:
            os.close(file)
        return self.written

    def _follow(self, file: int) -> None:
        salt = os.pread(file, HEADER, 0)[SALT]
        if salt != self._salt:  # a checkpoint came between
            self.written += self._page * len(self._pages)
            self._salt, self._frames, self._pages = salt, 0, set()
        while True:
            head = os.pread(file, FRAME_HEADER, HEADER + self._frames * self._frame)
            if len(head) < FRAME_HEADER or head[FRAME_SALT] != salt:
                return
            self._frames += 1
            self._pages.add(head[:4])
            self.written += self._frame


def per_day(written: int, seconds: float) -> float:
    """Bytes a day at the mean rate of so many bytes in so many seconds; 0 where no time has passed."""
    return written * DAY_S / seconds if seconds > 0 else 0.0
