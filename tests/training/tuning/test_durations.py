"""Durations of a two-state chain: counted by hand, learnt from what is known, and worth it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.blocks import ScoreBlock
from edge.inference.card import Decode, Rule, Viterbi
from training.data.dataset import Item, Sound
from training.evaluation.heard import Heard
from training.tuning.durations import durations, mean_durations
from training.tuning.tune import compare, tune

LABELS = ["dog"]


def test_durations_by_hand():
    # 2 … 5 s and 9 s to the end of 11 s: 5 s of sound with one end, 6 s of pause with two beginnings.
    assert mean_durations([(11.0, [Sound(0, 2.0, 5.0), Sound(0, 9.0, 11.0)])]) == (5.0, 3.0)
    # A recording without any adds its pause; overlapping sounds are one.
    recordings = [(10.0, [Sound(0, 2.0, 5.0), Sound(0, 4.0, 6.0)]), (20.0, [])]
    assert mean_durations(recordings) == (4.0, 26.0)


def test_the_durations_of_a_chain_are_found_again():
    rng = np.random.default_rng(0)
    edges = np.cumsum([d for _ in range(2000) for d in (rng.exponential(3.0), rng.exponential(0.5))])
    sounds = [Sound(0, a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert mean_durations([(edges[-1] + 3.0, sounds)]) == pytest.approx((0.5, 3.0), rel=0.07)


def heard(scores, weak, strong):
    block = ScoreBlock("r", 0, 320, 16_000, np.asarray(scores, np.float32)[:, None], 320)
    return Heard(Item("x", Path("x"), weak, strong), len(scores) / 50, block, np.array([max(scores)]))


def test_where_no_times_are_known_the_events_decided_now_count():
    scores = np.zeros(500)
    scores[100:150] = scores[300:350] = 0.9
    rules = Decode(on=0.5, off=0.5)
    recordings = [heard(scores, (0,), None), heard(np.full(500, 0.9), (), None)]  # the second holds no dog
    assert durations(recordings, LABELS, 0, rules) == Viterbi(event=1.0, pause=4.0, lag=1.0)


def test_a_path_is_chosen_and_finds_what_no_threshold_finds():
    # Events of 1 s whose scores waver around a half, pauses with spikes as high: only the durations tell them apart.
    rng = np.random.default_rng(1)

    def recording():
        truth = np.zeros(600, bool)
        starts = rng.choice([100, 250, 400], 1)
        for start in starts:
            truth[start : start + 50] = True
        odds = np.where(truth, 1.2, -1.2) + rng.normal(0, 2.0, 600)
        sounds = tuple(Sound(0, s / 50, s / 50 + 1) for s in sorted(starts))
        return heard(1 / (1 + np.exp(-odds)), (0,), sounds)

    recordings, rules = [recording() for _ in range(5)], Decode(on=0.5, off=0.5, labels={"dog": Rule(min_duration=0.1)})
    found = tune(recordings, LABELS, rules, smoothing="viterbi").rules
    path = found.labels["dog"].viterbi
    assert (path.event, path.pause) == (pytest.approx(1.0), pytest.approx(11.0))
    assert found.labels["dog"].min_duration == 0.1
    figures = compare(recordings, LABELS, rules, found, exclusive=False)
    assert figures["before"]["event_f1"] < 0.3
    assert figures["after"]["event_f1"] > 0.7
