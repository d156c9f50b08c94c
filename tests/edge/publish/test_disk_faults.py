"""Full, read-only, slow and damaged disks: what is heard goes out all the same, and is journalled when it can be."""

import os
import sqlite3
import subprocess
import threading
import time

import pytest

from edge.blocks import Event
from edge.errors import JournalError
from edge.publish.board import Board
from edge.publish.journal import Journal, is_damage, is_disk_fault
from edge.publish.outbox import Outbox
from edge.publish.reader import Reader
from edge.publish.wear import WearMeter
from edge.publish.zeromq import Publisher


def event(i=0, size=0):
    return Event(
        stream="mic",
        id=f"e:rain:{i}",
        device="hut",
        epoch="e",
        type="begin",
        label="rain",
        onset_sample=i,
        onset_s=0.0,
        detail={"text": "x" * size} if size else None,
    )


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("edge.publish.outbox.RETRY_S", 0.1)
    monkeypatch.setattr("edge.publish.outbox.HEARTBEAT_S", 0.1)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], capture_output=True)
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Heard:
    """What was published, in order."""

    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(event)

    def rain(self):
        return [e for e in self.events if e.type == "begin"]

    def health(self):
        return [e.detail.get("journal") for e in self.events if e.type == "health"]


def stored(path):
    reader = Reader(path)
    found, start = [], 1
    while (page := reader.page("mic", start=start)).events:
        found += [e.onset_sample for e in page.events]
        start = page.next
    reader.close()
    return found


def fill(folder):
    """Leave not a byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast


def test_a_disk_that_fills_up_and_is_emptied(small_disk, ear):
    heard, path = Heard(), small_disk / "journal.sqlite"
    publisher = Publisher("tcp://127.0.0.1:*", "hut")
    with Outbox(Journal(path, "hut"), publisher, on_published=heard, streams=["mic"]) as outbox:
        one = ear(publisher.endpoint)
        one.welcome()
        outbox.submit(event(0))
        assert until(lambda: len(heard.rain()) == 1)
        ballast = fill(small_disk)
        for i in range(1, 101):
            outbox.submit(event(i, 5000))
        assert until(lambda: len(heard.rain()) == 101)
        assert heard.rain()[-1].durable is False
        assert outbox.board.status.durable is False
        ballast.unlink()
        assert until(lambda: "working" in heard.health())
        assert outbox.board.status.durable is True
        assert [e["onset_sample"] for e in one.events(102) if e["type"] == "begin"] == list(range(101))
    assert stored(path) == list(range(101))
    assert heard.health() == ["failing", "working"]


def test_a_disk_that_is_full_at_the_start(small_disk):
    """The journal cannot even be made; it is made when there is room."""
    heard, path, board = Heard(), small_disk / "journal.sqlite", Board()
    ballast = fill(small_disk)
    with pytest.raises(JournalError) as caught:
        Journal(path, "hut")
    assert is_disk_fault(caught.value)
    with Outbox(None, device="hut", on_published=heard, board=board, reopen=lambda: Journal(path, "hut")) as outbox:
        for i in range(5):
            outbox.submit(event(i))
        assert until(lambda: len(heard.rain()) == 5)
        assert [(e.seq, e.durable) for e in heard.rain()] == [(i + 1, False) for i in range(5)]
        ballast.unlink()
        outbox.submit(event(5))
        assert until(lambda: "working" in heard.health())
        outbox.submit(event(6))
        assert until(lambda: len(heard.rain()) == 7)
        assert heard.rain()[-1].durable is True
        assert heard.rain()[-1].log != heard.rain()[0].log
    assert stored(path) == list(range(7))


def test_a_disk_that_turns_read_only(small_disk):
    heard, path = Heard(), small_disk / "journal.sqlite"
    with Outbox(Journal(path, "hut"), on_published=heard) as outbox:
        outbox.submit(event(0))
        assert until(lambda: len(heard.rain()) == 1)
        remount = ["mount", "-o", "remount,ro", str(small_disk)]
        if subprocess.run(remount, capture_output=True).returncode:  # busy: files are open for writing
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            connection.close()
            pytest.skip("this system does not turn a disk read-only while it is written")
        outbox.submit(event(1))
        assert until(lambda: len(heard.rain()) == 2)
        assert heard.rain()[-1].durable is False
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        assert until(lambda: "working" in heard.health())
    assert stored(path) == [0, 1]


def test_a_database_that_may_not_be_written_for_a_while(tmp_path):
    """SQLite's own query_only stands for a disk that turned read-only."""
    heard, path = Heard(), tmp_path / "journal.sqlite"
    journal = Journal(path, "hut")
    with Outbox(journal, on_published=heard) as outbox:
        outbox.submit(event(0))
        assert until(lambda: len(heard.rain()) == 1)
        journal._db.execute("PRAGMA query_only=ON")
        outbox.submit(event(1))
        assert until(lambda: len(heard.rain()) == 2)
        assert heard.rain()[-1].durable is False
        journal._db.execute("PRAGMA query_only=OFF")
        assert until(lambda: "working" in heard.health())
    assert stored(path) == [0, 1]


class SlowJournal(Journal):
    """A disk that takes its time when told to."""

    def __init__(self, path):
        super().__init__(path, "hut")
        self.go = threading.Event()
        self.go.set()

    def append(self, events):
        assert self.go.wait(60)
        return super().append(events)


def test_a_disk_that_hangs_holds_nobody_up(tmp_path, monkeypatch, ear):
    monkeypatch.setattr("edge.publish.outbox.PATIENCE_S", 0.2)
    heard, path = Heard(), tmp_path / "journal.sqlite"
    journal = SlowJournal(path)
    publisher = Publisher("tcp://127.0.0.1:*", "hut")
    with Outbox(journal, publisher, on_published=heard, streams=["mic"]) as outbox:
        one = ear(publisher.endpoint)
        one.welcome()
        outbox.submit(event(0))
        assert until(lambda: len(heard.rain()) == 1)
        journal.go.clear()
        for i in range(1, 51):
            outbox.submit(event(i))
        assert until(lambda: len(heard.rain()) == 51)  # the disk still hangs
        assert not journal.go.is_set()
        late = [(e.seq, e.durable) for e in heard.rain()[1:]]
        assert late == [(i + 1, False) for i in range(1, 51)]  # numbers come from the lease
        assert one.next() is not None  # heartbeats go on
        journal.go.set()
        assert until(lambda: "working" in heard.health())
        outbox.submit(event(51))
        assert until(lambda: len(heard.rain()) == 52)
        assert heard.rain()[-1].durable is True
    assert sorted(stored(path)) == list(range(52))
    assert heard.health() == ["failing", "working"]
    assert "the disk takes longer than 0.2 s" in next(e.reason for e in heard.events if e.type == "health")


def damage(path):
    """Overwrite the middle of every page but the first, as a dying card does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for place in range(4096, size, 4096):
            file.seek(place)
            file.write(b"\xa5" * 2048)


def test_damage_found_at_the_start_is_set_aside_and_said(tmp_path):
    path = tmp_path / "journal.sqlite"
    journal = Journal(path, "hut")
    journal.append([event(i, 500) for i in range(200)])
    journal.close()
    damage(path)
    heard = Heard()
    journal = Journal(path, "hut")
    with Outbox(journal, on_published=heard) as outbox:
        assert until(heard.health)
        outbox.submit(event(7))
    assert heard.health() == ["set aside"]
    assert len(list(tmp_path.glob("journal.sqlite.aside-*"))) == 1
    assert stored(path) == [7]


def test_damage_in_operation_is_set_aside_and_a_new_log_begins(tmp_path):
    path = tmp_path / "journal.sqlite"
    heard = Heard()
    journal = Journal(path, "hut")
    with Outbox(journal, on_published=heard, reopen=lambda: Journal(path, "hut")) as outbox:
        for i in range(300):
            outbox.submit(event(i, 500))
        assert until(lambda: len(heard.rain()) == 300)
        journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(path)
        journal._db.execute("PRAGMA shrink_memory")
        end = time.monotonic() + 60
        i = 300
        while "set aside" not in heard.health() and time.monotonic() < end:
            outbox.submit(event(i, 500))
            i += 1
            time.sleep(0.05)
        assert until(lambda: "working" in heard.health())
        outbox.submit(event(i))
        assert until(lambda: heard.rain()[-1].onset_sample == i)
    last = heard.rain()[-1]
    assert last.durable is True
    assert last.log != heard.rain()[0].log
    assert stored(path)[-1] == i
    places = [(e.log, e.seq) for e in heard.rain()]
    assert len(set(places)) == len(places)
    assert list(tmp_path.glob("journal.sqlite.aside-*"))


def test_kinds_of_failure_are_told_apart(tmp_path):
    assert is_disk_fault(_explained(OSError(28, "No space left on device")))
    assert not is_disk_fault(_explained(OSError(13, "Permission denied")))
    assert not is_damage(_explained(OSError(28, "No space left on device")))


def _explained(cause):
    error = JournalError("it fails")
    error.__cause__ = cause
    return error


def test_heartbeats_never_touch_the_disk(tmp_path, ear):
    path = tmp_path / "journal.sqlite"
    publisher = Publisher("tcp://127.0.0.1:*", "hut")
    with Outbox(Journal(path, "hut"), publisher, streams=["mic"]) as outbox:
        one = ear(publisher.endpoint)
        outbox.submit(event(0))
        assert until(lambda: outbox.board.status.published == 1)
        one.welcome()

        def state():
            return {p.name: (p.stat().st_mtime_ns, p.stat().st_size, p.read_bytes()) for p in tmp_path.iterdir()}

        before = state()
        beats = 0
        while beats < 20:
            beats += one.next()[1]["type"] == "heartbeat"
        assert state() == before


def test_the_journal_stays_within_its_bytes(tmp_path):
    path = tmp_path / "journal.sqlite"
    limit = 1 << 20
    with Outbox(Journal(path, "hut"), max_bytes=limit) as outbox:
        for i in range(4000):
            outbox.submit(event(i, 1000))
            if i % 500 == 499:
                assert until(lambda i=i: outbox.board.status.published > i)
        assert until(lambda: outbox.board.status.published == 4000)
        assert 0 < outbox.board.status.journal_bytes <= limit
    assert path.stat().st_size <= 2 * limit
    kept = stored(path)
    assert kept == list(range(kept[0], 4000))
    assert 200 < len(kept) < 1100


def test_bytes_written_are_counted_as_the_system_counts_them(tmp_path):
    """/proc counts what this thread hands to write(); the meter reads it from the log's own structure."""
    if not os.path.exists("/proc/thread-self/io"):
        pytest.skip("the system does not count a thread's bytes")

    def system():
        with open("/proc/thread-self/io") as file:
            return int(next(line for line in file if line.startswith("wchar")).split()[1])

    journal = Journal(tmp_path / "journal.sqlite", "hut")
    journal.append([event(0)])
    began, counted = system(), journal.written
    for i in range(1500):  # over several checkpoints
        journal.append([event(i, 300)])
    assert journal.written - counted == pytest.approx(system() - began, rel=0.02)
    journal.close()


def test_the_wear_of_a_day_is_told_once_a_day(tmp_path, monkeypatch):
    heard = Heard()
    with Outbox(Journal(tmp_path / "journal.sqlite", "hut"), on_published=heard) as outbox:
        outbox.submit(event(0))
        assert until(lambda: outbox.board.status.journal_written > 0)
        monkeypatch.setattr("edge.publish.writer.DAY_S", 0.0)
        outbox.submit(event(1))
        assert until(lambda: any(e.type == "health" for e in heard.events))
        monkeypatch.setattr("edge.publish.writer.DAY_S", 86_400.0)
        first = next(e for e in heard.events if e.type == "health")
        assert first.reason.startswith("the journal wrote 0.")
        assert 4096 < first.detail["journal_bytes_per_day"] <= outbox.board.status.journal_written
        assert outbox.board.status.journal_bytes_per_day == pytest.approx(24 * outbox.board.status.journal_written)


def test_a_meter_without_a_log_counts_nothing(tmp_path):
    meter = WearMeter(tmp_path / "none-wal", 4096)
    assert meter.update() == 0
