"""Targets and tags of a next stage, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd
from training.procedures.stages import at_frames
from training.procedures.tags import best_thresholds, voted
from training.procedures.targets import copied, loud, masked, smoothed


def column(*values):
    return np.array(values, np.float32)[:, None]


def test_tags_are_copied_to_every_frame_of_their_classes():
    assert copied((0, 2), 2, 3).tolist() == [[1, 0, 1], [1, 0, 1]]
    assert copied((), 1, 2).tolist() == [[0, 0]]


def test_frames_are_loud_whose_mean_is_above_the_gate():
    features = np.array([[-2, 1], [2, -1], [0, 0], [3, 5]], np.float32)  # means -0.5, 0.5, 0, 4
    assert loud(features, 0.0).tolist() == [False, True, False, True]
    assert loud(features, 1.0).tolist() == [False, False, False, True]


def test_a_burst_of_noise_in_a_faint_floor_is_about_as_long_as_it_is():
    """Card 14: one second of white noise from 3.0 to 4.0 s, frames every 20 ms: about 50 of 500."""
    rng, rate = np.random.default_rng(0), 16_000
    sound = 0.001 * rng.standard_normal(10 * rate)
    sound[3 * rate : 4 * rate] += 0.3 * rng.standard_normal(rate)
    table = {"rate": rate, "frames": {"window": 640, "hop": 320}, "scale": {"kind": "ln", "floor": 1e-10}}
    spec = parse({**table, "bands": {"kind": "mel", "count": 64, "low": 0.0, "high": 8000.0}})
    features = FrontEnd(spec).transform(sound.astype(np.float32))
    marked = np.flatnonzero(loud((features - features.mean()) / features.std(), 0.0))
    assert 48 <= len(marked) <= 53
    assert marked[0] >= 148
    assert marked[-1] <= 201


def test_a_median_removes_single_frames_and_keeps_edges_and_sounds_that_fill_the_end():
    scores = column(0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1)
    assert smoothed(scores, 3, 0)[:, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1]


def test_a_gaussian_spreads_one_frame_by_its_weights():
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2.0)
    found = smoothed(np.eye(9, dtype=np.float32)[:, 4:5], 1, 1.0)[:, 0]
    assert found == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert smoothed(np.full((5, 2), 0.3, np.float32), 5, 2.0) == pytest.approx(np.full((5, 2), 0.3), abs=1e-6)


def test_frames_of_a_class_that_the_clip_denies_are_nothing():
    frames = np.array([[0.9, 0.8], [0.2, 0.7]], np.float32)
    assert masked(frames, (0,)) == pytest.approx(np.array([[0.9, 0], [0.2, 0]]))
    assert not masked(frames, ()).any()


def test_the_threshold_of_a_class_is_the_best_tenth():
    """Clips with the class score 0.9, 0.3 and 0.25, without it 0.1: from 0.2 all are found, and 0.2 is nearest to 0.5.

    The second class is in no clip, the third never scored where it is: nothing to choose by.
    """
    clips = np.array([[0.9, 0.4, 0.0], [0.3, 0.1, 0.0], [0.25, 0.8, 0.0], [0.1, 0.3, 0.0]], np.float32)
    truth = np.array([[1, 0, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
    assert best_thresholds(clips, truth)[:2] == pytest.approx([0.2, 0.5])
    assert voted(np.array([0.2, 0.49, 0.7], np.float32), np.array([0.2, 0.5, 0.5], np.float32)) == (0, 2)


def test_scores_at_a_lower_rate_stand_for_several_frames():
    assert at_frames(column(0.1, 0.9), 5)[:, 0] == pytest.approx([0.1, 0.1, 0.9, 0.9, 0.9])
    assert at_frames(column(0.1, 0.9), 2)[:, 0] == pytest.approx([0.1, 0.9])
