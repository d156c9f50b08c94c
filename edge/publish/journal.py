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

import errno
import fcntl
import logging
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edge.blocks import Event
from edge.errors import JournalError
from edge.ids import uuid7
from edge.publish.reader import Reader
from edge.publish.wear import WearMeter

logger = logging.getLogger(__name__)

SCHEMA = 1
APPLICATION = 0x57484541  # "WHEA" in the file's header: tells our files from others
LEASE = 1024
MAX_BYTES = 256 << 20
CHECKPOINT_PAGES = 1_000  # the write-ahead log grows to some 4 MB before its pages are copied into the main file
DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT}
DISK_FAULTS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

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


@dataclass(slots=True)
class _Lease:
    """Numbers ``next … stop − 1`` may be given out."""

    next: int = 0
    stop: int = 0


class Journal(Reader):
    """The journal of one device, for one thread at a time.

    Parameters
    ----------
    path
        File; it gets mode 0600, and a folder made for it 0700. A damaged or foreign file there is renamed, never
        deleted, and a new log begins.
    device
        Name of the device, noted in the file.

    One thread commits; `number` may be called from another one meanwhile.

    Attributes
    ----------
    set_aside
        What became of a file that was no journal, in words; empty where all was well.

    Raises
    ------
    JournalError
        The folder cannot be written, another process has the journal, or a newer Wheatear made it.
    """

    def __init__(self, path: Path, device: str) -> None:
        self.path = path
        self.device = device
        self.set_aside = ""
        self._leases: dict[str, _Lease] = {}
        self._numbering = threading.Lock()
        self._lock = _make_private(path)
        try:
            try:
                super().__init__(path)
            except _DamagedError as damage:
                self.set_aside = _set_aside(path, str(damage))
                logger.warning("%s", self.set_aside)
                path.touch(0o600)
                super().__init__(path)
        except BaseException:
            os.close(self._lock)
            raise
        self._wear = WearMeter(path.with_name(path.name + "-wal"), int(str(self._value("PRAGMA page_size"))))

    def _mode(self) -> str:
        return "rw"

    def _prepare(self) -> None:
        with self._explain("open"):
            try:
                fresh = self._identify()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF in DAMAGE:
                    raise _DamagedError(str(error)) from error
                raise
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA journal_size_limit=8388608")
            self._db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
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
            raise _DamagedError(" ".join(str(health).split()))
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
        new = Counter(event.stream for event in events if not self._is_numbered(event))
        self._reserve({event.stream: new[event.stream] for event in events})

    def reserve_for(self, streams: Iterable[str]) -> None:
        """Lease numbers for streams before their first event: even if the journal fails then, they have some."""
        self._reserve(dict.fromkeys(streams, 0))

    def _reserve(self, wanted: Mapping[str, int]) -> None:
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
        with self._numbering:
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
        with self._numbering:
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
        self._wear.update()
        return stored

    @property
    def written(self) -> int:
        """Bytes handed to the file system since this journal was opened."""
        return self._wear.written

    def size(self) -> int:
        """Bytes of the file that hold something; what was pruned is free for new events."""
        with self._explain("read"):
            pages = int(str(self._value("PRAGMA page_count"))) - int(str(self._value("PRAGMA freelist_count")))
            return pages * int(str(self._value("PRAGMA page_size")))

    def shrink(self, keep: int, max_bytes: int = MAX_BYTES) -> int:
        """Delete the oldest events until at most `keep` are left, in about `max_bytes`; returns how many went."""
        gone = self.prune(keep)
        size = self.size()
        if size > max_bytes:  # to nine tenths, so that it is not done again at once
            kept = int(str(self._value("SELECT count(*) FROM events")))
            gone += self.prune(int(kept * 0.9 * max_bytes / size))
        self._wear.update()
        return gone

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


def is_disk_fault(error: JournalError) -> bool:
    """Whether the disk is at fault (full, read-only, failing): worth another try later."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.errno in DISK_ERRORS
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in DISK_FAULTS


def is_damage(error: JournalError) -> bool:
    """Whether the file is damaged: it must be opened anew, which sets it aside."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def _set_aside(path: Path, why: str) -> str:
    """Rename a file that is no journal, with its WAL, so that nothing is lost; returns what to tell."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.aside-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    return f"the journal {path} is not usable ({why}): set aside as {aside.name}, a new log begins"
