"""Reading a journal: pages of events from any cursor, beside the process or thread that writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edge.blocks import Event
from edge.errors import JournalError

PAGE_LIMIT = 500
PAGE_BYTES = 1 << 20
BUSY_S = 0.25  # only readers share the file, and they never lock out the writer


class Page(msgspec.Struct, kw_only=True):
    """A piece of the journal, as replay answers it.

    Attributes
    ----------
    log
        UUID of the journal that answers.
    stream
        The stream asked for.
    events
        In the order of their numbers.
    next
        Number to ask for next; above `head` when there is no more.
    head, oldest
        Greatest number committed, and smallest that retention has kept; 0 and 1 for an empty stream.
    error
        ``code: text`` where the answer is not what was asked for; codes are ``expired`` (the events from `oldest` on
        are given), ``unknown-log``, ``unknown-stream``, ``bad-request``, ``unavailable``.
    """

    v: int = 1
    log: str = ""
    stream: str = ""
    events: list[Event]  # what has no `events`, `next` and `head` is no page, but perhaps the echo of a request
    next: int
    head: int
    oldest: int = 1
    error: str | None = None


class Reader:
    """Read-only view of a journal, beside the process or thread that writes it.

    Parameters
    ----------
    path
        The journal's file.

    Raises
    ------
    JournalError
        The file is missing or cannot be read; also from every method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _identity(path)
        with self._explain("read"):
            # Closed and reopened by the thread that owns the view; a journal moves once, from its maker to the outbox.
            self._db = sqlite3.connect(
                path.absolute().as_uri() + "?mode=" + self._mode(),
                uri=True,
                timeout=BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _mode(self) -> str:
        return "ro"

    def _prepare(self) -> None:
        with self._explain("read"):
            self.log = str(self._meta("log"))

    def _meta(self, key: str) -> str:
        return str(self._value("SELECT value FROM meta WHERE key = ?", key) or "")

    def _value(self, query: str, *parameters: object) -> object:
        """First column of the first row, or None."""
        row = self._db.execute(query, parameters).fetchone()
        return row[0] if row else None

    @property
    def stale(self) -> bool:
        """Whether another file has taken the journal's place: it was set aside, and must be opened anew."""
        return _identity(self.path) != self._file

    def streams(self) -> list[str]:
        """Names of all streams that ever had a number."""
        with self._explain("read"):
            return [row[0] for row in self._db.execute("SELECT stream FROM streams ORDER BY stream")]

    def head(self, stream: str) -> int:
        """Greatest number committed; 0 where there is none."""
        with self._explain("read"):
            newest = self._value("SELECT max(seq) FROM events WHERE stream = ?", stream)
            return int(str(newest)) if newest is not None else self.oldest(stream) - 1

    def oldest(self, stream: str) -> int:
        """Smallest number that retention has kept: what is asked for below it has expired."""
        with self._explain("read"):
            return int(str(self._value("SELECT floor FROM streams WHERE stream = ?", stream) or 1))

    def open_events(self, stream: str) -> list[Event]:
        """The ``begin`` events that never got their ``end``, oldest first."""
        query = (
            "SELECT body FROM events AS b WHERE stream = ? AND type = 'begin' AND NOT EXISTS "
            "(SELECT 1 FROM events AS e WHERE e.stream = b.stream AND e.type = 'end' AND e.id = b.id) ORDER BY seq"
        )
        with self._explain("read"):
            return [msgspec.json.decode(row[0], type=Event) for row in self._db.execute(query, (stream,))]

    def page(self, stream: str, log: str = "", start: int = 1, limit: int = PAGE_LIMIT) -> Page:
        """Events of a stream from number `start` on.

        Parameters
        ----------
        stream
            Name of the stream.
        log
            The log that `start` counts in; empty for whichever there is.
        start
            Smallest number wanted.
        limit
            At most so many events, 1 … 500; fewer where they would exceed 1 MiB.
        """
        with self._explain("read"):
            self._db.execute("BEGIN")  # one snapshot for all the questions below
            try:
                return self._page(stream, log, start, min(limit, PAGE_LIMIT))
            finally:
                self._db.execute("COMMIT")

    def _page(self, stream: str, log: str, start: int, limit: int) -> Page:
        start = max(1, start)
        head, oldest = self.head(stream), self.oldest(stream)
        page = Page(log=self.log, stream=stream, events=[], next=start, head=head, oldest=oldest)
        if log not in ("", self.log):
            page.error = f"unknown-log: this journal is {self.log}, not {log}; that one was set aside or never here"
            return page
        if self._value("SELECT 1 FROM streams WHERE stream = ?", stream) is None:
            page.error = f"unknown-stream: no events of {stream!r} here, only of {', '.join(self.streams()) or 'none'}"
        if start < page.oldest:
            page.error = (
                f"expired: numbers {start} to {page.oldest - 1} are no longer kept, the oldest is {page.oldest}"
            )
        query = "SELECT seq, body FROM events WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?"
        size = 0
        for seq, body in self._db.execute(query, (stream, start, limit)):
            page.events.append(msgspec.json.decode(body, type=Event))
            page.next = seq + 1
            size += len(body)
            if size > PAGE_BYTES:
                return page
        if len(page.events) < limit:
            page.next = max(start, head + 1)
        return page

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _explain(self, what: str) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(
                f"cannot {what} the journal {self.path}: {error}; check free space and the file's permissions"
            ) from error
        except msgspec.ValidationError as error:
            raise JournalError(f"cannot read the journal {self.path}: an event in it is damaged ({error})") from error


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file from another of the same name."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
