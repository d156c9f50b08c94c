"""Sound in a pipe: what is left there until a chunk of it has come, and when it is fetched."""

import os
import socket
import threading
import time

import pytest

from edge.sources.doze import Doze

RATE, BYTES = 16_000, 2


class Sleeps(threading.Event):
    """Notes for how long it was waited for, and waits no time."""

    def __init__(self):
        super().__init__()
        self.slept = []

    def wait(self, timeout=None):
        self.slept.append(round(timeout, 6))
        return False


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends[0]
    for end in ends:
        os.close(end)


def test_it_sleeps_for_what_a_chunk_still_lacks(pipe):
    stop = Sleeps()
    doze = Doze(pipe, BYTES, RATE, 0.1, stop)
    for frames in (1600, 1280, 320, 1700):
        doze.sleep()
        doze.took(frames)
    # A whole chunk, again one; of the third a fifth is late, which is waited for by the read; then a new one.
    assert stop.slept == [0.1, 0.1, 0.1]


def test_a_chunk_that_comes_in_halves_is_slept_for_twice(pipe):
    stop = Sleeps()
    doze = Doze(pipe, BYTES, RATE, 0.1, stop)
    doze.sleep()
    doze.took(800)
    doze.sleep()
    assert stop.slept == [0.1, 0.05]


def test_no_more_piles_up_than_half_of_what_the_pipe_holds(pipe):
    stop = Sleeps()
    Doze(pipe, 64 * BYTES, RATE, 2.0, stop).sleep()  # 64 channels: 2 MB a second, into 64 KiB
    assert 0 < stop.slept[0] <= 65_536 / 2 / (64 * BYTES) / RATE


def test_without_a_chunk_or_a_pipe_no_time_is_slept(pipe):
    stop = Sleeps()
    left, right = socket.socketpair()
    with left, right:
        for fd, seconds in ((pipe, 0.0), (left.fileno(), 0.1)):
            doze = Doze(fd, BYTES, RATE, seconds, stop)
            doze.sleep()
            doze.took(100)
            doze.sleep()
    assert stop.slept == []


def test_a_stop_ends_the_sleep(pipe):
    stop = threading.Event()
    stop.set()
    began = time.monotonic()
    Doze(pipe, BYTES, RATE, 1.0, stop).sleep()
    assert time.monotonic() - began < 0.9
