"""Card 19's correction: what most networks deny a clip no frame of it has."""

from __future__ import annotations

import numpy as np
import pytest

from edge.blocks import ScoreBlock
from edge.errors import ConfigError
from edge.inference.card import Decode
from training.data.dataset import Item, Sound
from training.evaluation.heard import Heard
from training.evaluation.targets import Target
from training.evaluation.vote import majority, voted
from training.metrics.collar import event_figures

LABELS, RATE, HOP = ("a", "b"), 1000, 20
SAMPLES = np.zeros(RATE, np.float32)


def target(frames, clip, name="net", fold=1, learnt=lambda *_: False, rate=RATE, labels=LABELS):
    """A network that says the same of every recording."""
    scores = np.asarray(frames, np.float32)

    def scorer(_):
        running = np.repeat(np.asarray([clip], np.float32), len(scores), axis=0)
        return ScoreBlock("r", 0, HOP, RATE, scores, HOP, clip=running)

    return Target(name, "float network", labels, rate, Decode(), scorer, fold, learnt, None, None)


FRAMES = [[0.9, 0.8], [0.4, 0.7]]


def test_more_than_half_are_a_majority():
    votes = np.array([[0.9, 0.9, 0.1], [0.5, 0.4, 0.2], [0.2, 0.49, 0.9]], np.float32)
    assert majority(votes).tolist() == [True, False, False]
    assert majority(votes[:2]).tolist() == [True, False, False]  # one of two is none


def test_frames_stay_where_two_of_three_have_the_class_and_clips_are_the_soft_vote():
    others = [target(np.zeros((5, 2)), (0.6, 0.1)), target(np.ones((7, 2)), (0.3, 0.3))]
    block = voted(target(FRAMES, (0.9, 0.8)), others).scorer(SAMPLES)
    np.testing.assert_array_equal(block.scores, np.float32([[0.9, 0], [0.4, 0]]))
    np.testing.assert_allclose(block.clip, [[0.6, 0.4]] * 2, rtol=1e-6)


def test_only_voters_of_the_same_fold_vote():
    others = [target(FRAMES, (0.0, 0.0), fold=2), target(FRAMES, (0.9, 0.9), name="second")]
    found = voted(target(FRAMES, (0.9, 0.8)), others)
    assert found.name == "net + second"
    np.testing.assert_array_equal(found.scorer(SAMPLES).scores, np.float32(FRAMES))


def test_what_one_has_learnt_from_judges_none():
    others = [target(FRAMES, (0, 0), learnt=lambda folder, item: item.name == "seen")]
    found = voted(target(FRAMES, (0, 0)), others)
    assert found.learnt_from("set", Item("seen", None))
    assert not found.learnt_from("set", Item("new", None))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (target(FRAMES, (0, 0), fold=2), "expected voters that held out fold 1 as net did, got folds 2"),
        (target(FRAMES, (0, 0), rate=8000), "expected 1000 Hz of net, as of net, got 8000 Hz"),
        (target(FRAMES, (0, 0), labels=("a", "c")), "expected the same classes of all"),
    ],
)
def test_networks_that_do_not_fit_are_refused(other, message):
    with pytest.raises(ConfigError, match=message):
        voted(target(FRAMES, (0, 0)), [other])


def test_a_vote_never_adds_an_event_and_denies_false_ones():
    """A detector with false alarms of absent classes, and taggers that are mostly right."""
    rng, before, after = np.random.default_rng(0), [], []
    for k in range(40):
        here = k % 2
        item = Item(str(k), None, (here,), (Sound(here, 0.2, 0.6),))
        frames = np.zeros((50, 2), np.float32)
        frames[10:30, here] = 1
        if rng.random() < 0.5:
            frames[20:35, 1 - here] = 0.9

        def vote(here=here):
            return [abs(c - (rng.random() < 0.1)) for c in (1.0 - here, float(here))]

        detector = target(frames, vote())
        corrected = voted(detector, [target(frames, vote()), target(frames, vote())])
        for rows, one in ((before, detector), (after, corrected)):
            block = one.scorer(SAMPLES)
            rows.append(Heard(item, 1.0, block, block.clip[-1]))
    found = [[h.events(LABELS, Decode()) for h in rows] for rows in (before, after)]
    plain, better = (event_figures([h.item.strong for h in before], events, LABELS) for events in found)
    assert better.precision > plain.precision + 0.1
    assert better.recall <= plain.recall
    assert better.error_rate < plain.error_rate
    assert better.f1 > plain.f1
    assert all(set(left) <= set(all_) for all_, left in zip(*found, strict=True))
