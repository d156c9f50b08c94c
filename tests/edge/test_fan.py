"""The fan: every ring gets its channel, whole, from when it was added until it was removed."""

import threading

import numpy as np
import pytest

from edge.errors import SourceError
from edge.fan import Fan
from edge.ring import Ring


def frames(start, count):
    return np.stack([np.arange(start, start + count), -np.arange(start, start + count)], axis=1).astype(np.float32)


def test_rings_come_and_go_on_the_same_grid():
    fan = Fan((0, 1))
    first, second, again = Ring(100, 10), Ring(100, 10), Ring(100, 10)
    fan.add(first, 0)
    fan.begin("e")
    fan.write(frames(0, 10))
    fan.add(second, 1)
    fan.add(again, 0)
    fan.write(frames(10, 10))
    fan.begin("e", 25, lost=5)
    fan.write(frames(25, 5))
    fan.remove(again)
    fan.write(frames(30, 5))
    fan.close()
    blocks = [first.read(100, 0), first.read(100, 0)]
    assert [(b.start, b.gap, b.samples.tolist()) for b in blocks] == [
        (0, 0, list(range(20))),
        (25, 5, list(range(25, 35))),
    ]
    late = second.read(100, 0)
    assert (late.epoch, late.start, late.gap, late.samples.tolist()) == ("e", 10, 0, [-i for i in range(10, 20)])
    assert [again.read(100, 0).stop, again.read(100, 0).stop] == [20, 30]
    assert first.ended is again.ended is True


def test_closing_reaches_all_even_those_that_never_heard_anything():
    fan, rings = Fan(("mix",)), [Ring(10, 10) for _ in range(2)]
    fan.add(rings[0], "mix")
    fan.close(SourceError("gone"))
    fan.add(rings[1], "mix")
    assert fan.ended.is_set()
    for ring in rings:
        with pytest.raises(SourceError, match="gone"):
            ring.read(1, 0)


def test_adding_while_sound_flows_loses_nothing_for_anyone():
    fan, first, rings = Fan((0, 1)), Ring(400_000, 10), []
    fan.add(first, 0)
    fan.begin("e")
    done = threading.Event()

    def produce():
        for start in range(0, 300_000, 50):
            fan.write(frames(start, 50))
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    while not done.is_set() and len(rings) < 300:
        ring = Ring(400_000, 10)
        fan.add(ring, 1)
        rings.append(ring)
        if len(rings) % 2:
            fan.remove(ring)
    thread.join()
    fan.close()
    np.testing.assert_array_equal(first.read(400_000, 0).samples, np.arange(300_000, dtype=np.float32))
    for ring in rings[1::2]:
        block = ring.read(400_000, 0)
        if block is not None:
            np.testing.assert_array_equal(block.samples, -np.arange(block.start, 300_000, dtype=np.float32))
