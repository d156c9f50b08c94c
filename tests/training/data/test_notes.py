"""Notes: gate and cuts, worked by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from training.data.notes import change, notes

A, B, NOTHING = (4.0, 0.0), (0.0, 1.0), (0.0, 0.0)


def test_the_change_is_whole_where_one_band_takes_over_and_none_inside_a_sound():
    found = change(np.array([A, A, A, B, B, B]), 2)
    assert found[3] == 1.0
    assert found[1] == 0.0
    assert found[5] == 0.0


def test_a_louder_sound_of_the_same_bands_is_no_change_and_silence_is_compared_with_nothing():
    assert change(np.array([A, A, (8.0, 0.0), (8.0, 0.0)]), 2).tolist() == pytest.approx([0, 0, 0, 0])
    assert change(np.array([A, A, NOTHING, NOTHING, B]), 2)[2] == 0.0


def test_the_change_halfway_over_is_that_of_the_sums():
    # Before frame 2 lies A + A = (8, 0), from it on A + B = (4, 1): cosine 32 / (8 · √17).
    assert change(np.array([A, A, A, B]), 2)[2] == pytest.approx(1 - 4 / np.sqrt(17))


def test_runs_are_notes_short_ones_are_none_and_a_change_cuts():
    loud = np.array([0, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1], bool)
    changes = np.zeros(13)
    changes[[4, 11]] = 0.9  # the second one would leave a note of a single frame
    assert notes(loud, changes, 0.5, 2) == [(1, 4), (4, 7), (10, 13)]
    assert notes(loud, changes, 0.95, 2) == [(1, 7), (10, 13)]
    assert notes(loud, changes, 0.5, 4) == [(1, 7)]


def test_of_near_changes_the_largest_cuts_and_of_equal_ones_the_first():
    loud = np.ones(12, bool)
    changes = np.zeros(12)
    changes[[4, 5, 6]] = 0.6, 0.8, 0.7
    assert notes(loud, changes, 0.5, 3) == [(0, 5), (5, 12)]
    changes[[4, 5, 6]] = 1.0
    assert notes(loud, changes, 0.5, 3) == [(0, 4), (4, 12)]


@given(hnp.arrays(bool, st.integers(0, 60)), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_notes_are_loud_in_order_apart_and_long_enough(loud, shortest, seed):
    changes = np.random.default_rng(seed).random(len(loud)).round(1)
    found = notes(loud, changes, 0.3, shortest)
    assert all(loud[start:stop].all() and stop - start >= shortest for start, stop in found)
    assert all(before.stop <= note.start for before, note in itertools.pairwise(found))
    covered = np.zeros(len(loud), bool)
    for start, stop in found:
        covered[start:stop] = True
    lengths = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], loud & ~covered, [0]]).astype(int))))[::2]
    assert (lengths < shortest).all()  # what is loud and no note was too short
