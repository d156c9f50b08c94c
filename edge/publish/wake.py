"""Wakes a thread that sleeps in a poller: a pipe to oneself."""

from __future__ import annotations

import contextlib
import os


class Wake:
    """A flag with a file descriptor, so that a poller can wait for it beside sockets."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Descriptor that becomes readable when the flag is set."""
        return self._read

    def set(self) -> None:
        """Wake the poller; never blocks (a full pipe is awake already)."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")

    def clear(self) -> None:
        """Take the flag down; what is set from now on wakes again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 65536)

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read)
        os.close(self._write)
