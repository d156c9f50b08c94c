"""The wire: topics that no label can break, welcomes, heartbeats, and sockets that refuse politely."""

import re
import time

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import Event
from edge.errors import WireError
from edge.ids import slug
from edge.publish.zeromq import MAX_SUBSCRIPTIONS, Heartbeat, Publisher, frames, replay_endpoint, topic

LOOPBACK = "tcp://127.0.0.1:*"


def event(label="rain", stream="mic", device="hut", kind="begin", seq=1):
    return Event(
        log="L",
        seq=seq,
        stream=stream,
        id="e",
        device=device,
        epoch="e",
        type=kind,
        label=label,
        onset_sample=0,
        onset_s=0.0,
    )


@pytest.fixture
def publisher():
    one = Publisher(LOOPBACK, "hut")
    one.announce("mic", "L", 41)
    yield one
    one.close()


def serve(publisher, seconds):
    """Work as the outbox does, without heartbeats."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if publisher.socket.poll(20):
            publisher.serve()


def serve_till_heard(publisher, *ears):
    """Serve until a message waits at each of these."""
    end = time.monotonic() + 10
    while not all(one.socket.poll(0) for one in ears) and time.monotonic() < end:
        serve(publisher, 0.02)


def serve_until(publisher, count):
    """Serve until so many different subscriptions are accepted."""
    end = time.monotonic() + 10
    while len(publisher._holders) != count and time.monotonic() < end:
        serve(publisher, 0.02)
    assert len(publisher._holders) == count


def test_topic_of_an_event_and_of_a_heartbeat():
    assert topic(event("sea_waves")) == "wheatear.v1.hut.mic.begin.sea_waves."
    assert topic(event(None, kind="gap")) == "wheatear.v1.hut.mic.gap.-."
    beat = Heartbeat(log="L", device="Hut 7", stream="mic", last_seq=1, utc="")
    assert topic(beat) == "wheatear.v1.hut-7.mic.heartbeat.-."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sea Waves", "sea-waves"),
        ("rain.begin.*", "rain-begin"),
        ("wheatear.v1.evil.", "wheatear-v1-evil"),
        ("Érable à sucre", "erable-a-sucre"),
        ("\x1b[2J\x00rain\r\n", "2j-rain"),
        ("雨", "-"),
        ("", "-"),
        (None, "-"),
        ("x" * 300, "x" * 48),
    ],
)
def test_slugs(text, expected):
    assert slug(text) == expected


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_name_breaks_out_of_its_place_in_the_topic(device, stream, label):
    text = topic(event(label, stream, device))
    assert re.fullmatch(r"wheatear\.v1\.[a-z0-9_-]+\.[a-z0-9_-]+\.begin\.[a-z0-9_-]+\.", text)
    assert len(text.encode()) <= 255


def test_a_message_is_two_frames_topic_and_json():
    first, second = frames(event())
    assert first == b"wheatear.v1.hut.mic.begin.rain."
    assert second.startswith(b'{"v":1,"log":"L","stream":"mic","seq":1,')


def test_each_joiner_is_welcomed_before_any_event(publisher, ear):
    for last in (41, 42):
        joiner = ear(publisher.endpoint)
        serve_till_heard(publisher, joiner)
        publisher.send(event(seq=last + 1))
        name, welcome = joiner.next()
        assert name == "wheatear.v1.hut.mic.heartbeat.-."
        assert (welcome["last_seq"], welcome["log"], welcome["stream"], welcome["device"]) == (last, "L", "mic", "hut")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", welcome["utc"])
        assert joiner.events(1)[0]["seq"] == last + 1


def test_an_event_without_a_number_does_not_move_the_heartbeat(publisher, ear):
    publisher.send(event(seq=0))
    joiner = ear(publisher.endpoint)
    serve_till_heard(publisher, joiner)
    assert joiner.next()[1]["last_seq"] == 41


def test_topic_filters_work_for_those_who_want_them(publisher, ear):
    only_rain = ear(publisher.endpoint, b"wheatear.v1.hut.mic.begin.rain.")
    serve_until(publisher, 1)
    for label in ("rain", "rainstorm", "sea_waves", "rain"):
        publisher.send(event(label))
    assert [only_rain.next()[1]["label"] for _ in range(2)] == ["rain", "rain"]
    assert only_rain.next(0.2) is None


def test_subscriptions_that_are_too_long_or_too_many_are_ignored(publisher, ear):
    address = publisher.endpoint.removeprefix("tcp://")
    flood = [ear(f"tcp://127.0.0.{i}:0;{address}", b"x" * 256) for i in range(2, 7)]
    for i in range(MAX_SUBSCRIPTIONS + 50):
        flood[i % 5].socket.setsockopt(zmq.SUBSCRIBE, b"flood.%d" % i)
    serve_until(publisher, MAX_SUBSCRIPTIONS)
    serve(publisher, 0.2)
    assert len(publisher._holders) == MAX_SUBSCRIPTIONS
    assert max(map(len, publisher._holders)) < 256
    for one in flood:
        one.close()
    serve_until(publisher, 0)
    honest = ear(publisher.endpoint)
    serve_until(publisher, 1)
    publisher.send(event())
    assert honest.events(1)[0]["label"] == "rain"


def test_one_leaving_does_not_unsubscribe_the_others(publisher, ear):
    first, second = ear(publisher.endpoint), ear(publisher.endpoint)
    serve_till_heard(publisher, first, second)
    first.close()
    serve(publisher, 0.3)
    assert list(map(len, publisher._holders.values())) == [1]
    publisher.send(event())
    assert len(second.events(1)) == 1


def test_a_huge_message_from_a_subscriber_costs_it_the_connection_only(publisher, ear):
    honest = ear(publisher.endpoint)
    serve_until(publisher, 1)
    rude = ear(publisher.endpoint, b"y" * 100_000)
    serve(publisher, 0.3)
    rude.close()
    publisher.send(event())
    assert len(honest.events(1)) == 1


def test_an_occupied_port_is_one_line_that_says_what_to_do(publisher):
    with pytest.raises(WireError) as caught:
        Publisher(publisher.endpoint, "other")
    assert str(caught.value) == (
        f"cannot listen on {publisher.endpoint}: another program has it, perhaps a second `wheatear run`; "
        "stop that one or choose another port, such as --publish tcp://127.0.0.1:5566 (replay takes the port after it)"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:5990",
        "tcp://*:5990",
        "tcp://eth0:5990",
        "tcp://[::]:5990",
        "tcp://sensor.local:5990",
    ],
)
def test_the_network_is_refused_unless_allowed(endpoint):
    with pytest.raises(WireError, match=r"will not listen on .*: anyone on the network could follow"):
        Publisher(endpoint, "hut")


def test_the_network_is_possible_where_allowed():
    one = Publisher("tcp://0.0.0.0:*", "hut", allow_remote=True)
    assert one.endpoint.startswith("tcp://0.0.0.0:")
    one.close()


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:5990", "ipc:///nowhere/at/all"])
def test_an_impossible_endpoint_is_explained(endpoint):
    with pytest.raises(WireError, match=r"cannot listen on .*; expected an address of this machine"):
        Publisher(endpoint, "hut", allow_remote=True)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:99999", "tcp://127.0.0.1:0", "tcp://127.0.0.1", "hut:5556", ""])
def test_what_is_no_endpoint_is_refused(endpoint):
    with pytest.raises(WireError, match=r"is no endpoint: expected tcp://HOST:PORT with a port from 1 to 65535"):
        Publisher(endpoint, "hut")


def test_ipc_needs_no_leave(tmp_path, ear):
    one = Publisher(f"ipc://{tmp_path}/events", "hut")
    one.announce("mic", "L", 3)
    joiner = ear(one.endpoint)
    serve_until(one, 1)
    assert joiner.next()[1]["last_seq"] == 3
    one.close()


def test_the_replay_endpoint_stands_beside_the_publisher():
    assert replay_endpoint("tcp://[::1]:7000") == "tcp://[::1]:7001"
    with pytest.raises(WireError, match=r"no replay port can follow tcp://127.0.0.1:65535"):
        replay_endpoint("tcp://127.0.0.1:65535")
