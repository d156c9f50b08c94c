"""The subscriber on a wire whose every message the test chooses: losses, repetitions and nonsense."""

import itertools
import threading
import time

import msgspec
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import Event
from edge.client import Subscriber
from edge.publish.journal import LEASE
from edge.publish.reader import Page
from edge.publish.zeromq import Heartbeat, Publisher, frames


def take(events, count):
    """The next events, as many as come."""
    return list(itertools.islice(events, count))


def seqs(events):
    return [e.seq for e in events]


class Wire:
    """A publisher whose every message a test chooses, and a replay that answers what it is told."""

    def __init__(self, pages=None):
        self.context = zmq.Context()
        self.pub = self.context.socket(zmq.PUB)
        self.pub.bind("tcp://127.0.0.1:*")
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind("tcp://127.0.0.1:*")
        self.endpoint = self.pub.getsockopt_string(zmq.LAST_ENDPOINT)
        self.replay = self.router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.asked = []
        self.pages = pages
        self.thread = threading.Thread(target=self.answer)
        self.stopping = threading.Event()
        self.thread.start()

    def answer(self):
        while not self.stopping.is_set():
            if self.router.poll(20):
                *envelope, body = self.router.recv_multipart()
                request = msgspec.json.decode(body)
                self.asked.append((request["from"], request["limit"]))
                answer = self.pages(request)
                self.router.send_multipart(
                    [*envelope, answer if isinstance(answer, bytes) else msgspec.json.encode(answer)]
                )

    def subscriber(self, **options):
        events = Subscriber(self.endpoint, self.replay, timeout=0.05, **options)
        end = time.monotonic() + 10
        while not events.heard and time.monotonic() < end:
            self.pub.send_multipart([b"wheatear.v1.hello.", b"{}"])  # not understood, but heard
            assert take(events, 1) == []
        while take(events, 1):
            pass
        events.timeout = 0.3
        return events

    def send(self, *messages):
        for message in messages:
            self.pub.send_multipart(frames(message))

    def close(self):
        self.stopping.set()
        self.thread.join()
        self.context.destroy(linger=0)


@pytest.fixture
def wire():
    made = []

    def make(stored, **page):
        """Replay has these numbers."""

        def answer(request):
            start, limit = request["from"], request["limit"]
            events = [numbered(seq) for seq in sorted(stored) if seq >= start][:limit]
            head = max(stored, default=0)
            after = events[-1].seq + 1 if len(events) == limit else max(start, head + 1)
            return Page(**{"log": "L", "stream": "mic", "events": events, "next": after, "head": head} | page)

        made.append(Wire(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def numbered(seq, log="L", stream="mic", durable=True):
    return Event(
        log=log,
        seq=seq,
        stream=stream,
        id=f"e:rain:{seq}",
        device="hut",
        epoch="e",
        type="begin",
        label="rain",
        onset_sample=seq,
        onset_s=0.0,
        durable=durable,
    )


def beat(last, log="L", stream="mic"):
    return Heartbeat(log=log, device="hut", stream=stream, last_seq=last, utc="2026-05-01T00:00:00.000Z")


def test_duplicates_are_removed(wire):
    one = wire({1, 2, 3})
    with one.subscriber() as events:
        one.send(beat(0), numbered(1), numbered(1), numbered(2), numbered(1), numbered(2), numbered(3))
        assert seqs(events) == [1, 2, 3]
    assert one.asked == []


def test_a_hole_is_filled_by_replay_in_order(wire):
    one = wire(range(1, 8))
    with one.subscriber() as events:
        one.send(beat(0), numbered(1), numbered(5), numbered(6), numbered(3), numbered(7))
        assert seqs(events) == [1, 2, 3, 4, 5, 6, 7]
    assert one.asked == [(2, 3)]


def test_a_tail_that_was_lost_is_seen_by_the_heartbeat(wire):
    one = wire(range(1, 5))
    with one.subscriber() as events:
        one.send(beat(0), numbered(1), beat(4), beat(4))
        assert seqs(events) == [1, 2, 3, 4]
    assert one.asked == [(2, 3)]


def test_numbers_that_were_skipped_close_silently(wire):
    one = wire({1, 2, LEASE + 1, LEASE + 2, 2 * LEASE})
    with one.subscriber() as events:
        one.send(beat(0), numbered(1), numbered(LEASE + 2))
        assert seqs(events) == [1, 2, LEASE + 1, LEASE + 2]
        one.send(numbered(2 * LEASE))
        assert seqs(events) == [2 * LEASE]


def test_an_expired_range_is_told_and_the_rest_replayed(wire):
    one = wire(range(50, 61), oldest=50, error="expired: …")
    with one.subscriber(since=10) as events:
        one.send(beat(60))
        lost, *rest = events
    assert (lost.type, lost.seq, lost.detail) == ("lost", 0, {"from": 10, "to": 49})
    assert lost.reason == "events 10 to 49 of stream mic cannot be replayed: they have expired on the device"
    assert seqs(rest) == list(range(50, 61))


def test_what_the_journal_has_not_got_is_told(wire):
    one = wire(range(1, 4))
    with one.subscriber() as events:
        one.send(beat(0), numbered(1), numbered(7, durable=False))
        heard = list(events)
    assert [(e.type, e.seq) for e in heard] == [("begin", 1), ("begin", 2), ("begin", 3), ("lost", 0), ("begin", 7)]
    assert heard[3].detail == {"from": 4, "to": 6}


@pytest.mark.parametrize(
    "answer",
    [lambda request: b"\xffnonsense", lambda request: []],
    ids=["bytes", "list"],
)
def test_replay_that_talks_nonsense_is_a_loss_not_a_crash(wire, answer):
    one = wire(())
    one.pages = answer
    with one.subscriber() as events:
        one.send(beat(0), numbered(3))
        lost, event = events
    assert lost.reason.startswith(
        f"events 1 to 2 of stream mic cannot be replayed: what {one.replay} answers is no page"
    )
    assert event.seq == 3


def test_the_echo_of_a_question_is_no_answer(wire, monkeypatch):
    """A client that waits for a free port may be connected to itself: nothing is lost, it goes on waiting."""
    monkeypatch.setattr("edge.client.DOUBT_S", 0.0)
    one = wire(range(1, 4))
    pages, one.pages = one.pages, lambda request: request
    with one.subscriber() as events:
        one.send(beat(0), numbered(3))
        assert take(events, 1) == []
        one.pages = pages
        one.send(beat(3))
        assert seqs(take(events, 3)) == [1, 2, 3]


def test_nonsense_on_the_wire_is_left_out(wire, caplog):
    one = wire(())
    with one.subscriber() as events:
        one.send(beat(0))
        for body in (b"", b"\xff", b"[]", b'{"type":"begin"}', b'{"type":"heartbeat"}', b'{"type":7}'):
            one.pub.send_multipart([b"wheatear.v1.x.", body])
        one.send(numbered(1))
        assert seqs(events) == [1]
    assert caplog.text.count("a message was not understood and left out") >= 6


def test_an_event_without_a_number_comes_as_it_is(wire):
    one = wire(())
    with one.subscriber() as events:
        one.send(beat(4), numbered(0, durable=False), numbered(5))
        assert seqs(events) == [0, 5]


def test_a_new_log_is_heard_from_its_start(wire):
    one = wire(())
    one.pages = lambda request: Page(log="M", stream="mic", events=[numbered(s, "M") for s in (1, 2)], next=3, head=3)
    with one.subscriber() as events:
        one.send(beat(8), numbered(9), numbered(3, "M"), numbered(10), numbered(4, "M"))
        assert [(e.log, e.seq) for e in events] == [("L", 9), ("M", 1), ("M", 2), ("M", 3), ("L", 10), ("M", 4)]


def test_a_subscription_lost_between_anothers_nonsense_and_its_end_is_made_again(monkeypatch):
    monkeypatch.setattr("edge.client.SILENCE_S", 0.5)
    device = Publisher("tcp://127.0.0.1:*", "hut")
    device.announce("mic", "L", 0)
    rude = zmq.Context()
    talker = rude.socket(zmq.XSUB)
    talker.connect(device.endpoint)
    for message in (b"\x01elsewhere", b"nonsense"):
        talker.send(message)
    time.sleep(0.2)
    with Subscriber(device.endpoint, timeout=0.01) as events:
        time.sleep(0.2)  # all has arrived now, and nothing was served
        rude.destroy(linger=0)
        for _ in range(5):  # ZeroMQ takes the end in, step by step
            time.sleep(0.05)
            assert device.socket.poll(0)
        device.serve()
        device.send(numbered(1))
        assert take(events, 1) == []
        heard, end = [], time.monotonic() + 10
        while not heard and time.monotonic() < end:
            heard = take(events, 1)
            device.serve()
        assert seqs(heard) == [1]  # it sounds still
    device.close()


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_loss_and_repetition_on_the_wire_is_repaired(data):
    """Whatever the wire drops or repeats, the subscriber gives all that the journal has, once, in order."""
    stored = sorted(data.draw(st.sets(st.integers(1, 60), min_size=1, max_size=40), label="numbers in the journal"))
    since = data.draw(st.one_of(st.none(), st.integers(1, 60)), label="since")
    sent = data.draw(st.lists(st.sampled_from(stored), max_size=30), label="what arrives, besides the last")

    def answer(request):
        start, limit = request["from"], request["limit"]
        events = [numbered(seq) for seq in stored if seq >= start][:limit]
        after = events[-1].seq + 1 if len(events) == limit else max(start, stored[-1] + 1)
        return Page(log="L", stream="mic", events=events, next=after, head=stored[-1])

    wire = Wire(answer)
    try:
        with wire.subscriber(since=since) as events:
            wire.send(beat(0), *map(numbered, sorted(sent)), *map(numbered, sent), beat(stored[-1]))
            events.timeout = 0.1
            assert seqs(events) == [seq for seq in stored if seq >= (since or 1)]
    finally:
        wire.close()
