"""The journal: every event is committed here before anyone hears of it.

One SQLite file in WAL mode with ``synchronous=NORMAL``: a commit survives ``kill -9``; a power loss may take the last
commits with it. Numbers must not repeat even then, so they come from *leases* of 1,024, each committed with a full sync
before the first of its numbers is used::

    numbers   1 … 1024 | 1025 … 2048 | 2049 …
              used     | leased, the process died at 1300
                         a restart goes on at 2049: numbers are skipped, never repeated

A cursor is ``(log, stream, seq)``; ``log`` is the UUID of the file and changes when a journal is set aside.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edge.blocks import Event
from edge.errors import JournalError
from edge.ids import uuid7

logger = logging.getLogger(__name__)

SCHEMA = 1
APPLICATION = 0x57484541  # "WHEA" in the file's header: tells our files from others
LEASE = 1024
PAGE_LIMIT = 500
PAGE_BYTES = 1 << 20
BUSY_S = 0.25  # only readers share the file, and they never lock out the writer

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE streams (
    stream TEXT PRIMARY KEY,
    leased INTEGER NOT NULL,           -- first number that no lease has covered yet
    floor  INTEGER NOT NULL DEFAULT 1  -- smaller numbers were pruned
) WITHOUT ROWID;
CREATE TABLE events (
    n INTEGER PRIMARY KEY,             -- order of arrival over all streams, for retention
    stream TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE (stream, seq)
);
CREATE INDEX events_by_id ON events (stream, type, id);
"""


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


@dataclass(slots=True)
class _Lease:
    """Numbers ``next … stop − 1`` may be given out."""

    next: int = 0
    stop: int = 0


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


class Journal(Reader):
    """The journal of one device, for one thread at a time.

    Parameters
    ----------
    path
        File; it gets mode 0600, and a folder made for it 0700. A damaged or foreign file there is renamed, never
        deleted, and a new log begins.
    device
        Name of the device, noted in the file.

    Raises
    ------
    JournalError
        The folder cannot be written, another process has the journal, or a newer Wheatear made it.
    """

    def __init__(self, path: Path, device: str) -> None:
        self.path = path
        self.device = device
        self._leases: dict[str, _Lease] = {}
        self._lock = _make_private(path)
        try:
            try:
                super().__init__(path)
            except _DamagedError as damage:
                _set_aside(path, str(damage))
                path.touch(0o600)
                super().__init__(path)
        except BaseException:
            os.close(self._lock)
            raise

    def _mode(self) -> str:
        return "rw"

    def _prepare(self) -> None:
        with self._explain("open"):
            try:
                fresh = self._identify()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    raise _DamagedError(str(error)) from error
                raise
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA journal_size_limit=8388608")
        if fresh:
            self._create()
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('device', ?)", (self.device,))
        super()._prepare()

    def _identify(self) -> bool:
        """Whether the file is new; raises where it is not ours, not whole or not of our time."""
        if not self._value("SELECT count(*) FROM sqlite_master"):
            return True
        if self._value("PRAGMA application_id") != APPLICATION:
            raise _DamagedError("it is an SQLite file of another program")
        schema = int(str(self._value("PRAGMA user_version")))
        if schema > SCHEMA:
            raise JournalError(
                f"the journal {self.path} has schema {schema}, this Wheatear knows up to {SCHEMA}: "
                "install the newer version again, or choose another journal file"
            )
        health = self._value("PRAGMA quick_check(1)")
        if health != "ok":
            raise _DamagedError(str(health))
        return False

    def _create(self) -> None:
        with self._transaction("FULL"):
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO meta VALUES ('log', ?)", (uuid7(),))
            self._db.execute(f"PRAGMA application_id={APPLICATION}")
            self._db.execute(f"PRAGMA user_version={SCHEMA}")

    def reserve(self, events: Sequence[Event]) -> None:
        """Lease the numbers that these events need, and half a lease more for times when the journal fails."""
        wanted = Counter(event.stream for event in events if not self._is_numbered(event))
        short: dict[str, int] = {}
        for stream, count in wanted.items():
            lease = self._leases.setdefault(stream, _Lease())
            missing = count + LEASE // 2 - (lease.stop - lease.next)
            if missing > 0:
                short[stream] = -(-missing // LEASE) * LEASE
        if not short:
            return
        with self._transaction("FULL"):
            stops = {stream: self._lease(stream, count) for stream, count in short.items()}
        for stream, stop in stops.items():
            lease = self._leases[stream]
            if lease.stop != stop - short[stream]:
                lease.next = stop - short[stream]
            lease.stop = stop

    def _lease(self, stream: str, count: int) -> int:
        query = (
            "INSERT INTO streams (stream, leased) VALUES (?, 1 + ?) "
            "ON CONFLICT (stream) DO UPDATE SET leased = leased + ? RETURNING leased"
        )
        return int(str(self._value(query, stream, count, count)))

    def number(self, events: Sequence[Event]) -> list[Event]:
        """Give each event its number from the lease, without touching the disk.

        Where the lease has run out (the journal fails for long) an event keeps ``seq = 0``: better no number than one
        that could repeat.
        """
        return [self._numbered(event) for event in events]

    def _numbered(self, event: Event) -> Event:
        if self._is_numbered(event):
            return event
        lease = self._leases.get(event.stream)
        if lease is None or lease.next == lease.stop:
            return replace(event, log=self.log, seq=0)
        lease.next += 1
        return replace(event, log=self.log, seq=lease.next - 1)

    def _is_numbered(self, event: Event) -> bool:
        return event.seq > 0 and event.log == self.log

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Commit events in one transaction; those that this journal has numbered already keep their number.

        Returns
        -------
        list of Event
            The same events with ``log``, ``seq`` and ``durable = True``.

        Raises
        ------
        JournalError
            Nothing was committed.
        """
        self.reserve(events)
        stored = [replace(event, durable=True) for event in self.number(events)]
        rows = [(event.stream, event.seq, event.type, event.id, msgspec.json.encode(event)) for event in stored]
        with self._transaction():
            # An event may come twice: a commit that failed to report may still have happened.
            self._db.executemany(
                "INSERT INTO events (stream, seq, type, id, body) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (stream, seq) DO NOTHING",
                rows,
            )
        return stored

    def prune(self, keep: int) -> int:
        """Delete all but the newest `keep` events, over all streams; returns how many went."""
        with self._transaction():
            last = self._value("SELECT n FROM events ORDER BY n DESC LIMIT 1 OFFSET ?", keep)
            if last is None:
                return 0
            self._db.execute(
                "UPDATE streams SET floor = gone.top + 1 FROM "
                "(SELECT stream, max(seq) AS top FROM events WHERE n <= ? GROUP BY stream) AS gone "
                "WHERE streams.stream = gone.stream AND gone.top >= streams.floor",
                (last,),
            )
            return self._db.execute("DELETE FROM events WHERE n <= ?", (last,)).rowcount

    def close(self) -> None:
        """Give unused numbers back and close the file, for others to open."""
        try:
            with suppress(JournalError), self._transaction():
                self._db.executemany(
                    "UPDATE streams SET leased = ? WHERE stream = ? AND leased = ?",
                    [(lease.next, stream, lease.stop) for stream, lease in self._leases.items()],
                )
            self._leases.clear()
        finally:
            self._db.close()
            os.close(self._lock)

    @contextmanager
    def _transaction(self, sync: str = "NORMAL") -> Iterator[None]:
        with self._explain("write"):
            self._db.execute(f"PRAGMA synchronous={sync}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    with suppress(sqlite3.Error):  # the first error is the one to tell
                        self._db.execute("ROLLBACK")


class _DamagedError(Exception):
    """The file is not a journal that can be trusted."""


def _make_private(path: Path) -> int:
    """Make folder and file for their owner only; returns the lock that keeps other processes away."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + "-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise JournalError(
            f"cannot write a journal in {path.parent}: {why}; make the folder writable or choose another one"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except BlockingIOError as error:
        os.close(lock)
        raise JournalError(
            f"the journal {path} is in use by another wheatear process: stop that one, or choose another journal file"
        ) from error
    except OSError as error:
        os.close(lock)
        raise JournalError(
            f"cannot write the journal {path}: {error.strerror}; make the file writable or choose another one"
        ) from error
    path.chmod(0o600)
    return lock


def _set_aside(path: Path, why: str) -> None:
    """Rename a file that is no journal, with its WAL, so that nothing is lost."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.aside-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    logger.warning("the journal %s is not usable (%s): set aside as %s, a new log begins", path, why, aside.name)
