"""Gates and hours: decided on the epoch's own grid, whatever the blocks."""

import doctest
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import AudioBlock
from edge.config import Schedule
from edge.supervise import hours
from edge.supervise.gate import Gate, louder_than
from edge.supervise.hours import is_on

RATE = 100  # frames of 10 samples
SOUND = np.zeros(400, np.float32)
SOUND[100:110] = SOUND[250:260] = 0.5


def through(cuts, start=0, hold=0.5, pre_roll=0.3):
    """Samples that pass, by index, and where the gate closes."""
    gate, passed, closed = Gate(RATE, louder_than(-20), hold, pre_roll), [], []
    edges = [0, *sorted(cuts), len(SOUND)]
    blocks = [AudioBlock("e", start + a, RATE, SOUND[a:b]) for a, b in pairwise(edges)]
    for out in [o for block in blocks for o in gate.push(block)] + list(gate.flush()):
        if out is None:
            closed.append(passed[-1] + 1)
        else:
            assert len(out.samples)
            np.testing.assert_array_equal(out.samples, SOUND[out.start - start : out.stop - start])
            passed += range(out.start, out.stop)
    return passed, closed


def test_the_gate_opens_with_its_pre_roll_and_holds():
    passed, closed = through([])
    assert passed == [*range(70, 160), *range(220, 310)]
    assert closed == [160, 310]


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=20))
def test_any_chunking_gives_the_same(cuts):
    assert through(cuts) == through([])


def test_the_grid_is_the_epochs_not_the_pieces():
    passed, closed = through([], start=1003)
    assert closed == [1170, 1320]  # 100 … 110 of the piece lie in frames 1100 and 1110
    assert passed[0] == 1070


def test_a_loss_closes_and_forgets():
    gate = Gate(RATE, louder_than(-20), 10, 10)
    assert [block.start for block in gate.push(AudioBlock("e", 0, RATE, SOUND[:200]))] == [0]
    gate.reset()
    assert not gate.open
    assert list(gate.push(AudioBlock("f", 500, RATE, SOUND[:50]))) == []
    assert [b.start for b in gate.push(AudioBlock("f", 550, RATE, SOUND[50:120]))] == [500]


def test_the_hours_of_the_docstring():
    assert doctest.testmod(hours).failed == 0


MIDNIGHT = 1_777_593_600  # Friday, 2026-05-01 00:00 UTC


@pytest.mark.parametrize(
    ("schedule", "on"),
    [
        ([], range(24)),
        ([Schedule()], range(24)),
        ([Schedule(start="04:00", stop="07:00")], range(4, 7)),
        ([Schedule(start="04:00", stop="07:00", days=("sat",))], []),
        ([Schedule(start="22:00", stop="02:00")], [0, 1, 22, 23]),
        ([Schedule(start="22:00", stop="02:00", days=("thu",))], [0, 1]),
        ([Schedule(start="22:00", stop="02:00", days=("fri",))], [22, 23]),
        ([Schedule(start="00:00", stop="03:00", timezone="Europe/Berlin")], [0, 22, 23]),
        ([Schedule(start="01:00", stop="02:00"), Schedule(start="05:00", stop="06:00")], [1, 5]),
    ],
)
def test_hours(schedule, on):
    schedule = [Schedule(s.start, s.stop, s.days, s.timezone or "UTC") for s in schedule]
    got = [hour for hour in range(24) if is_on(schedule, (MIDNIGHT + hour * 3600) * 10**9)]
    assert got == list(on)


def test_summer_time_is_the_zones():
    dawn = [Schedule(start="04:00", stop="05:00", timezone="Europe/Berlin")]
    winter, summer = 1_767_236_400, 1_782_871_200  # 2026-01-01 03:00 and 2026-07-01 02:00 UTC
    assert is_on(dawn, winter * 10**9)
    assert is_on(dawn, summer * 10**9)
    assert not is_on(dawn, (summer + 3600) * 10**9)
