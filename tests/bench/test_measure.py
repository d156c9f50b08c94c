"""The measuring frame: who runs when, and what the figures mean. No test here depends on how fast anything is."""

import numpy as np
import pytest

from bench import measure
from bench.measure import Contender, Timing


def test_contenders_take_turns_and_the_first_round_is_thrown_away():
    log = []
    contenders = [Contender(name, lambda item, name=name: log.append((name, item)), [1, 2]) for name in "ABC"]
    timings = measure.back_to_back(contenders, rounds=2)
    order = [name for name, item in log if item == 1]
    assert order == [*"ABC", *"BCA", *"CAB"]
    assert [name for name, _ in log[:4]] == [*"AABB"]
    assert [len(timings[name].rounds) for name in "ABC"] == [2, 2, 2]
    assert all(len(times) == 2 for times in timings["A"].rounds)


def test_figures_are_medians_over_rounds_per_unit():
    timing = Timing("x", [np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]), np.array([2.0, 3.0, 4.0])])
    assert timing.p50 == 3.0
    assert timing.percentile(100) == 4.0
    assert timing.spread == pytest.approx((11.5 - 2.5) / 3)


def test_a_ratio_is_taken_within_each_round():
    # The machine was ten times slower in the second round; the ratio does not notice.
    a = Timing("a", [np.array([2.0]), np.array([20.0]), np.array([2.0])])
    b = Timing("b", [np.array([1.0]), np.array([10.0]), np.array([1.0])])
    assert a.ratio(b) == 2.0
    assert b.ratio(a) == 0.5


def test_times_are_divided_by_units(monkeypatch):
    ticks = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(measure.time, "perf_counter_ns", lambda: next(ticks))
    timing = measure.back_to_back([Contender("x", lambda _: None, [0, 0], units=10)], rounds=1)["x"]
    np.testing.assert_allclose(timing.rounds[0], [1e-7, 1e-7])


def test_pacing_waits_between_items(monkeypatch):
    now, waits = [0.0], []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])

    def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(measure.time, "sleep", sleep)
    measure.paced([Contender("x", lambda _: None, range(4))], interval=0.005, rounds=1)
    np.testing.assert_allclose(waits, 0.005)
    assert len(waits) == 8


def test_a_noisy_machine_is_said_to_be_one(monkeypatch):
    calm = Timing("calm", [np.array([1.0]), np.array([1.01])])
    shaky = Timing("shaky", [np.array([1.0]), np.array([2.0])])
    monkeypatch.setattr(measure.os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    assert measure.warning([calm]) == ""
    assert "more than 10% for shaky" in measure.warning([calm, shaky])
    monkeypatch.setattr(measure.os, "getloadavg", lambda: (900.0, 0.1, 0.1))
    assert "load average 900.0" in measure.warning([calm])
