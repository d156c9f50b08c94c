"""The subscriber: every event once, in order, from any cursor, over kills, restarts and losses."""

import itertools
import threading
import time

import msgspec
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import Event
from edge.client import Cursor, Subscriber
from edge.errors import WireError
from edge.publish.journal import LEASE, Journal
from edge.publish.reader import Page, Reader
from edge.publish.zeromq import Heartbeat, Publisher, frames


def take(events, count):
    """The next events, as many as come."""
    return list(itertools.islice(events, count))


def seqs(events):
    return [e.seq for e in events]


def listening(device, **options):
    """A subscriber that has been welcomed: from here on nothing passes it by."""
    events = Subscriber(device.endpoint, timeout=0.05, **options)
    end = time.monotonic() + 10
    while not events.heard and time.monotonic() < end:
        assert take(events, 1) == []
    assert events.heard
    events.timeout = 5.0
    return events


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


def test_five_lines_are_enough(device):
    device.start()
    heard = []
    with Subscriber(device.endpoint, since=1, timeout=3) as events:
        device.hear("rain", "sea_waves")
        for event in events:
            heard.append((event.label, event.seq, event.durable))
            if len(heard) == 2:
                break
    assert heard == [("rain", 1, True), ("sea_waves", 2, True)]


def test_two_late_joiners_hear_what_comes_after_them(device):
    device.start()
    with listening(device) as first:
        device.hear("a", "b", kind="end")
        assert seqs(take(first, 2)) == [1, 2]
        with listening(device) as second:
            device.hear("c", "d", kind="end")
            assert seqs(take(second, 2)) == seqs(take(first, 2)) == [3, 4]


def test_a_newcomer_is_told_what_sounds_and_nobody_hears_it_twice(device):
    device.start()
    with listening(device) as first:
        device.hear("rain", "wind", "sea")
        device.hear("wind", kind="end")
        assert seqs(take(first, 4)) == [1, 2, 3, 4]
        for _ in range(2):
            with Subscriber(device.endpoint, timeout=10) as late:
                known = take(late, 2)
                assert [(e.label, e.seq, e.type, e.retained) for e in known] == [
                    ("rain", 1, "begin", True),
                    ("sea", 3, "begin", True),
                ]
                device.hear("rain", kind="gap")
                assert seqs(take(late, 1)) == seqs(take(first, 1))  # the first heard the repetition, and dropped it
        with Subscriber(device.endpoint, since=1, timeout=10) as historian:
            assert seqs(take(historian, 6)) == [1, 2, 3, 4, 5, 6]
            device.hear("rain", "sea", kind="end")
            assert seqs(take(historian, 2)) == [7, 8]
        with listening(device) as last:
            device.hear("owl")
            assert seqs(take(last, 1)) == [9]  # nothing was open any more


def test_a_late_joiner_with_a_cursor_hears_the_past_and_then_the_present(device):
    device.start()
    device.hear(*"abcdefg")
    with Subscriber(device.endpoint, since=3, timeout=5) as events:
        assert seqs(take(events, 5)) == [3, 4, 5, 6, 7]
        device.hear("h")
        assert seqs(take(events, 1)) == [8]


def test_a_subscriber_may_start_before_the_publisher(device):
    with Subscriber(device.endpoint, since=1, timeout=10) as events:
        assert not events.heard
        device.start()
        device.hear("rain", "wind")
        assert [e.label for e in take(events, 2)] == ["rain", "wind"]


def test_the_cursor_after_an_event_goes_on_there(device):
    device.start()
    device.hear(*"abcd")
    with Subscriber(device.endpoint, since=1, timeout=5) as events:
        second = take(events, 2)[-1]
    with Subscriber(device.endpoint, since=Cursor.after(second), timeout=5) as events:
        assert seqs(take(events, 2)) == [3, 4]


def test_more_than_a_page_is_replayed(device):
    device.start()
    device.hear(*map(str, range(1200)))
    with Subscriber(device.endpoint, since=1, timeout=5) as events:
        assert [e.label for e in take(events, 1200)] == list(map(str, range(1200)))


def test_streams_are_counted_and_replayed_each_for_itself(device):
    device.start(streams=("mic", "hive"))
    device.hear("a", "b", stream="mic")
    device.hear("c", stream="hive")
    with Subscriber(device.endpoint, since=1, timeout=2) as events:
        heard = take(events, 3)
    assert sorted((e.stream, e.seq) for e in heard) == [("hive", 1), ("mic", 1), ("mic", 2)]
    with Subscriber(device.endpoint, since=1, timeout=1.0, stream="hive") as events:
        assert [e.label for e in events] == ["c"]


def test_a_cursor_of_one_stream_leaves_the_others_live(device):
    device.start(streams=("mic", "hive"))
    device.hear("a", stream="mic")
    device.hear("b", stream="hive")
    with Subscriber(device.endpoint, since=Cursor(1, "hive"), timeout=1.0) as events:
        assert [e.label for e in events] == ["b"]


def test_labels_choose_and_what_has_no_label_always_comes(device):
    device.start()
    with listening(device, labels=["rain"]) as events:
        device.hear("rain", "wind", "rain", None, "wind", "rain")
        assert [(e.label, e.seq) for e in take(events, 4)] == [("rain", 1), ("rain", 3), (None, 4), ("rain", 6)]


def test_timeout_ends_the_iteration_and_it_may_go_on(device):
    device.start()
    with listening(device) as events:
        events.timeout = 0.1
        assert list(events) == []
        device.hear("rain")
        events.timeout = 5
        assert seqs(take(events, 1)) == [1]


def test_a_cursor_in_the_future_waits_for_its_number(device, caplog):
    device.start()
    device.hear("a")
    with listening(device, since=4) as events:
        device.hear(*"bcde")
        assert seqs(take(events, 2)) == [4, 5]
    assert "what comes before 4 is left out" in caplog.text


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


def test_expiry_on_a_real_device(device):
    device.start()
    device.hear(*map(str, range(20)))
    device.stop()
    journal = Journal(device.path, "hut")
    journal.prune(5)
    journal.close()
    device.start()
    with Subscriber(device.endpoint, since=1, timeout=1.0) as events:
        lost, *rest = events
    assert lost.detail == {"from": 1, "to": 15}
    assert seqs(rest) == [16, 17, 18, 19, 20]


def test_what_the_journal_has_not_got_is_told(wire):
    one = wire(range(1, 4))
    with one.subscriber() as events:
        one.send(beat(0), numbered(1), numbered(7, durable=False))
        heard = list(events)
    assert [(e.type, e.seq) for e in heard] == [("begin", 1), ("begin", 2), ("begin", 3), ("lost", 0), ("begin", 7)]
    assert heard[3].detail == {"from": 4, "to": 6}


def test_a_hole_without_replay_is_told_and_the_stream_goes_on(device, monkeypatch):
    monkeypatch.setattr("edge.client.REPLAY_TIMEOUT_S", 0.1)
    monkeypatch.setattr("edge.client.DOUBT_S", 0.1)
    device.start(journal=False, replay=False)
    with listening(device) as events:
        device.hear("a", "b")
        take(events, 2)
    with Subscriber(device.endpoint, since=1, timeout=20) as events:
        (lost,) = take(events, 1)
        device.hear("c")
        (event,) = take(events, 1)
    assert lost.detail == {"from": 1, "to": 2}
    assert lost.reason.endswith(f"tcp://127.0.0.1:{device.port + 1} does not answer")
    assert (event.label, event.seq, event.durable) == ("c", 3, False)


def test_a_device_that_dies_while_it_is_asked_has_lost_nothing(device, monkeypatch):
    monkeypatch.setattr("edge.client.REPLAY_TIMEOUT_S", 0.1)
    device.start()
    device.hear(*"abc", kind="gap")
    device.server.close()
    device.server = None
    with Subscriber(device.endpoint, since=1, timeout=1.5) as events:
        assert take(events, 1) == []  # it is heard, and does not answer
        assert events.heard
        device.hear("d", kind="gap")
        device.stop()
        assert take(events, 1) == []
        device.start()
        device.hear("e", kind="gap")
        events.timeout = 20
        assert seqs(take(events, 5)) == [1, 2, 3, 4, 5]


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


def test_a_cursor_of_a_log_that_is_gone_is_told(device):
    device.start()
    device.hear("a", "b")
    with Subscriber(device.endpoint, since=Cursor(41, "mic", "0190-gone"), timeout=1.0) as events:
        lost, *rest = events
    assert lost.type == "lost"
    assert "events from 41 on of stream mic cannot be replayed: log 0190-gone was set aside" in lost.reason
    assert seqs(rest) == [1, 2]


def test_a_restart_of_the_device_is_followed(device):
    device.start()
    with listening(device) as events:
        device.hear("a")
        assert seqs(take(events, 1)) == [1]
        device.stop()
        device.start()
        device.hear("b", "c")
        events.timeout = 10
        assert [(e.label, e.seq) for e in take(events, 2)] == [("b", 2), ("c", 3)]


def test_a_journal_set_aside_between_is_followed_into_the_new_log(device):
    device.start()
    with listening(device) as events:
        device.hear("a")
        take(events, 1)
        device.stop()
        device.path.write_bytes(b"damage" * 1000)
        device.start()
        device.hear("b")
        device.hear("c")
        events.timeout = 10
        heard = take(events, 2)
    assert [(e.label, e.seq) for e in heard] == [("b", 1), ("c", 2)]


def test_a_slow_subscriber_loses_nothing(device, make_event, monkeypatch):
    monkeypatch.setattr("edge.publish.zeromq.SEND_QUEUE", 50)
    monkeypatch.setattr("edge.client.RECEIVE_QUEUE", 50)
    count = 1500  # of 10 kB each: more than queues and TCP buffers hold together
    device.start()
    with listening(device) as events:
        for i in range(count):
            device.outbox.submit(make_event(f"event {i}", detail={"text": "x" * 10_000}))
        reader = Reader(device.path)
        while reader.head("mic") < count:
            time.sleep(0.01)
        reader.close()
        asked = []
        monkeypatch.setattr(events, "_ask", lambda *question: asked.append(1) or Subscriber._ask(events, *question))
        heard = take(events, count)
    assert [(e.seq, e.label) for e in heard] == [(i + 1, f"event {i}") for i in range(count)]
    assert asked  # the wire did lose some


def test_silence_is_told_once_and_so_is_its_end(device, caplog, monkeypatch):
    monkeypatch.setattr("edge.client.SILENCE_S", 0.2)
    with Subscriber(device.endpoint, since=1, timeout=1) as events:
        assert list(events) == []
        assert caplog.messages == [
            f"nothing heard from {device.endpoint} for 0.2 s: is `wheatear run` up there? waiting"
        ]
        device.start()
        device.hear("rain")
        events.timeout = 5
        assert [e.label for e in take(events, 1)] == ["rain"]


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


def test_endpoints_that_are_none_are_refused():
    with pytest.raises(WireError, match="'nowhere' is no endpoint"):
        Subscriber("nowhere")
    with pytest.raises(WireError, match="no replay port can follow"):
        Subscriber("tcp://127.0.0.1:65535")
    with pytest.raises(WireError, match=r"cannot connect to 'tcp://127\.0\.0\.1:\*'"):
        Subscriber("tcp://127.0.0.1:*")


def test_one_label_may_be_given_as_text_and_close_twice_does_nothing(device):
    device.start()
    events = listening(device, labels="rain")
    device.hear("r", "rain")
    assert [e.label for e in take(events, 1)] == ["rain"]
    events.close()
    events.close()
