"""The journal's own thread: a disk that hangs holds up this one and nobody else.

outbox ──start(events)──▶ commit ──▶ done: stored events, or the error
                          opens the journal first where there is none: at a start with a full disk,
                          and after damage, which sets the file aside
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from edge.blocks import Event
from edge.errors import JournalError
from edge.publish.board import Board
from edge.publish.journal import MAX_BYTES, Journal, is_damage
from edge.publish.wear import DAY_S

logger = logging.getLogger(__name__)

KEEP = 200_000  # events that the journal retains: some 100 MB
SHRINK_EVERY = 1_000  # commits of events between two looks at the journal's size
CLOSE_S = 10.0  # a disk that hangs may hold up the end for so long


class Commit:
    """One transaction, asked for by the outbox.

    Attributes
    ----------
    events
        What shall be stored.
    stored
        The same as they were stored; empty until `wait` returns True, and where the commit failed.
    error
        Why nothing was stored; None where all went well.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = list(events)
        self.stored: list[Event] = []
        self.error: JournalError | None = None
        self._done = threading.Event()

    def wait(self, seconds: float = 0.0) -> bool:
        """Whether the commit has ended, well or not, within so many seconds."""
        return self._done.wait(seconds)

    def end(self) -> None:
        """Let the one who waits go on."""
        self._done.set()


class JournalWriter:
    """Commits events from a thread of its own, in the order they were given.

    Parameters
    ----------
    journal
        The journal, open; None where it could not be opened yet.
    reopen
        Opens the journal; called by the thread where there is none, and after damage.
    board
        Where size and wear are told.
    keep, max_bytes
        What the journal may hold: so many events, and about so many bytes.

    Attributes
    ----------
    journal
        The journal that is written now; changes when it is opened anew.
    """

    def __init__(
        self,
        journal: Journal | None,
        board: Board,
        reopen: Callable[[], Journal] | None = None,
        keep: int = KEEP,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.journal = journal
        self._reopen, self._board = reopen, board
        self._keep, self._max_bytes = keep, max_bytes
        self._unshrunk, self._bytes_before = SHRINK_EVERY, 0
        self._reported_at, self._reported = time.monotonic(), 0
        self._written = 0  # by journals before the present one
        self._tell_damage()
        self._jobs: queue.SimpleQueue[Commit | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def start(self, events: Sequence[Event]) -> Commit:
        """Have events committed; returns at once."""
        commit = Commit(events)
        self._jobs.put(commit)
        return commit

    def close(self) -> None:
        """End what was started and close the journal; a disk that hangs is left behind and said."""
        self._jobs.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            logger.error("the journal's disk hangs: the file was left open")

    def _run(self) -> None:
        while (commit := self._jobs.get()) is not None:
            try:
                commit.stored = self._store(commit.events)
            except JournalError as error:
                commit.error = error
            finally:
                commit.end()
            if commit.error is None:
                self._look_after(len(commit.events))
        if self.journal:
            self.journal.close()

    def _store(self, events: Sequence[Event]) -> list[Event]:
        journal = self.journal or self._open()
        try:
            return journal.append(events)
        except JournalError as error:
            if is_damage(error) and self._reopen:
                self._written += journal.written
                self.journal = None
                journal.close()
            raise

    def _open(self) -> Journal:
        if self._reopen is None:
            raise JournalError("there is no journal: expected one that could be opened; start again with a path")
        self.journal = self._reopen()
        self._tell_damage()
        return self.journal

    def _tell_damage(self) -> None:
        if self.journal and self.journal.set_aside:
            self._board.say(self.journal.set_aside, journal="set aside")

    def _report(self, written: int) -> None:
        """Once a day: what the journal costs the flash."""
        day = written - self._reported
        self._reported_at, self._reported = time.monotonic(), written
        self._board.say(f"the journal wrote {day / 1e6:.1f} MB within a day", journal_bytes_per_day=day)

    def _look_after(self, count: int) -> None:
        """Keep the journal within its bounds, and tell how it is."""
        assert self.journal is not None  # noqa: S101  # something was just committed to it
        status = self._board.status
        status.journal_written = self._written + self.journal.written
        if time.monotonic() - self._reported_at >= DAY_S:
            self._report(status.journal_written)
        self._unshrunk += count
        grown = status.journal_written - self._bytes_before
        if self._unshrunk < SHRINK_EVERY and grown < self._max_bytes // 16:
            return
        self._unshrunk, self._bytes_before = 0, status.journal_written
        try:
            self.journal.shrink(self._keep, self._max_bytes)
            status.journal_bytes = self.journal.size()
        except JournalError as error:
            logger.warning("old events are kept for now: %s", error)
