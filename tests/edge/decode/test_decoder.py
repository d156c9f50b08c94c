"""The decoder against hand-worked examples and a slow, obvious reference."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.decode.decoder import Decoder
from edge.inference.card import Decode, Rule

HOP, RATE = 320, 16000  # 20 ms


def decode(columns, rules, cuts=(), first=0, labels=("a", "b")):
    scores = np.array(columns, np.float32).T
    decoder = Decoder(labels[: scores.shape[1]], rules)
    decoder.reset("e")
    found = []
    for a, b in zip([0, *cuts], [*cuts, len(scores)], strict=True):
        found += decoder.push(ScoreBlock("e", first + a, HOP, RATE, scores[a:b], HOP))
    return found + decoder.flush("stop")


def spans(found, label="a"):
    return [(d.onset // HOP, d.offset // HOP) for d in found if d.type == "end" and d.label == label]


def reference(scores, on, off, width, shortest, bridge):
    """Median, runs, hysteresis, merge, minimum: each over the whole clip, one after the other."""
    scores = np.concatenate([np.zeros(width), scores, np.zeros(width)])
    smooth = scipy.signal.medfilt(scores, width)[width:-width]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], smooth >= off, [0]])))
    runs = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if smooth[a:b].max() >= on]
    events = []
    for a, b in runs:
        if events and a - events[-1][1] <= bridge:
            events[-1] = (events[-1][0], b)
        else:
            events.append((a, b))
    return [(a, b) for a, b in events if b - a >= shortest]


def test_double_threshold_by_hand():
    # Card 43's example: p ≥ 0.8 starts, p ≥ 0.2 extends both ways.
    p = [0.1, 0.3, 0.9, 0.5, 0.1, 0.3, 0.85, 0.2, 0.1]
    assert spans(decode([p], Decode(on=0.8, off=0.2))) == [(1, 4), (5, 8)]


def test_peak_and_mean_are_those_of_the_frames_that_count():
    end = decode([[0.0, 0.5, 1.0, 0.6, 0.0]], Decode(on=0.8, off=0.4))[-1]
    assert (end.peak, end.mean, end.reason) == (1.0, 0.7, "offset")


def test_begin_comes_as_soon_as_the_rules_allow():
    decoder = Decoder(["a"], Decode(on=0.5, off=0.5, min_duration=0.06))
    decoder.reset("e")
    found = [decoder.push(ScoreBlock("e", t, HOP, RATE, np.ones((1, 1), np.float32), HOP)) for t in range(5)]
    assert [len(f) for f in found] == [0, 0, 1, 0, 0]
    assert (found[2][0].type, found[2][0].onset) == ("begin", 0)


def test_merge_gap_and_minimum_duration_by_hand():
    p = [1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert spans(decode([p], Decode(on=0.5, off=0.5, merge_gap=0.04))) == [(0, 4), (7, 8)]
    assert spans(decode([p], Decode(on=0.5, off=0.5, merge_gap=0.04, min_duration=0.08))) == [(0, 4)]


def test_open_events_end_with_the_piece_and_say_why():
    end = decode([[0, 1, 1]], Decode(on=0.5, off=0.5))[-1]
    assert (end.type, end.onset, end.offset, end.reason) == ("end", HOP, 3 * HOP, "stop")


def test_overlapping_windows_reach_to_their_end():
    decoder = Decoder(["a"], Decode(on=0.5, off=0.5, min_duration=4.0))
    decoder.reset("e")
    block = ScoreBlock("e", 0, RATE, RATE, np.array([[0], [1], [1], [0]], np.float32), 3 * RATE)
    end = (decoder.push(block) + decoder.flush("stop"))[-1]
    assert (end.onset, end.offset) == (RATE, 5 * RATE)


def test_overlapping_windows_that_touch_are_one_event():
    decoder = Decoder(["a"], Decode(on=0.5, off=0.5))
    decoder.reset("e")
    scores = np.array([[1], [0], [0], [1], [0], [0], [0], [1]], np.float32)
    found = decoder.push(ScoreBlock("e", 0, RATE, RATE, scores, 3 * RATE)) + decoder.flush("stop")
    assert [(d.onset // RATE, d.offset // RATE) for d in found if d.type == "end"] == [(0, 6), (7, 10)]


def test_classes_have_their_own_rules_and_ignored_ones_none():
    rules = Decode(on=0.5, off=0.5, ignore=["b"], labels={"a": Rule(on=0.9)})
    found = decode([[0.7, 0.95, 0.7], [1, 1, 1]], rules)
    assert spans(found) == [(0, 3)]
    assert not spans(found, "b")
    assert found[0].rule == "on 0.9 off 0.5 median 0s min 0s merge 0s"


def test_a_score_block_that_does_not_join_is_refused():
    decoder = Decoder(["a"], Decode())
    decoder.reset("e")
    decoder.push(ScoreBlock("e", 3, HOP, RATE, np.zeros((2, 1), np.float32), HOP))
    with pytest.raises(ValueError, match="expected score 5"):
        decoder.push(ScoreBlock("e", 6, HOP, RATE, np.zeros((2, 1), np.float32), HOP))


tenths = st.integers(0, 10).map(lambda n: n / 10)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(tenths, tenths), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=8),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(0, 6),
    st.integers(0, 1000),
)
def test_any_blocks_give_the_reference_and_the_same_detections(scores, cuts, width, shortest, bridge, first):
    rules = Decode(
        on=0.7,
        off=0.4,
        median=width * 0.02,
        min_duration=shortest * 0.02,
        merge_gap=bridge * 0.02,
        labels={"b": Rule(median=0.0)},
    )
    columns = np.array(scores).T
    cuts = sorted(min(c, len(scores)) for c in cuts)
    found = decode(columns, rules, cuts, first)
    assert found == decode(columns, rules, first=first)
    odd = 2 * round((width - 1) / 2) + 1 if width > 1 else 1
    for label, column, w in (("a", columns[0], odd), ("b", columns[1], 1)):
        want = [(a + first, b + first) for a, b in reference(column, 0.7, 0.4, w, max(1, shortest), bridge)]
        assert spans(found, label) == want
        assert sum(d.type == "begin" and d.label == label for d in found) == len(want)
