"""Health by samples: counted by hand."""

import numpy as np
import pytest

from edge.clock import ManualClock
from edge.status import StreamStatus
from edge.supervise.backoff import Backoff
from edge.supervise.health import UNSCORED_S, ClockWatch, Lag, Levels, Verdicts

RATE = 1000


def told(levels, samples, block=100):
    return [
        ((i + block) / RATE, n.fault, n.active)
        for i in range(0, len(samples), block)
        for n in levels.push(samples[i : i + block])
    ]


def test_level_and_peak_are_those_of_the_last_second():
    status = StreamStatus("s")
    levels = Levels(RATE, status, live=True)
    levels.push(np.full(RATE, 0.9, np.float32))
    levels.push(np.tile(np.array([0.1, -0.5], np.float32), RATE // 2))
    assert status.peak == 0.5
    assert status.level_dbfs == pytest.approx(10 * np.log10(0.13), abs=0.06)
    assert status.clipped == 0


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_an_input_that_never_moves_is_dead(value):
    samples = np.concatenate([np.sin(np.arange(2 * RATE)), np.full(15 * RATE, value), np.sin(np.arange(RATE))])
    status = StreamStatus("s")
    found = told(Levels(RATE, status, live=True), samples.astype(np.float32))
    assert [(fault, active) for _, fault, active in found] == [("silence", True), ("silence", False)]
    assert found[0][0] == pytest.approx(12, abs=0.11)
    assert found[1][0] == pytest.approx(17.1, abs=0.11)
    assert status.zero_s == 0


def test_a_quiet_input_is_not_dead():
    samples = (1e-6 * np.random.default_rng(0).standard_normal(30 * RATE)).astype(np.float32)
    assert told(Levels(RATE, StreamStatus("s"), live=True), samples) == []


def test_a_file_may_be_silent():
    assert told(Levels(RATE, StreamStatus("s"), live=False), np.zeros(30 * RATE, np.float32)) == []


def test_clipping_needs_five_seconds_and_single_samples_do_not_count():
    clean = 0.5 * np.sin(np.arange(3 * RATE))
    clipped = np.clip(3 * np.sin(np.arange(10 * RATE)), -1, 1)
    spikes = clean.copy()
    spikes[::500] = 1.0
    status = StreamStatus("s")
    found = told(Levels(RATE, status, live=True), np.concatenate([clean, spikes, clipped, clean]).astype(np.float32))
    assert [(fault, active) for _, fault, active in found] == [("clipping", True), ("clipping", False)]
    assert found[0][0] == 11.0
    assert found[1][0] == 17.0
    assert status.clipped == 6 + np.count_nonzero(np.abs(clipped.astype(np.float32)) >= 0.999)


def test_lag_is_told_once_when_it_begins_and_once_when_it_is_over():
    lag = Lag(StreamStatus("s"))
    notices = [(s, n.active) for s in (0.1, 4, 6, 8, 4, 2, 0.5, 0.1) for n in lag.push(s)]
    assert notices == [(6, True), (0.5, False)]


def test_a_model_that_says_nothing_is_told_and_one_that_speaks_does_not_hide_it():
    status = StreamStatus("s")
    verdicts = Verdicts(status, models=2)
    told = []
    for second in range(400):
        verdicts.scored(0)
        if not 100 <= second < 300:
            verdicts.scored(1)
        told += [(second, notice.fault, notice.active) for notice in verdicts.push([1.0, 1.0])]
    assert told == [(100 + UNSCORED_S - 1, "scores", True), (300, "scores", False)]
    assert (verdicts.missing, status.unscored_s) == (False, 1.0)


def test_slewing_is_no_step():
    clock = ManualClock()
    watch = ClockWatch(clock)
    for _ in range(1000):
        clock.advance(500_000_000)
        clock.step(250_000)  # 500 ppm
        assert watch.look() == []


def test_a_step_during_sleep_is_both():
    clock = ManualClock()
    watch = ClockWatch(clock)
    clock.suspend(60_000_000_000)
    clock.step(-2_000_000_000)
    sleep, step = watch.look()
    assert (sleep.fault, sleep.detail["slept_s"]) == ("sleep", 60.0)
    assert (step.fault, step.detail["step_s"]) == ("clock", -2.0)
    assert watch.look() == []


def test_waits_double_up_to_the_longest_with_jitter():
    backoff = Backoff(1.0, 8.0)
    waits = [backoff.wait() for _ in range(8)]
    for wait, most in zip(waits, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert most / 2 <= wait <= most
    assert len(set(waits)) == 8
    backoff.reset()
    assert backoff.wait() <= 1.0
