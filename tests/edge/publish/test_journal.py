"""The journal: numbers that never repeat, pages from any cursor, damage set aside."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.blocks import Event
from edge.errors import JournalError
from edge.ids import uuid7
from edge.publish.journal import LEASE, Journal
from edge.publish.reader import PAGE_LIMIT, Reader


def event(i=0, stream="mic", kind="begin", label="rain", **fields):
    return Event(
        stream=stream,
        id=f"e:{label}:{i}",
        device="hut",
        epoch="e",
        type=kind,
        label=label,
        onset_sample=i,
        onset_s=i / 100,
        **fields,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "private" / "journal.sqlite"


@pytest.fixture
def journal(path):
    with_closed = Journal(path, "hut")
    yield with_closed
    with_closed.close()


def crash(journal):
    """Leave the file as a killed process does: no unused number is given back, the lock falls."""
    journal._db.close()
    os.close(journal._lock)


def test_append_returns_numbered_durable_events_counted_by_stream(journal):
    stored = journal.append([event(1), event(2, stream="hive"), event(3)])
    assert [(e.stream, e.seq) for e in stored] == [("mic", 1), ("hive", 1), ("mic", 2)]
    assert {(e.log, e.durable) for e in stored} == {(journal.log, True)}
    assert journal.page("mic").events == [stored[0], stored[2]]
    assert journal.streams() == ["hive", "mic"]
    assert (journal.head("mic"), journal.head("hive"), journal.head("cellar")) == (2, 1, 0)


def test_log_is_a_uuid7_and_stays_over_restarts(path):
    first = Journal(path, "hut")
    first.close()
    second = Journal(path, "renamed")
    second.close()
    assert second.log == first.log
    assert uuid.UUID(first.log).version == 7
    assert uuid.UUID(first.log).variant == uuid.RFC_4122


def test_uuid7_sorts_by_time(monkeypatch):
    times = iter(range(1_700_000_000_000_000_000, 1_700_000_001_000_000_000, 100_000_000))
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    made = [uuid7() for _ in range(10)]
    assert made == sorted(made)
    assert int(uuid.UUID(made[0])) >> 80 == 1_700_000_000_000


def test_clean_restart_goes_on_without_a_hole(path):
    journal = Journal(path, "hut")
    journal.append([event(i) for i in range(3)])
    journal.close()
    journal = Journal(path, "hut")
    assert journal.append([event(4)])[0].seq == 4
    journal.close()


def test_restart_after_a_kill_goes_on_behind_the_lease(path):
    journal = Journal(path, "hut")
    journal.append([event(i) for i in range(3)])
    crash(journal)
    journal = Journal(path, "hut")
    assert journal.append([event(4)])[0].seq == LEASE + 1
    crash(journal)
    journal = Journal(path, "hut")
    assert journal.append([event(5)])[0].seq == 2 * LEASE + 1
    assert [e.seq for e in journal.page("mic").events] == [1, 2, 3, LEASE + 1, 2 * LEASE + 1]
    journal.close()


def test_numbers_given_without_a_commit_do_not_come_again_after_a_kill(path):
    journal = Journal(path, "hut")
    journal.reserve([event()])
    given_out = {e.seq for e in journal.number([event(i) for i in range(500)])}
    crash(journal)
    journal = Journal(path, "hut")
    again = {e.seq for e in journal.append([event(i) for i in range(500)])}
    journal.close()
    assert not given_out & again


def test_leases_of_one_stream_join_without_a_hole(journal):
    seqs = [journal.append([event(i)])[0].seq for i in range(LEASE + 10)]
    seqs += [e.seq for e in journal.append([event(i) for i in range(3 * LEASE)])]
    assert seqs == list(range(1, 4 * LEASE + 11))


def test_half_a_lease_is_always_in_hand_and_then_numbers_run_out(journal):
    journal.append([event()])
    numbered = journal.number([event(i) for i in range(2 * LEASE)])
    seqs = [e.seq for e in numbered if e.seq]
    assert len(seqs) >= LEASE // 2
    assert seqs == list(range(2, 2 + len(seqs)))
    assert {e.seq for e in numbered[len(seqs) :]} == {0}


def test_an_event_keeps_its_number_and_is_stored_once(journal):
    journal.reserve([event()])
    numbered = journal.number([event(1), event(2)])
    journal.append(numbered)
    assert journal.append([*numbered, event(3)])[-1].seq == 3
    assert [e.id for e in journal.page("mic").events] == ["e:rain:1", "e:rain:2", "e:rain:3"]


def test_a_number_of_another_log_means_nothing_here(journal):
    assert journal.append([event(1, log="elsewhere", seq=77)])[0].seq == 1


def test_open_events_are_begins_without_end(journal):
    journal.append([event(1), event(2), event(1, kind="end"), event(3, stream="hive"), event(9, kind="gap")])
    assert [e.onset_sample for e in journal.open_events("mic")] == [2]
    journal.append([event(2, kind="end", reason="interrupted")])
    assert journal.open_events("mic") == []


def test_prune_keeps_the_newest_and_says_what_expired(journal):
    journal.append([event(i) for i in range(10)] + [event(i, stream="hive") for i in range(2)])
    assert journal.prune(5) == 7
    assert (journal.oldest("mic"), journal.head("mic")) == (8, 10)
    assert (journal.oldest("hive"), journal.head("hive")) == (1, 2)
    page = journal.page("mic", start=3)
    assert page.error == "expired: numbers 3 to 7 are no longer kept, the oldest is 8"
    assert [e.seq for e in page.events] == [8, 9, 10]
    assert journal.page("mic", start=8).error is None
    assert journal.prune(5) == 0


def test_head_and_numbers_outlive_pruning_everything(journal):
    journal.append([event(i) for i in range(4)])
    journal.prune(0)
    assert (journal.oldest("mic"), journal.head("mic"), journal.page("mic", start=5).events) == (5, 4, [])
    assert journal.append([event(9)])[0].seq == 5


@pytest.fixture(scope="module")
def skipping(tmp_path_factory):
    """A journal with holes in its numbers, as kills leave them."""
    path = tmp_path_factory.mktemp("skipping") / "j.sqlite"
    for size in (7, 1, 30):
        journal = Journal(path, "hut")
        journal.append([event(i) for i in range(size)])
        crash(journal)
    journal = Journal(path, "hut")
    yield journal
    journal.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 3 * LEASE), limit=st.integers(1, 50))
def test_pages_from_any_cursor_give_every_event_once_in_order(skipping, start, limit):
    everything = [*range(1, 8), LEASE + 1, *range(2 * LEASE + 1, 2 * LEASE + 31)]
    seen, cursor = [], start
    while True:
        page = skipping.page("mic", skipping.log, cursor, limit)
        assert len(page.events) <= limit
        assert page.next > cursor or page.next > page.head
        seen += [e.seq for e in page.events]
        cursor = page.next
        if cursor > page.head:
            break
    assert seen == [seq for seq in everything if seq >= start]


def test_a_page_is_bounded_in_number_and_in_bytes(journal):
    journal.append([event(i) for i in range(PAGE_LIMIT + 1)])
    assert len(journal.page("mic", limit=10_000).events) == PAGE_LIMIT
    journal.append([event(i, stream="talkative", detail={"text": "x" * 300_000}) for i in range(10)])
    page = journal.page("talkative")
    assert len(page.events) == 4
    assert page.next == 5


def test_a_page_of_another_log_or_stream_says_so(journal):
    journal.append([event(1)])
    assert journal.page("mic", log="0190-old").error.startswith(
        f"unknown-log: this journal is {journal.log}, not 0190-old"
    )
    assert journal.page("cellar").error == "unknown-stream: no events of 'cellar' here, only of mic"


def test_a_reader_sees_each_commit_and_cannot_write(journal, path):
    reader = Reader(path)
    for i in range(1, 4):
        journal.append([event(i)])
        assert reader.head("mic") == i
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM events")
    reader.close()


def test_files_are_private(journal, path):
    journal.append([event(1)])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {f.name: stat.S_IMODE(f.stat().st_mode) for f in path.parent.iterdir()} == dict.fromkeys(
        ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.sqlite-lock"], 0o600
    )


def test_a_journal_that_was_open_to_others_becomes_private(path):
    Journal(path, "hut").close()
    path.chmod(0o644)
    Journal(path, "hut").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [b"not a database, but a letter\n" * 100, bytes(8192), b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["text", "zeros", "header"],
)
def test_a_damaged_file_is_set_aside_and_a_new_log_begins(path, caplog, damage):
    path.parent.mkdir()
    path.write_bytes(damage)
    journal = Journal(path, "hut")
    assert journal.append([event(1)])[0].seq == 1
    journal.close()
    (aside,) = path.parent.glob("journal.sqlite.aside-*")
    assert aside.read_bytes() == damage
    assert "set aside as" in caplog.text


def test_a_torn_journal_is_set_aside_with_what_it_held(path):
    journal = Journal(path, "hut")
    old_log = journal.log
    journal.append([event(i, detail={"text": "x" * 3000}) for i in range(50)])
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    journal = Journal(path, "hut")
    assert journal.log != old_log
    assert journal.head("mic") == 0
    journal.close()
    (aside,) = path.parent.glob("journal.sqlite.aside-*")
    assert aside.read_bytes() == whole[: len(whole) // 2]


def test_a_database_of_another_program_is_set_aside_whole(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
        other.execute("INSERT INTO bookmarks VALUES ('https://example.org')")
    other.close()
    Journal(path, "hut").close()
    (aside,) = path.parent.glob("journal.sqlite.aside-*")
    kept = sqlite3.connect(aside)
    assert kept.execute("SELECT url FROM bookmarks").fetchall() == [("https://example.org",)]
    kept.close()


def test_a_newer_schema_is_refused_and_left_alone(path):
    Journal(path, "hut").close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version=9")
    newer.close()
    with pytest.raises(JournalError, match="has schema 9, this Wheatear knows up to 1: install the newer version"):
        Journal(path, "hut")
    assert not list(path.parent.glob("*.aside-*"))


def test_two_writers_cannot_share_a_journal(journal, path):
    with pytest.raises(JournalError, match="is in use by another wheatear process"):
        Journal(path, "hut")
    assert journal.append([event(1)])[0].seq == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        JournalError,
        match=r"cannot write a journal in .*file: it is a file; make the folder writable or choose another one",
    ) as caught:
        Journal(tmp_path / "file" / "journal.sqlite", "hut")
    assert "\n" not in str(caught.value)


def test_a_read_only_folder_is_one_line():
    program = (
        "import os, sys; from pathlib import Path; from edge.publish.journal import Journal\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"  # root may write anywhere
        "Journal(Path(sys.argv[1]) / 'journal.sqlite', 'hut')"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
        assert list(Path(folder).iterdir()) == []
    assert done.stderr.strip().splitlines()[-1] == (
        f"edge.errors.JournalError: cannot write a journal in {folder}: Permission denied; "
        "make the folder writable or choose another one"
    )


def test_a_missing_journal_cannot_be_read(tmp_path):
    with pytest.raises(JournalError, match=r"cannot read the journal .*nowhere\.sqlite"):
        Reader(Path(tmp_path / "nowhere.sqlite"))


def test_a_commit_that_fails_changes_nothing(journal, path):
    journal.append([event(1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match=r"cannot write the journal .*database is locked"):
        journal.append([event(2)])
    other.execute("ROLLBACK")
    other.close()
    assert journal.head("mic") == 1
    journal.append([event(3)])
    assert [e.onset_sample for e in journal.page("mic").events] == [1, 3]
