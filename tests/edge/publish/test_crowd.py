"""Subscribers that stop reading, and many that come and go: nothing upstream is lost, and memory stays bounded."""

import socket
import subprocess
import sys
import time

import zmq

from edge.blocks import Event
from edge.publish.board import Board
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.replay import Rates
from edge.publish.zeromq import Publisher
from edge.status import rss_bytes

STUCK = """
import sys, time, zmq
context = zmq.Context()
one = context.socket(zmq.SUB)
one.setsockopt(zmq.RCVHWM, 1)
one.setsockopt(zmq.SUBSCRIBE, b"")
one.connect(sys.argv[1])
one.poll(30000)
print("stuck", flush=True)
time.sleep(600)
"""


def event(i, size=1000):
    return Event(
        stream="mic",
        id=f"e:rain:{i}",
        device="hut",
        epoch="e",
        type="gap",
        onset_sample=i,
        onset_s=0.0,
        detail={"text": "x" * size},
    )


def wait_published(outbox, count, seconds=120):
    end = time.monotonic() + seconds
    while outbox.board.status.published < count and time.monotonic() < end:
        time.sleep(0.005)
    assert outbox.board.status.published >= count


def test_one_that_stops_reading_and_a_hundred_that_come_and_go(tmp_path, ear):
    count, hwm = 6000, 100
    publisher = Publisher("tcp://127.0.0.1:*", "hut", queue=hwm)
    stuck = subprocess.Popen([sys.executable, "-c", STUCK, publisher.endpoint], stdout=subprocess.PIPE, text=True)
    context, staying = zmq.Context(), []
    with Outbox(Journal(tmp_path / "journal.sqlite", "hut"), publisher, streams=["mic"]) as outbox:
        assert stuck.stdout.readline() == "stuck\n"
        submitted = 0
        for turn in range(100):
            guest = context.socket(zmq.SUB)
            guest.setsockopt(zmq.RCVHWM, hwm)  # its queue lies in this process too
            guest.setsockopt(zmq.SUBSCRIBE, b"wheatear.v1.")
            guest.connect(publisher.endpoint)
            for _ in range(count // 100):
                assert outbox.submit(event(submitted))
                submitted += 1
            wait_published(outbox, submitted)
            if turn % 3:
                guest.close(linger=0)
            else:
                staying.append(guest)
            if turn == 20:
                before = rss_bytes()
        growth = rss_bytes() - before
        assert outbox.board.status.dropped == {}
        assert outbox.board.status.durable is True
        honest = ear(publisher.endpoint)
        assert honest.welcome()[1]["last_seq"] == count
    for guest in staying:
        guest.close(linger=0)
    context.term()
    stuck.kill()
    stuck.wait()
    stuck.stdout.close()
    # 33 guests that never read hold at most a queue each, here and in the kernel's buffers
    assert growth < 35 * (2 * hwm) * 1500 + (24 << 20)


def test_a_storm_of_subscriptions_is_not_a_storm_of_heartbeats(ear):
    """Whoever subscribes a thousand times makes fifty welcomes a second at most."""
    publisher = Publisher("tcp://127.0.0.1:*", "hut")
    with Outbox(None, publisher, streams=["mic"]):
        witness = ear(publisher.endpoint)
        witness.welcome()
        rude = ear(publisher.endpoint)
        began = time.monotonic()
        for i in range(500):
            rude.socket.setsockopt(zmq.SUBSCRIBE, b"wheatear.v1.%d" % i)
            time.sleep(0.001)
        seconds = time.monotonic() - began + 1
        beats = 0
        while witness.next(0.9):
            beats += 1
            if time.monotonic() - began > seconds + 2:
                break
        assert beats <= 51 * (time.monotonic() - began)


def test_the_subscriptions_of_one_client_are_capped_and_counted(ear):
    board = Board()
    publisher = Publisher("tcp://127.0.0.1:*", "hut", board=board, subscriptions=10)
    with Outbox(None, publisher, streams=["mic"], board=board):
        address = publisher.endpoint.removeprefix("tcp://")
        greedy = ear(f"tcp://127.0.0.9:0;{address}")
        for i in range(50):
            greedy.socket.setsockopt(zmq.SUBSCRIBE, b"wheatear.v1.%d" % i)
        end = time.monotonic() + 60
        while board.status.refused < 41 and time.monotonic() < end:
            time.sleep(0.01)
        assert (board.status.refused, board.status.peers) == (41, 10)
        other = ear(publisher.endpoint)
        assert other.welcome()[1]["type"] == "heartbeat"
        greedy.close()
        while board.status.peers > 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert board.status.peers == 1


def test_requests_of_one_client_are_limited_and_others_are_not(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("edge.publish.replay.time.monotonic", lambda: now[0])
    rates = Rates(10)
    assert [rates.allows("greedy") for _ in range(30)] == [True] * 20 + [False] * 10
    assert rates.allows("modest")
    now[0] += 0.5
    assert [rates.allows("greedy") for _ in range(10)] == [True] * 5 + [False] * 5
    for i in range(5000):
        rates.allows(str(i))
    assert len(rates._buckets) == 1000


def test_half_open_connections_hold_nobody_up(ear):
    publisher = Publisher("tcp://127.0.0.1:*", "hut")
    host, port = publisher.endpoint.removeprefix("tcp://").split(":")
    with Outbox(None, publisher, streams=["mic"]) as outbox:
        mute = [socket.create_connection((host, int(port)), 10) for _ in range(100)]
        one = ear(publisher.endpoint)
        assert one.welcome()[1]["type"] == "heartbeat"
        outbox.submit(event(1))
        assert one.events(1)[0]["onset_sample"] == 1
        for connection in mute:
            connection.close()
