"""Events as lines of JSON in a file, rotated by size; the disk is never filled.

events.jsonl  events.jsonl.1  events.jsonl.2 …     .1 is the newest of the old ones
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.blocks import Event
from edge.errors import ConfigError
from edge.publish.board import Board
from edge.publish.sink import QueueSink

NAME = "json-lines"


class LineFile:
    """A file with one event a line.

    Parameters
    ----------
    path
        The file; mode 0600. What a killed process left half-written is ended with a line break.
    board
        Where it is told that the disk is too full, or has room again.
    max_bytes
        Size at which the next file begins.
    files
        How many are kept, the present one among them.
    keep_free
        Bytes that stay free on the disk.
    name
        As in counters.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """

    def __init__(self, path: Path, board: Board, max_bytes: int, files: int, keep_free: int, name: str = NAME) -> None:
        self.path, self._name = path, name
        self._board = board
        self._max_bytes, self._files, self._keep_free = max_bytes, files, keep_free
        self._fault = ""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._open()
        except OSError as error:
            raise ConfigError(f"{path}: expected a file that can be written, got: {error.strerror}") from error

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self.path, flags, 0o600)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")
        return file

    def write(self, events: Sequence[msgspec.Struct]) -> None:
        """Append events; where the disk has no room for them they are counted as dropped."""
        lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        try:
            room = self._make_room(len(lines))
            if room:
                self._append(lines)
            self._tell(full=not room)
        except OSError as error:
            room = False
            self._tell(fault=str(error.strerror))
        if not room:
            self._board.drop(self._name, len(events))

    def _append(self, lines: bytes) -> None:
        size = os.fstat(self._file).st_size
        if size and size + len(lines) > self._max_bytes:
            self._rotate()
        written = os.write(self._file, lines)
        if written < len(lines):  # the disk filled up under us: no half line may stay
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(28, "No space left on device")

    def _rotate(self) -> None:
        """``.1`` becomes ``.2`` and so on; the oldest goes."""
        os.close(self._file)
        try:
            for number in range(self._files - 1, 0, -1):
                older = self._old(number - 1)
                if older.exists():
                    older.replace(self._old(number))
            if self._files == 1:
                self.path.unlink(missing_ok=True)
        finally:
            self._file = self._open()

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _make_room(self, size: int) -> bool:
        """Whether the disk has room for so many bytes, after old files were given up for them."""
        for number in range(self._files - 1, -1, -1):
            if shutil.disk_usage(self.path.parent).free - size >= self._keep_free:
                return True
            if number:
                self._old(number).unlink(missing_ok=True)
        return False

    def _tell(self, full: bool = False, fault: str = "") -> None:
        """Say once that the file fails, and once that it works again."""
        why = fault or (f"less than {self._keep_free >> 20} MiB would stay free" if full else "")
        if why and not self._fault:
            self._board.say(f"{self.path} is not written: {why}", json_lines="failing")
        elif self._fault and not why:
            self._board.say(f"{self.path} is written again", json_lines="working")
        self._fault = why

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def line_sink(path: Path, board: Board, max_bytes: int, files: int, keep_free: int) -> QueueSink[Event]:
    """A sink that writes a `LineFile` of these parameters."""
    file = LineFile(path, board, max_bytes, files, keep_free)
    return QueueSink(NAME, file.write, board, finish=file.close)
