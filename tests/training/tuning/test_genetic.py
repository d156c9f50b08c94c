"""All thresholds at once: as good as an exhaustive grid, never worse than the start, and no more looks than allowed."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from edge.blocks import ScoreBlock
from edge.inference.card import Decode, Rule
from training.data.dataset import Item, Sound
from training.evaluation.heard import Heard
from training.metrics.collar import event_figures
from training.tuning.choice import ON
from training.tuning.genetic import evolve, tune_together

LABELS = ["dog", "rain"]


def heard(dog, rain, weak, strong=None):
    """Twenty scores of a tenth of a second."""
    scores = np.stack([np.broadcast_to(np.float32(s), 20) for s in (dog, rain)], axis=1)
    block = ScoreBlock("r", 0, 1600, 16_000, scores, 1600)
    return Heard(Item("x", Path("x"), weak, strong), 2.0, block, scores.max(0))


def wandering(seed):
    """Events of a walk at one threshold are the truth; the scores are another walk near it."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.8, (20, 2)), 0)
    near = 1 / (1 + np.exp(-walk - rng.normal(0, 0.6, (20, 2))))
    truth = []
    for label in (0, 1):
        edges = np.flatnonzero(np.diff(np.r_[0, walk[:, label] > 0.3, 0])).reshape(-1, 2)
        truth += [Sound(label, a / 10, b / 10) for a, b in edges]
    return heard(near[:, 0], near[:, 1], tuple(sorted({s.label for s in truth})), tuple(truth))


def rugged(genes):
    """Three genes with many hills, of which one is the highest."""
    x = np.asarray(genes)
    return float(np.cos(x * 1.7).sum() - 0.02 * ((x - [3, 9, 6]) ** 2).sum() + 0.3 * np.cos(x[0] * x[1] - x[2]))


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_an_exhaustive_search_finds(seed):
    every = max(rugged(genes) for genes in product(range(12), repeat=3))
    found = evolve(rugged, np.array([0, 0, 0]), 12, np.random.default_rng(seed), 1500)
    assert rugged(found) == pytest.approx(every)


def micro(recordings, rules):
    """F1 of all events together, by the product's decoder and the library's matching."""
    truth = [one.item.strong for one in recordings]
    said = [list(one.events(LABELS, rules)) for one in recordings]
    there, decided, right = np.asarray(event_figures(truth, said, LABELS).counts).sum((0, 1))
    return 2 * right / (decided + there)


def test_thresholds_of_two_classes_are_as_good_as_the_best_pair_of_a_grid():
    recordings, rules = [wandering(seed) for seed in range(6)], Decode(on=0.9, off=0.9)
    found = tune_together(recordings, LABELS, rules, "micro", evaluations=1000).rules
    pairs = product(ON[::8], repeat=2)
    grid = [Decode(labels={k: Rule(on=v, off=v) for k, v in zip(LABELS, pair, strict=True)}) for pair in pairs]
    assert micro(recordings, found) >= max(micro(recordings, rule) for rule in grid) > micro(recordings, rules)


def _of(recordings, average):
    return tune_together(recordings, LABELS, Decode(on=0.5, off=0.25), average, evaluations=500).rules


def test_a_class_that_is_mostly_wrong_counts_in_the_mean_of_classes_and_is_silenced_where_events_count():
    # Ten clips of rain are certain. One dog scores 0.3, three clips without a dog 0.35. Dogs told: F1 2 / (4 + 1) of
    # the class, and 22 / 25 of all; no dog told: 0 of the class, and 20 / 21 of all.
    recordings = [heard(0.0, 0.9, (1,))] * 10 + [heard(0.3, 0.0, (0,))] + [heard(0.35, 0.0, ())] * 3
    macro, micro = (_of(recordings, a) for a in ("macro", "micro"))
    assert macro.labels["dog"].on <= 0.3
    assert micro == Decode(on=0.5, off=0.25)  # nothing is better than where it began
    assert macro.labels["dog"].off == pytest.approx(macro.labels["dog"].on / 2, abs=1e-3)


@pytest.mark.parametrize("evaluations", [1, 7, 24, 100])
def test_it_is_never_worse_than_where_it_began_and_looks_no_more_often_than_it_may(evaluations):
    asked = []

    def fitness(genes):
        asked.append(genes)
        return rugged(genes)

    start = np.array([3, 9, 6])
    found = evolve(fitness, start, 12, np.random.default_rng(1), evaluations)
    assert len(asked) == evaluations
    assert rugged(found) >= rugged(start)
    again = evolve(rugged, start, 12, np.random.default_rng(1), evaluations)
    assert (again == found).all()


def test_the_best_stays_the_best():
    top = np.array(max(product(range(12), repeat=3), key=rugged))
    assert (evolve(rugged, top, 12, np.random.default_rng(0), 300) == top).all()


def test_classes_that_no_recording_has_and_ignored_ones_keep_their_rules():
    rules = Decode(on=0.5, off=0.5, ignore=["rain"], labels={"rain": Rule(on=0.7)})
    found = tune_together([heard(0.3, 0.9, (0,)), heard(0.1, 0.9, ())], LABELS, rules, evaluations=300)
    assert found.rules.labels["rain"] == Rule(on=0.7)
    assert 0.1 < found.rules.labels["dog"].on <= 0.3
    none = tune_together([heard(0.3, 0.9, ())], LABELS, structs.replace(rules, ignore=[]))
    assert none.notes == ("dog: no recording of it: its rule stays", "rain: no recording of it: its rule stays")
