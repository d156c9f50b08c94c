"""kill -9 at random moments under load: what was seen is in the journal, no number comes twice, none is missed."""

import random
import subprocess
import sys
import threading
import time

import pytest

from bench.ports import free_ports
from edge.blocks import Event
from edge.client import Subscriber
from edge.publish.journal import Journal

CHILD = """
import sys, time
from pathlib import Path
from edge.blocks import Event
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.replay import ReplayServer
from edge.publish.zeromq import Publisher
path, port = Path(sys.argv[1]), int(sys.argv[2])
publisher = Publisher(f"tcp://127.0.0.1:{port}", "hut")
outbox = Outbox(Journal(path, "hut"), publisher, streams=["mic", "hive"], queue=200)
replay = ReplayServer(path, f"tcp://127.0.0.1:{port + 1}", requests=10_000)
print("up", flush=True)
i = 0
while True:
    event = Event(stream=("mic", "hive")[i % 2], id=f"e:rain:{i}", device="hut", epoch="e", type="gap", label="rain",
                  onset_sample=i, onset_s=0.0)
    time.sleep(0.0005 if outbox.submit(event) else 0.002)
    i += 1
"""


class Victim:
    """A device under load that is killed and started again."""

    def __init__(self, path, port, seen):
        self.command = [sys.executable, "-c", CHILD, str(path), str(port)]
        self.seen = seen

    def live(self, events, seconds=0.0):
        """From its start until it is killed: so many events were seen, and so many seconds have passed since."""
        child = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "up\n"
        wanted, end = len(self.seen) + events, time.monotonic() + 60
        while len(self.seen) < wanted and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(seconds)
        child.kill()
        child.wait()
        child.stdout.close()


class Follower(threading.Thread):
    """A client that stays over all deaths of the device."""

    def __init__(self, endpoint):
        super().__init__()
        self.events = Subscriber(endpoint, since=1, timeout=0.5)
        self.seen, self.stopping = [], threading.Event()

    def run(self):
        while not self.stopping.is_set():
            for event in self.events:
                self.seen.append(event)
                if self.stopping.is_set():
                    break
        self.events.close()


def read_all(journal):
    kept = {}
    for stream in journal.streams():
        cursor = 1
        while cursor <= journal.head(stream):
            page = journal.page(stream, journal.log, cursor)
            kept |= {(stream, event.seq): (event.id, event.log) for event in page.events}
            cursor = page.next
    return kept


def kill_often(folder, port, times, seed):
    """Kill, and compare what a plain listener and a following client had with what the journal has."""
    chance = random.Random(seed)
    path = folder / "journal.sqlite"
    endpoint = f"tcp://127.0.0.1:{port}"
    follower = Follower(endpoint)
    follower.start()
    victim = Victim(path, port, follower.seen)
    try:
        for _ in range(times):
            victim.live(chance.choice([0, chance.randint(1, 300)]), chance.uniform(0, 0.05))
        journal = Journal(path, "hut")
        kept = read_all(journal)
        heads = {stream: journal.head(stream) for stream in ("mic", "hive")}
        for stream, head in heads.items():
            gap = Event(stream=stream, id="x", device="hut", epoch="e", type="gap", onset_sample=0, onset_s=0.0)
            assert journal.append([gap])[0].seq > head  # no number is used again
        journal.close()
        end = time.monotonic() + 120  # the follower catches up with all that it missed
        while time.monotonic() < end and any(
            max((e.seq for e in follower.seen if e.stream == stream), default=0) < head
            for stream, head in heads.items()
        ):
            victim.live(100, 1.0)
    finally:
        follower.stopping.set()
        follower.join()
    return follower.seen, kept, path


def check(seen, kept, path):
    journal = Journal(path, "hut")
    now = read_all(journal)
    journal.close()
    assert [e for e in seen if e.type == "lost"] == []
    places = [(e.stream, e.seq) for e in seen]
    assert len(set(places)) == len(places)  # exactly once
    for stream in ("mic", "hive"):
        numbers = [seq for name, seq in places if name == stream]
        assert numbers == sorted(numbers)  # in order
        last = numbers[-1]
        assert numbers == [seq for name, seq in sorted(now) if name == stream and seq <= last]  # every one
    assert all(now[e.stream, e.seq] == (e.id, e.log) for e in seen)  # what anyone saw is in the journal
    assert kept.items() <= now.items()
    assert len(kept) > 100


def test_kill_9_at_random_moments(tmp_path):
    check(*kill_often(tmp_path, free_ports(), times=6, seed=7))


@pytest.mark.long
def test_kill_9_at_fifty_random_moments(tmp_path):
    check(*kill_often(tmp_path, free_ports(), times=50, seed=50))
