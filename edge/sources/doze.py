"""Leaves sound in a pipe until a chunk of it is there: who reads every block as it comes works several times more."""

from __future__ import annotations

import fcntl
import threading

HALF = 2  # of what the pipe holds may pile up
LATE = 4  # a part of the chunk that is not slept for: it is on its way, and waking for it costs no time


class Doze:
    """Sleeps before a read, for as long as a chunk still needs to sound.

        chunk     |-----------------------|-----------------------|
        sleeps    zzzzzzzzzzzzzzzzzzzzzzzzR                         all there: one read
                                           zzzzzzzzzzzzzzzzzzR   R  a last block is late: one more, once it comes

    Parameters
    ----------
    fd
        What is read; where it is no pipe, nobody can tell what it holds and no time is slept.
    frame_bytes, rate
        Of the sound in it.
    seconds
        Of a chunk; 0 for no sleep at all.
    stop
        Ends a sleep.
    """

    def __init__(self, fd: int, frame_bytes: int, rate: int, seconds: float, stop: threading.Event) -> None:
        self._rate, self._stop = rate, stop
        self._chunk = min(round(seconds * rate), _capacity(fd) // HALF // frame_bytes) if seconds else 0
        self._missing = self._chunk

    def took(self, frames: int) -> None:
        """Note what was read."""
        self._missing -= frames
        if self._missing <= 0:
            self._missing = self._chunk

    def sleep(self) -> None:
        """Until the chunk should be there, or there is too little left to sleep for."""
        if self._missing * LATE > self._chunk:
            self._stop.wait(self._missing / self._rate)


def _capacity(fd: int) -> int:
    """Bytes that a pipe holds; 0 of anything else."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except (OSError, AttributeError):
        return 0
