"""The outbox: journal first, then publish; a journal that fails delays nobody and loses nothing."""

import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from edge.blocks import Event
from edge.publish.journal import LEASE, Journal
from edge.publish.outbox import Outbox
from edge.publish.reader import Reader
from edge.publish.zeromq import Publisher

LOOPBACK = "tcp://127.0.0.1:*"


def event(i=0, stream="mic", **fields):
    return Event(
        stream=stream,
        id=f"e:rain:{i}",
        device="hut",
        epoch="e",
        type="begin",
        label="rain",
        onset_sample=i,
        onset_s=0.0,
        **fields,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def impatient(monkeypatch):
    """A failing journal is tried again at once."""
    monkeypatch.setattr("edge.publish.outbox.RETRY_S", 0.1)
    monkeypatch.setattr("edge.publish.outbox.HEARTBEAT_S", 0.1)


class Gate:
    """An on_published that notes events, and can hold the outbox up."""

    def __init__(self):
        self.events = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, event):
        self.events.append(event)
        self.entered.set()
        self.open.wait(10)

    def wait(self, count, seconds=10):
        end = time.monotonic() + seconds
        while len(self.events) < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.events


class Writer:
    """Another connection that holds the journal's write lock: every commit fails meanwhile."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, *exception):
        self.db.execute("ROLLBACK")
        self.db.close()


def test_events_are_in_the_journal_when_they_are_published(path):
    found = []
    reader_seen = []

    def check(published):
        reader = Reader(path)
        reader_seen.append(published in reader.page("mic").events)
        reader.close()
        found.append(published)

    with Outbox(Journal(path, "hut"), on_published=check) as outbox:
        for i in range(20):
            assert outbox.submit(event(i))
    assert [(e.seq, e.onset_sample, e.durable, e.log) for e in found] == [
        (i + 1, i, True, outbox.log) for i in range(20)
    ]
    assert reader_seen == [True] * 20


def test_two_late_joiners_hear_the_same_from_their_welcome_on(path, ear):
    publisher = Publisher(LOOPBACK, "hut")
    with Outbox(Journal(path, "hut"), publisher, streams=["mic"]) as outbox:
        first = ear(publisher.endpoint)
        assert first.welcome()[1]["last_seq"] == 0
        outbox.submit(event(1))
        assert [e["seq"] for e in first.events(1)] == [1]
        second = ear(publisher.endpoint)
        assert second.welcome()[1]["last_seq"] == 1
        for i in range(2, 102):
            outbox.submit(event(i))
        heard = first.events(100)
        assert [e["seq"] for e in heard] == list(range(2, 102))
        assert second.events(100) == heard


def test_heartbeats_come_every_second_without_any_event(path, ear):
    journal = Journal(path, "hut")
    journal.append([event(i) for i in range(7)])
    publisher = Publisher(LOOPBACK, "hut")
    with Outbox(journal, publisher) as outbox:
        one = ear(publisher.endpoint)
        one.welcome()
        beats = [one.next() for _ in range(2)]
        assert [(name, b["last_seq"], b["log"]) for name, b in beats] == [
            ("wheatear.v1.hut.mic.heartbeat.-.", 7, outbox.log)
        ] * 2


def test_close_delivers_what_was_submitted_before_it(path, ear):
    publisher = Publisher(LOOPBACK, "hut")
    outbox = Outbox(Journal(path, "hut"), publisher, streams=["mic"])
    one = ear(publisher.endpoint)
    one.welcome()
    for i in range(1000):
        outbox.submit(event(i))
    outbox.close()
    outbox.close()
    assert [e["seq"] for e in one.events(1000)] == list(range(1, 1001))
    assert not outbox.alive
    assert not outbox.submit(event())
    reader = Reader(path)
    assert reader.head("mic") == 1000
    reader.close()


def test_without_a_journal_events_go_out_undurable_in_a_log_of_their_own(ear):
    logs = set()
    for _ in range(2):
        gate = Gate()
        publisher = Publisher(LOOPBACK, "hut")
        with Outbox(None, publisher, streams=["mic"], on_published=gate) as outbox:
            one = ear(publisher.endpoint)
            one.welcome()
            for i in range(3):
                outbox.submit(event(i))
            assert [(e["seq"], e["durable"], e["log"]) for e in one.events(3)] == [
                (i, False, outbox.log) for i in (1, 2, 3)
            ]
        logs.add(outbox.log)
    assert len(logs) == 2


def test_a_journal_that_fails_delays_nobody_and_gets_everything_later(path, impatient):
    gate = Gate()
    with Outbox(Journal(path, "hut"), on_published=gate) as outbox:
        outbox.submit(event(0))
        gate.wait(1)
        with Writer(path):
            for i in range(1, 6):
                outbox.submit(event(i))
            failing = gate.wait(7)  # five events and the notice
            assert {e.durable for e in failing[1:]} == {False}
        working = gate.wait(8)
    rain = [e for e in gate.events if e.type == "begin"]
    assert [(e.seq, e.durable) for e in rain] == [(1, True)] + [(i, False) for i in range(2, 7)]
    health = [e for e in working if e.type == "health"]
    assert [e.detail["journal"] for e in health] == ["failing", "working"]
    assert health[0].reason.startswith("the journal fails, events go out with durable=false: cannot write the journal")
    assert health[1].reason == "the journal works again: 6 events committed late, 0 never"
    assert (health[1].durable, health[1].device, health[1].stream) == (True, "hut", "device")
    reader = Reader(path)
    stored = reader.page("mic").events
    reader.close()
    assert [(e.seq, e.id) for e in stored] == [(e.seq, e.id) for e in rain]


def test_what_waits_for_the_journal_is_bounded_and_the_loss_is_told(path, impatient):
    gate = Gate()
    with Outbox(Journal(path, "hut"), on_published=gate, queue=10) as outbox:
        outbox.submit(event(0))
        gate.wait(1)
        with Writer(path):
            for i in range(1, 31):
                outbox.submit(event(i))
                gate.wait(i + 2)  # with the notice
        end = time.monotonic() + 10
        while [e.detail["journal"] for e in gate.events if e.type == "health"][
            -1
        ] == "failing" and time.monotonic() < end:
            time.sleep(0.01)
    last = [e for e in gate.events if e.type == "health"][-1]
    assert (last.detail["late"], last.detail["never"]) == (10, 21)  # 30 events and one notice came while it failed
    reader = Reader(path)
    assert reader.head("mic") == 31
    reader.close()


def test_numbers_that_ran_out_are_not_invented(path):
    gate = Gate()
    with Outbox(Journal(path, "hut"), on_published=gate) as outbox:
        outbox.submit(event(0))
        gate.wait(1)
        with Writer(path):
            for i in range(1, 2 * LEASE):
                outbox.submit(event(i))
            gate.wait(2 * LEASE)
    seqs = [e.seq for e in gate.events if e.type == "begin"]
    numbered = [seq for seq in seqs if seq]
    assert numbered == list(range(1, len(numbered) + 1))
    assert LEASE // 2 <= len(numbered) < len(seqs)
    reader = Reader(path)
    assert reader.head("mic") == 2 * LEASE  # in the journal each got its number at last
    reader.close()


def test_a_full_queue_drops_counts_and_tells(path):
    gate = Gate()
    with Outbox(Journal(path, "hut"), on_published=gate, queue=5) as outbox:
        gate.open.clear()
        outbox.submit(event(0))
        assert gate.entered.wait(10)
        began = time.monotonic()
        taken = [outbox.submit(event(i)) for i in range(1, 9)]
        assert time.monotonic() - began < 5  # the outbox stands still, the producer does not
        gate.open.set()
    assert taken == [True] * 5 + [False] * 3
    (health,) = [e for e in gate.events if e.type == "health"]
    assert health.reason == "3 events were lost: the outbox was full (5 waiting)"
    assert health.detail == {"lost": 3}
    assert len([e for e in gate.events if e.type == "begin"]) == 6


def test_a_listener_that_fails_silences_nobody(path, caplog):
    heard = []

    def careless(published):
        heard.append(published.seq)
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR), Outbox(Journal(path, "hut"), on_published=careless) as outbox:
        for i in range(3):
            outbox.submit(event(i))
    assert heard == [1, 2, 3]
    assert caplog.text.count("on_published failed for event e:rain:") == 3


def test_an_event_without_json_fails_where_it_was_made(path):
    with Outbox(Journal(path, "hut")) as outbox:
        with pytest.raises(TypeError, match="unsupported"):
            outbox.submit(event(detail={"thing": object()}))
        assert outbox.alive


def test_retention_is_kept_in_operation(path):
    with Outbox(Journal(path, "hut"), keep=100) as outbox:
        for i in range(2500):
            outbox.submit(event(i))
    reader = Reader(path)
    oldest = reader.oldest("mic")
    assert reader.head("mic") == 2500
    assert oldest > 2500 - 100 - 1000
    assert reader.page("mic", start=oldest).events[0].seq == oldest
    assert reader.page("mic", start=1).error.startswith("expired")
    reader.close()


def test_many_threads_submit_and_nothing_is_lost_or_doubled(path):
    with Outbox(Journal(path, "hut")) as outbox:

        def produce(stream):
            for i in range(500):
                outbox.submit(event(i, stream))

        threads = [threading.Thread(target=produce, args=(f"s{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    reader = Reader(path)
    for n in range(4):
        assert [(e.seq, e.onset_sample) for e in reader.page(f"s{n}").events] == [(i + 1, i) for i in range(500)]
    reader.close()


FULL_DISK = """
import json, resource, signal, sys, time
from pathlib import Path
from edge.blocks import Event
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, seen = Path(sys.argv[1]), []
def event(i):
    return Event(stream="mic", id=f"e:rain:{i}", device="hut", epoch="e", type="begin", label="rain", onset_sample=i,
                 onset_s=0.0, detail={"text": "x" * 4000})
def wait(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
outbox = Outbox(Journal(path, "hut"), on_published=seen.append)
outbox.submit(event(0))
wait(lambda: seen)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
for i in range(1, 101):
    outbox.submit(event(i))
    wait(lambda: any(e.onset_sample == i for e in seen))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
wait(lambda: any("works again" in (e.reason or "") for e in seen))
outbox.close()
print(json.dumps([[e.type, e.seq, e.durable] for e in seen]))
"""


def test_a_full_disk_loses_nothing_and_ends(path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=60)
    seen = json.loads(done.stdout)
    rain = [(seq, durable) for kind, seq, durable in seen if kind == "begin"]
    assert [seq for seq, _ in rain] == list(range(1, 102))
    assert [durable for _, durable in rain] == sorted((durable for _, durable in rain), reverse=True)
    assert rain[-1][1] is False
    assert [kind for kind, _, _ in seen].count("health") == 2
    reader = Reader(path)
    assert [e.seq for e in reader.page("mic").events] == list(range(1, 102))
    reader.close()
