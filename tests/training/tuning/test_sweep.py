"""The compiled sweep against the product's decoder, and its matching against the library's."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.inference.card import Decode, Viterbi
from training.data.dataset import Sound
from training.metrics import collar
from training.metrics.events import decode, sounds
from training.tuning import sweep

LABELS = ["a", "b"]
GRID = np.array([(on, off) for on in (0.3, 0.5, 0.8) for off in (0.2, 0.3) if off <= on])


def recordings(seed, count=4, frames=150):
    """Scores that wander, so that runs of all lengths cross the thresholds; hop 20 ms."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.normal(0, 0.2, (count, frames, 2)), axis=1)
    scores = (1 / (1 + np.exp(-walks))).astype(np.float32)
    return [ScoreBlock("r", 0, 320, 16_000, s, 320) for s in scores]


RULES = Decode(on=0.5, off=0.3, median=0.1, min_duration=0.06, merge_gap=0.1)


def decided(block, rules):
    return [e for e in sounds(decode(block, LABELS, rules), LABELS, block.rate) if e.label == 1]


def references(blocks, seed):
    """What is heard, a little early or late: some within every collar, some in none."""
    rng = np.random.default_rng(seed)
    moved = [[(e, rng.normal(0, 0.2, 2)) for e in decided(block, RULES)] for block in blocks]
    return [[Sound(1, e.onset + a, max(e.onset + a, e.offset + b)) for e, (a, b) in events] for events in moved]


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
        assert found[s, :, 0].tolist() == [len(decided(b, rules)) for b in blocks]


@pytest.mark.parametrize(
    "smoothing",
    [
        {"mean": 0.1},
        {"viterbi": Viterbi(event=0.5, pause=0.3, lag=0.2)},
        {"rescale": 1.0, "mean": 0.1, "viterbi": Viterbi(event=0.2, pause=0.2), "median": 0.1},
        {"clip_on": 0.6, "clip_ahead": 0.3},
    ],
)
def test_the_sweep_smooths_as_the_decoder_does(smoothing):
    blocks = [replace(b, clip=np.maximum(b.scores, b.scores[::-1])) for b in recordings(7)]
    found = sweep.counts(blocks, 1, Decode(**smoothing), GRID, sweep.truth_of([[]] * len(blocks), 1))
    assert found[..., 0].any()
    for s, (on, off) in enumerate(GRID):
        rules = Decode(on=on, off=off, **smoothing)
        assert found[s, :, 0].tolist() == [len(decided(b, rules)) for b in blocks]


@pytest.mark.parametrize("width", [0.1, 0.2, 0.5])
def test_the_sweep_matches_what_the_library_matches(width):
    blocks = recordings(3, count=12)
    truth = references(blocks, 4)
    found = sweep.counts(blocks, 1, RULES, GRID, sweep.truth_of(truth, 1), collar=width)
    for s, (on, off) in enumerate(GRID):
        heard = [decided(b, msgspec.structs.replace(RULES, on=on, off=off)) for b in blocks]
        theirs = collar.event_figures(truth, heard, LABELS, collar=width).counts[:, 1]
        assert found[s].tolist() == theirs[:, 1:].tolist()
    assert 0 < found[..., 1].sum() < found[..., 0].sum()


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
