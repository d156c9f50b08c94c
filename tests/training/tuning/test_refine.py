"""Refinement without labels: its formula by hand, that it finds what labels would, and that it cannot be fooled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge.blocks import ScoreBlock
from edge.inference.card import Decode, Rule
from training.data.dataset import Item, Sound
from training.evaluation.heard import Heard
from training.metrics.collar import event_figures
from training.tuning.refine import agreement, best_of, refine

RATE, HOP, SECONDS = 1000, 20, 10
LABELS = ["bark", "hum"]
RULES = Decode(on=0.5, off=0.5, median=0.0)


@dataclass(frozen=True)
class Known(Item):
    """A recording whose samples say what sounds: 1 for the first class, 2 for the second, 0 for neither."""

    heard: tuple[float, ...] = ()

    def samples(self, rate):
        return np.array(self.heard, np.float32)


def tag(samples):
    """A tagger that is right on pure snippets: a class is there as far as it fills them, and hardly below a tenth."""
    shares = np.array([(samples == 1).mean(), (samples == 2).mean()])
    return (1 / (1 + np.exp(-12 * (shares - 0.2)))).astype(np.float32)


def recording(label, sounds, rng):
    """Scores of frames are smeared by a third of a second, and noisy; a recording has at least a third of its class."""
    samples = np.zeros(SECONDS * RATE, np.float32)
    for onset, offset in sounds:
        samples[int(onset * RATE) : int(offset * RATE)] = label + 1
    truth = (samples[::HOP] == label + 1).astype(float)
    smeared = np.convolve(truth, np.ones(17) / 17, mode="same")
    scores = np.zeros((len(smeared), 2), np.float32)
    scores[:, label] = np.clip(0.05 + 0.75 * smeared + 0.12 * rng.standard_normal(len(smeared)), 0, 1)
    item = Known("x", Path("x"), strong=tuple(Sound(label, *s) for s in sounds), heard=tuple(samples.tolist()))
    return Heard(item, SECONDS, ScoreBlock("r", 0, HOP, RATE, scores, HOP), tag(samples))


@pytest.fixture(scope="module")
def heard():
    rng, out = np.random.default_rng(5), []
    for shift in (0.0, 0.3, 0.6):
        out.append(recording(0, [(1 + shift, 2 + shift), (4, 5 + shift), (7, 8.1)], rng))
        out.append(recording(1, [(2 + shift, 8 + shift)], rng))
    return out


def f1(heard, rules):
    reference = [h.item.strong for h in heard]
    return event_figures(reference, [h.events(LABELS, rules) for h in heard], LABELS).f1


def test_the_agreement_by_hand():
    """Scores 0.8 of the event and 0.1 of the rest: −ln 0.8 and −ln 0.9."""
    samples = np.arange(10, dtype=np.float32)
    scores = {(3.0, 4.0): 0.8, (0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0): 0.1}
    found = agreement(samples, ((3, 5),), 2, lambda cut: scores[tuple(cut.tolist())])
    assert found == pytest.approx((-math.log(0.8), -math.log(0.9)))


def test_short_events_are_repeated_and_a_short_rest_is_none():
    cuts = []
    found = agreement(np.arange(6, dtype=np.float32), ((0, 2), (3, 6)), 3, lambda cut: cuts.append(cut.tolist()) or 0.5)
    assert cuts == [[0, 1, 0], [3, 4, 5]]
    assert found[0] == pytest.approx(math.log(2))
    assert math.isnan(found[1])
    assert math.isnan(agreement(np.zeros(6, np.float32), (), 3, lambda _: 0.5)[0])


def test_a_candidate_that_leaves_no_rest_does_not_win_though_nothing_speaks_against_it():
    nothing = math.nan
    whole, fair, worse = (0.01, nothing), (0.2, 0.3), (0.4, 0.3)
    assert best_of(np.array([[whole, fair, worse], [whole, fair, worse]])) == 1
    assert best_of(np.array([[whole], [whole]])) is None
    assert best_of(np.zeros((0, 3, 2))) is None


def test_one_that_leaves_a_rest_in_most_clips_may_win():
    nothing = math.nan
    assert best_of(np.array([[(0.1, nothing), (0.5, 0.5)], [(0.1, 0.1), (0.5, 0.5)]])) == 0


def test_refined_rules_are_better_than_unrefined_ones_for_a_short_and_a_long_class(heard):
    found = refine(heard, LABELS, RULES, [tag] * len(heard))
    assert found.notes == ()
    assert set(found.rules.labels) == {"bark", "hum"}
    assert f1(heard, found.rules) > f1(heard, RULES)
    assert f1(heard, found.rules) > 0.9


def test_an_absent_class_keeps_its_rule(heard):
    rules = Decode(on=0.5, off=0.25, labels={"hum": Rule(on=0.6)})
    barks = heard[::2]
    found = refine(barks, LABELS, rules, [tag] * len(barks))
    assert found.notes == ("hum: no setting cuts most of 0 clips in events and a rest: its rule stays",)
    assert found.rules.labels["hum"] == rules.labels["hum"]
    assert found.rules.labels["bark"].off == pytest.approx(found.rules.labels["bark"].on / 2)
