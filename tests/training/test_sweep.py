"""The compiled sweep against the product's decoder, and its matching against the library's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training import sweep
from training.data.dataset import Sound
from training.metrics import collar
from training.metrics.events import decode, sounds

LABELS = ["a", "b"]
GRID = np.array([(on, off) for on in (0.3, 0.5, 0.8) for off in (0.2, 0.3) if off <= on])


def recordings(seed, count=4, frames=150):
    """Scores that wander, so that runs of all lengths cross the thresholds; hop 20 ms."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.normal(0, 0.2, (count, frames, 2)), axis=1)
    scores = (1 / (1 + np.exp(-walks))).astype(np.float32)
    return [ScoreBlock("r", 0, 320, 16_000, s, 320) for s in scores]


def references(seed, count=4):
    rng = np.random.default_rng(seed)
    edges = [np.sort(rng.choice(148, 6, replace=False)) / 50 for _ in range(count)]
    return [[Sound(1, float(a), float(b)) for a, b in zip(e[::2], e[1::2], strict=True)] for e in edges]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    median=st.sampled_from([0.0, 0.1, 0.3]),
    shortest=st.sampled_from([0.0, 0.08, 0.3]),
    gap=st.sampled_from([0.0, 0.06, 0.5]),
)
def test_the_sweep_decides_what_the_decoder_decides(seed, median, shortest, gap):
    rule = Decode(median=median, min_duration=shortest, merge_gap=gap)
    blocks = recordings(seed)
    found = sweep.counts(blocks, 1, rule, GRID, sweep.truth_of([[]] * len(blocks), 1))
    for s, (on, off) in enumerate(GRID):
        rules = Decode(on=on, off=off, median=median, min_duration=shortest, merge_gap=gap)
        decided = [sum(d.label == "b" for d in decode(b, LABELS, rules)) for b in blocks]
        assert found[s, :, 0].tolist() == decided


@pytest.mark.parametrize("width", [0.1, 0.2, 0.5])
def test_the_sweep_matches_what_the_library_matches(width):
    blocks, truth = recordings(3, count=12), references(4, count=12)
    rule = Decode(median=0.1, min_duration=0.06, merge_gap=0.1)
    found = sweep.counts(blocks, 1, rule, GRID, sweep.truth_of(truth, 1), collar=width)
    for s, (on, off) in enumerate(GRID):
        rules = Decode(on=on, off=off, median=0.1, min_duration=0.06, merge_gap=0.1)
        decided = [[e for e in sounds(decode(b, LABELS, rules), LABELS, b.rate) if e.label == 1] for b in blocks]
        theirs = collar.event_figures(truth, decided, LABELS, collar=width).counts[:, 1]
        assert found[s].tolist() == theirs[:, 1:].tolist()
    assert found[..., 1].sum() > 0


def test_overlapping_references_are_matched_as_well_as_can_be():
    # The first event fits both references, the second only the long one: greedy by reference order would lose one.
    block = ScoreBlock("r", 0, 100, 1000, np.zeros((100, 1), np.float32), 100)
    block.scores[10:20] = block.scores[21:31] = 0.9
    truth = [[Sound(0, 1.1, 2.1), Sound(0, 1.0, 2.0)]]
    wide = sweep.counts([block], 0, Decode(), np.array([[0.5, 0.5]]), sweep.truth_of(truth, 0), collar=1.05)
    assert wide[0, 0].tolist() == [2, 2]


def test_scores_that_begin_late_or_overlap_keep_their_times():
    block = ScoreBlock("r", 5, 100, 1000, np.array([[0.9], [0.0], [0.0]], np.float32), 300)
    truth = sweep.truth_of([[Sound(0, 0.5, 0.8)]], 0)
    assert sweep.counts([block], 0, Decode(), np.array([[0.5, 0.5]]), truth, 0.01, 0.0)[0, 0].tolist() == [1, 1]
