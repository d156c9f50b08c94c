"""Perceived time of presence: the card's hand-worked examples, and what must hold of any sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.levels.presence import Presence, emerges, emerges_broadband

LEVELS = arrays.arrays(np.float64, (12, 3), elements=st.floats(-60, 60))


def test_broadband_presence_of_the_card():
    source = np.array([60.0, 40.0, 30.0])
    assert emerges_broadband(source, np.full(3, 50.0), -15).mean() == pytest.approx(2 / 3)
    assert emerges_broadband(source, np.full(3, 50.0)).mean() == 1


def test_banded_presence_of_the_card():
    emergence = np.array([[10.0, -20.0], [-5.5, -5.0], [-4.0, -6.0]])
    assert emerges(emergence, np.zeros((3, 2))).tolist() == [True, False, True]
    assert emerges(np.full((1, 2), -6.0), np.zeros((1, 2))).tolist() == [False]


@given(LEVELS, LEVELS, st.floats(-40, 10), st.floats(0, 20), st.floats(-30, 30))
def test_broadband_presence_never_rises_with_the_threshold_and_knows_no_gain(source, rest, alpha, more, gain):
    share = emerges_broadband(source[:, 0], rest[:, 0], alpha).mean()
    assert 0 <= emerges_broadband(source[:, 0], rest[:, 0], alpha + more).mean() <= share <= 1
    louder = emerges_broadband(np.round(source[:, 0]) + 20, np.round(rest[:, 0]) + 20, round(alpha))
    assert np.array_equal(louder, emerges_broadband(np.round(source[:, 0]), np.round(rest[:, 0]), round(alpha)))


@given(LEVELS, LEVELS)
def test_banded_presence_knows_no_gain(source, rest):
    source, rest = np.round(source), np.round(rest)  # whole decibels add without rounding
    assert np.array_equal(emerges(source + 20, rest + 20), emerges(source, rest))


def minute(level_db, frames=480):
    """Mean squares of a minute of one band at the levels of its frames."""
    return 10 ** (np.broadcast_to(level_db, frames)[:, None] / 10)


def test_an_active_class_counts_only_where_it_emerges():
    active = np.arange(480) < 240
    loud = Presence().minute(minute(np.where(active, -30.0, -50.0)), {"rain": active})
    masked = Presence().minute(minute(np.where(active, -49.5, -50.0)), {"rain": active})  # 0.5 dB more: 9 dB below
    assert loud == {"rain": 0.5}
    assert masked == {"rain": 0.0}


def test_a_source_half_as_strong_as_the_rest_is_heard_and_a_tenth_is_not():
    active = np.arange(480) < 48
    rest = 1e-5
    half = np.where(active, rest * 1.5, rest)[:, None]
    tenth = np.where(active, rest * 1.1, rest)[:, None]
    assert Presence().minute(half, {"bird": active}) == {"bird": 0.1}  # −3 dB
    assert Presence().minute(tenth, {"bird": active}) == {"bird": 0.0}  # −10 dB


def test_a_class_that_never_pauses_is_judged_by_the_last_rest():
    presence, always = Presence(), np.ones(480, bool)
    assert presence.minute(minute(-30.0), {"rain": always}) == {"rain": 1.0}  # no rest is known: heard
    presence = Presence()
    presence.minute(minute(-50.0), {})
    assert presence.minute(minute(-30.0), {"rain": always}) == {"rain": 1.0}
    assert presence.minute(minute(-30.0), {"rain": always}) == {"rain": 1.0}  # its own sound does not become the rest
    assert presence.minute(minute(-50.0), {"rain": always}) == {"rain": 0.0}


def test_nothing_emerges_from_digital_silence_without_sound():
    assert Presence().minute(np.zeros((480, 4)), {"rain": np.arange(480) < 100}) == {"rain": 0.0}
