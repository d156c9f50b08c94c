"""Minutes of levels: what they say of tones, of losses and of classes."""

import numpy as np
import pytest

from edge.blocks import AudioBlock, ScoreBlock
from edge.clock import SampleClock
from edge.levels.stage import LevelStage

RATE = 8_000
SECOND = np.sqrt(2) * 0.01 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)  # −40 dB


def stage(**options):
    return LevelStage("hut", "mic", SampleClock(RATE), RATE, **options)


def hear(one, start_s, stop_s, gain=1.0, epoch="e"):
    told = []
    for second in range(start_s, stop_s):
        told += one.push(AudioBlock(epoch, second * RATE, RATE, (gain * SECOND).astype(np.float32)))
    return told


def test_a_steady_tone_has_one_level_whatever_is_exceeded():
    one = stage(calibration_db=134.0)
    told = hear(one, 0, 71)
    assert [(minute.start_s, minute.seconds, minute.type) for minute in told] == [(0.0, 60.0, "levels")]
    for level in (told[0].a.leq, told[0].a.l50, told[0].a.l90, told[0].z.leq):
        assert level == pytest.approx(94, abs=0.1)
    here = told[0].bands.hz.index(1000)
    assert told[0].bands.lzeq[here] == pytest.approx(94, abs=0.1)
    assert told[0].bands.laeq[here] == told[0].bands.lzeq[here]
    assert told[0].bands.laeq[0] == pytest.approx(told[0].bands.lzeq[0] - 50.4, abs=0.1)


def test_percentiles_tell_background_from_events():
    one = stage()
    hear(one, 0, 45, gain=0.01)  # −80 dB
    told = hear(one, 45, 60) + one.flush()  # a quarter of the minute 40 dB louder
    a = told[0].a
    assert (a.l10, a.l50, a.l90) == pytest.approx((-40, -80, -80), abs=0.1)
    assert a.leq == pytest.approx(-40 + 10 * np.log10(0.25), abs=0.1)


def test_a_minute_with_a_loss_says_how_many_seconds_it_has():
    one = stage()
    told = hear(one, 0, 20) + hear(one, 50, 75)
    assert [(minute.start_s, minute.seconds) for minute in told] == [(0.0, 30.0)]
    assert [(minute.start_s, minute.seconds) for minute in one.flush()] == [(60.0, 15.0)]
    assert one.flush() == []


def test_a_minute_of_which_nothing_was_heard_is_not_told():
    one = stage()
    told = hear(one, 0, 30) + hear(one, 190, 195) + one.flush()
    assert [minute.start_s for minute in told] == [0.0, 180.0]


def test_a_new_epoch_ends_the_minute():
    one = stage()
    told = hear(one, 0, 10) + hear(one, 0, 5, epoch="f")
    assert [(minute.epoch, minute.seconds) for minute in told] == [("e", 10.0)]
    assert [(minute.epoch, minute.seconds) for minute in one.flush()] == [("f", 5.0)]


def test_scores_become_presence_where_the_class_emerges():
    one = stage(thresholds={"tone": 0.5})
    hear(one, 0, 30, gain=0.01)
    hear(one, 30, 60)
    scores = np.zeros((60, 2), np.float32)
    scores[20:45, 0] = 0.7  # from 20 s on, 10 s too early: the model errs, but nothing emerges
    scores[:, 1] = 0.9  # no threshold: background
    one.scores(ScoreBlock("e", 0, RATE, RATE, scores, RATE), ["tone", "background"])
    one.scores(ScoreBlock("other", 0, RATE, RATE, scores, RATE), ["tone", "background"])
    assert one.flush()[0].presence == {"tone": pytest.approx(15 / 60, abs=0.01)}


def test_scores_may_come_after_the_minute():
    one = stage(thresholds={"tone": 0.5})
    hear(one, 0, 30, gain=0.01)
    assert hear(one, 30, 69) == []
    scores = np.ones((30, 1), np.float32)
    one.scores(ScoreBlock("e", 30, RATE, RATE, scores, RATE), ["tone"])
    assert hear(one, 69, 70)[0].presence == {"tone": 0.5}
