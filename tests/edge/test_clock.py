"""Sample clock: the truth lies below all stamps, and within the stated uncertainty."""

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import ENOUGH, FLOOR_NS, ManualClock, SampleClock, Stamp, SystemClock, envelope, lower_hull
from edge.ids import uuid7

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def callbacks(clock, rate, seconds, drift, *, seed=0, block=0.1, lateness=0.005):
    """Stamp `seconds` of callbacks of a card whose crystal is off by `drift`; return UTC of a sample, the truth."""

    def truth(sample):
        return START + round(sample * SECOND / (rate * (1 + drift)))

    rng = np.random.default_rng(seed)
    step = int(rate * block)
    for sample in range(step, int(seconds * rate), step):
        late = rng.exponential(lateness) + (0.3 if rng.random() < 0.02 else 0)  # and now and then a busy system
        clock.stamp(sample, truth(sample) + round(late * SECOND))
    return truth


@pytest.mark.parametrize("drift", [0, 80e-6, -120e-6])
@pytest.mark.parametrize("seconds", [0.5, 5, 60, 900])
def test_truth_lies_within_the_uncertainty(drift, seconds):
    clock = SampleClock(48000)
    truth = callbacks(clock, 48000, seconds, drift)
    for back in (0, 0.1, 1, 4, 40):  # seconds before the newest sample
        sample = int(max(seconds - back, 0) * 48000)
        utc, uncertainty = clock.utc_ns(sample)
        assert abs(utc - truth(sample)) <= uncertainty
        assert uncertainty < 40_000_000


def test_a_minute_of_stamps_measures_the_crystal():
    clock = SampleClock(48000)
    truth = callbacks(clock, 48000, 60, 80e-6)
    sample = 59 * 48000
    assert abs(clock.utc_ns(sample)[0] - truth(sample)) < 1_000_000  # without the fit: 80e-6 · 59 s = 4.7 ms
    hour = 3600 * 48000
    utc, uncertainty = clock.utc_ns(hour)  # far outside: less sure, and still right
    assert abs(utc - truth(hour)) <= uncertainty
    assert uncertainty > 100_000_000


@given(st.integers(0, 2**32), st.floats(-2e-4, 2e-4), st.floats(0.0005, 0.02), st.sampled_from([8000, 44100, 384000]))
@settings(max_examples=25, deadline=None)
def test_uncertainty_holds_for_any_card(seed, drift, lateness, rate):
    clock = SampleClock(rate)
    truth = callbacks(clock, rate, 40, drift, seed=seed, lateness=lateness)
    for second in (1, 20, 39):
        utc, uncertainty = clock.utc_ns(second * rate)
        assert abs(utc - truth(second * rate)) <= uncertainty


def test_nothing_is_known_before_the_first_stamp():
    assert SampleClock(16000).utc_ns(0) is None


def test_a_known_start_is_exact():
    clock = SampleClock(44100)
    clock.begin("e")
    clock.fix(START, 7)
    assert clock.utc_ns(44100 * 3600) == (START + 3600 * SECOND, 7)
    assert clock.utc_ns(44100, "e") == (START + SECOND, 7)


def test_the_system_clock_is_set_an_hour_ahead():
    """A Raspberry Pi without a battery clock hears the time from the network: the new time counts, soon."""
    rate, hour = 16000, 3600 * SECOND
    clock = SampleClock(rate)
    for tenth in range(1, 600):
        sample = tenth * rate // 10
        clock.stamp(sample, START + sample * SECOND // rate + (hour if tenth > 300 else 0))
    utc, uncertainty = clock.utc_ns(59 * rate)
    assert abs(utc - (START + hour + 59 * SECOND)) <= uncertainty
    assert uncertainty < 40_000_000


def test_each_epoch_has_its_own_line():
    clock = SampleClock(16000)
    clock.begin("a")
    clock.stamp(0, START)
    clock.begin("b", floor_ns=SECOND)
    clock.stamp(0, START + 100 * SECOND)
    assert clock.utc_ns(16000, "a")[0] == START + SECOND
    assert clock.utc_ns(16000, "b")[0] == clock.utc_ns(16000)[0] == START + 101 * SECOND
    assert clock.utc_ns(0, "b")[1] >= SECOND
    assert clock.utc_ns(0, "c") is None
    for i in range(20):
        clock.begin(str(i))
    assert clock.utc_ns(0, "a") is None  # memory is bounded


def test_hull_and_envelope_by_hand():
    points = [(0, 5), (1, 1), (2, 3), (3, 2), (4, 9)]
    assert lower_hull(points) == [(0, 5), (1, 1), (3, 2), (4, 9)]
    line = envelope(tuple(Stamp(x, y) for x, y in points))  # the mean, 2, lies under the edge (1, 1) to (3, 2)
    assert line.slope == 0.5
    assert (line.first, line.last) == (0, 4)


def test_memory_is_bounded():
    clock = SampleClock(1000)
    for sample in range(0, 1_000_000, 500):
        clock.stamp(sample, START + sample * 1_000_000)
    assert len(clock._current._bins) == 256
    assert clock.utc_ns(1_000_000) == (START + 1000 * SECOND, pytest.approx(FLOOR_NS, abs=200_000))
    assert ENOUGH < 256


def test_manual_clock_repeats_itself():
    a, b = ManualClock(START), ManualClock(START)
    a.advance(5)
    b.advance(5)
    assert (a.utc_ns(), a.monotonic_ns()) == (START + 5, 5)
    assert [uuid7(a), uuid7(a)] == [uuid7(b), uuid7(b)]
    with pytest.raises(ValueError, match="run back"):
        a.advance(-1)


def test_uuid7_is_version_7_and_carries_the_time():
    name = uuid.UUID(uuid7(ManualClock(1_645_557_742_000 * 1_000_000)))  # the time of RFC 9562's example
    assert name.version == 7
    assert name.variant == uuid.RFC_4122
    assert name.int >> 80 == 0x017F22E279B0


def test_uuid7_sorts_by_time_and_never_repeats():
    clock = ManualClock(START)
    names = []
    for _ in range(1000):
        names.append(uuid7(clock))
        clock.advance(1000)
    assert names == sorted(names)
    system = SystemClock()
    assert len({uuid7(system) for _ in range(1000)}) == 1000
