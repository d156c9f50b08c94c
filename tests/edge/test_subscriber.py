"""The subscriber beside a real device: every event once, in order, from any cursor, over kills and restarts."""

import itertools
import time

import pytest

from edge.client import Cursor, Subscriber
from edge.errors import WireError
from edge.publish.journal import Journal
from edge.publish.reader import Reader


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
