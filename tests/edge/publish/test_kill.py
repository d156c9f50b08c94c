"""kill -9 in mid-stream: what anyone saw is in the journal, and no number comes twice."""

import subprocess
import sys

from edge.blocks import Event
from edge.publish.journal import Journal

CHILD = """
import sys, time
from pathlib import Path
from edge.blocks import Event
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.zeromq import Publisher
publisher = Publisher("tcp://127.0.0.1:*", "hut")
outbox = Outbox(Journal(Path(sys.argv[1]), "hut"), publisher, streams=["mic", "hive"], queue=200)
print(publisher.endpoint, flush=True)
i = 0
while True:
    event = Event(stream=("mic", "hive")[i % 2], id=f"e:rain:{i}", device="hut", epoch="e", type="begin", label="rain",
                  onset_sample=i, onset_s=0.0)
    time.sleep(0 if outbox.submit(event) else 0.001)
    i += 1
"""


def run_and_kill(path, ear, count):
    """What a subscriber heard of a process that was killed after it had heard so many events."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
    one = ear(child.stdout.readline().strip())
    heard = one.events(count)
    child.kill()
    child.wait()
    child.stdout.close()
    heard += one.events(1_000_000, seconds=0.3)  # what was on its way when the process died
    one.close()
    return heard


def read_all(journal):
    kept = {}
    for stream in journal.streams():
        cursor = 1
        while cursor <= journal.head(stream):
            page = journal.page(stream, journal.log, cursor)
            kept |= {(stream, event.seq): (event.id, event.log) for event in page.events}
            cursor = page.next
    return kept


def test_kill_9_while_publishing(tmp_path, ear):
    path = tmp_path / "journal.sqlite"
    seen = {}
    for count in (100, 400, 700):
        heard = run_and_kill(path, ear, count)
        assert len(heard) >= count
        for event in heard:
            place = event["stream"], event["seq"]
            assert event["durable"] is True
            assert place not in seen
            seen[place] = event["id"], event["log"]
    journal = Journal(path, "hut")
    kept = read_all(journal)
    assert seen.items() <= kept.items()
    for stream in ("mic", "hive"):
        last = max(seq for name, seq in kept if name == stream)
        gap = Event(stream=stream, id="x", device="hut", epoch="e", type="gap", onset_sample=0, onset_s=0.0)
        assert journal.append([gap])[0].seq > last
    journal.close()
