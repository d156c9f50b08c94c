"""Calls that touch: an event falls into two at a dip."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.decode.decoder import Decoder
from edge.inference.card import Decode

HOP, RATE = 320, 16000  # 20 ms


def detections(scores, rules, cuts=()):
    scores = np.array(scores, np.float32)[:, None]
    decoder = Decoder(["call"], rules)
    decoder.reset("e")
    found = []
    for a, b in zip([0, *cuts], [*cuts, len(scores)], strict=True):
        found += decoder.push(ScoreBlock("e", a, HOP, RATE, scores[a:b], HOP))
    return found + decoder.flush("stop")


def spans(found):
    return [(d.onset // HOP, d.offset // HOP) for d in found if d.type == "end"]


def test_at_a_deep_dip_one_event_ends_and_the_next_begins():
    found = detections([0.9, 1.0, 0.9, 0.6, 0.7, 0.9, 0.8, 0.0], Decode(on=0.5, off=0.5, dip=0.7))
    assert [(d.type, d.onset // HOP) for d in found] == [("begin", 0), ("end", 0), ("begin", 3), ("end", 3)]
    assert spans(found) == [(0, 3), (3, 7)]
    assert [(d.peak, d.mean) for d in found if d.type == "end"] == [(1.0, 0.9333), (0.9, 0.75)]


def test_a_shallow_dip_a_fall_without_a_rise_and_no_rule_leave_one_event():
    touching = [0.9, 1.0, 0.9, 0.75, 0.9, 0.8, 0.0]
    assert spans(detections(touching, Decode(on=0.5, off=0.5, dip=0.7))) == [(0, 6)]
    assert spans(detections([1.0, 0.9, 0.6, 0.6, 0.62], Decode(on=0.5, off=0.5, dip=0.7))) == [(0, 5)]
    assert spans(detections([1.0, 1.0, 0.6, 1.0, 1.0], Decode(on=0.5, off=0.5))) == [(0, 5)]


def test_the_lower_one_of_the_peaks_decides():
    # 0.5 is less than 0.7 of 1.0, not of 0.7; then the score rises on.
    assert spans(detections([1.0, 1.0, 0.5, 0.7], Decode(on=0.5, off=0.4, dip=0.7))) == [(0, 4)]
    assert spans(detections([1.0, 1.0, 0.5, 0.7, 0.72], Decode(on=0.5, off=0.4, dip=0.7))) == [(0, 2), (2, 5)]


def test_parts_too_short_are_no_events_of_their_own():
    rules = Decode(on=0.5, off=0.3, dip=0.7, min_duration=0.06)
    assert spans(detections([1.0, 1.0, 0.4, 1.0, 1.0, 1.0], rules)) == [(0, 6)]  # the first would have two frames
    assert spans(detections([1.0, 1.0, 1.0, 0.4, 1.0], rules)) == [(0, 3)]  # what follows has two: dropped


def reference(scores, dip, shortest):
    """Frame by frame: the lowest one behind the last peak, once this frame is far enough above it."""
    parts, start = [], 0
    for t in range(1, len(scores)):
        part = scores[start:t]
        top = start + len(part) - 1 - int(np.argmax(part[::-1]))
        behind = scores[top + 1 : t]
        if not len(behind):
            continue
        low = top + 1 + int(np.argmin(behind))
        if scores[low] < dip * min(scores[top], scores[t]) and low - start >= shortest:
            parts.append((start, low))
            start = low
    return [part for part in [*parts, (start, len(scores))] if part[1] - part[0] >= shortest]


@given(
    st.lists(st.integers(1, 10), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.7, 0.9]),
    st.integers(1, 4),
    st.data(),
)
def test_any_blocks_give_the_reference(tenths, dip, shortest, data):
    scores = np.array(tenths, np.float32) / np.float32(10)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(scores)), max_size=4)))
    rules = Decode(on=0.1, off=0.1, dip=dip, min_duration=shortest * HOP / RATE)
    found = detections(scores, rules, cuts)
    assert spans(found) == reference(scores.astype(float), dip, shortest)
    assert found == detections(scores, rules)
