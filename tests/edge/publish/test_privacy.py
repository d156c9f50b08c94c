"""The privacy gate: what it masks, worked out by hand, and that it fails safe."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.config.clips import Privacy
from edge.errors import ConfigError
from edge.publish.privacy import Gate, union

LABELS = ("rain", "voice")
PRIVACY = Privacy(labels=("Voice",), threshold=0.5, look_ahead=1.0, hold=2.0)
RATE = 100  # source; the model's is 50, a frame 5 of its samples: 0.1 s, 10 source samples


def block(first, voice, hop=5, span=5):
    scores = np.zeros((len(voice), 2), np.float32)
    scores[:, 1] = voice
    return ScoreBlock("e", first, hop, 50, scores, span)


def gate(privacy=PRIVACY, models=(LABELS,), joined=False):
    one = Gate(privacy, models)
    one.begin(RATE, joined)
    return one


def test_a_private_frame_masks_the_look_ahead_before_it_and_the_hold_behind_it():
    one = gate()
    one.push(block(0, [0.0] * 50 + [0.5, 0.9] + [0.0] * 48), LABELS)  # voice from 5.0 s to 5.2 s, judged up to 10 s
    assert one.masked(0, 900) == [(400, 720)]
    assert one.masked(500, 600) == [(500, 600)]
    assert one.masked(0, 400) == one.masked(720, 900) == []


def test_what_is_not_judged_yet_is_private_and_so_is_the_look_ahead_before_it():
    one = gate()
    one.push(block(0, [0.0] * 50), LABELS)
    assert one.masked(0, 500) == [(400, 500)]
    assert not one.decided(401)
    assert one.decided(400)


def test_a_stretch_without_scores_is_private():
    one = gate()
    one.push(block(0, [0.0] * 10), LABELS)
    one.push(block(20, [0.0] * 80), LABELS)  # 1.0 s to 2.0 s were lost
    assert one.masked(0, 900) == [(0, 400)]


def test_a_score_that_is_no_number_is_private():
    one = gate()
    one.push(block(0, [0.0] * 40 + [np.nan] + [0.0] * 59), LABELS)
    assert one.masked(0, 900) == [(300, 610)]


def test_an_overlapping_window_is_masked_over_its_whole_span():
    one = gate()
    one.push(block(0, [0.0] * 30 + [0.8] + [0.0] * 69, span=50), LABELS)  # from 3 s on the window hears 1 s
    assert one.masked(0, 900) == [(200, 600)]


def test_sound_that_follows_unjudged_sound_is_held():
    assert gate(joined=True).masked(0, 50) == [(0, 50)]
    one = gate(joined=True)
    one.push(block(0, [0.0] * 100), LABELS)
    assert one.masked(0, 900) == [(0, 200)]


def test_every_model_that_knows_the_class_is_waited_for_and_others_are_not():
    other = ("bird", "speech")
    one = gate(Privacy(labels=("voice", "speech"), look_ahead=1.0, hold=2.0), (LABELS, other, ("wind",)))
    one.push(block(0, [0.0] * 100), LABELS)
    assert not one.decided(100)
    one.push(block(0, [0.0] * 30 + [1.0] + [0.0] * 69), other)
    assert one.decided(900)
    assert one.masked(0, 900) == [(200, 510)]


def test_a_label_that_no_model_knows_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"clips.privacy.labels: expected .* got 'speech'; .*: rain, voice"):
        Gate(Privacy(labels=("speech",)), [LABELS])


def test_without_labels_nothing_is_masked():
    one = gate(Privacy())
    assert (bool(one), one.masked(0, 1000), one.decided(10**9)) == (False, [], True)


def test_forgetting_changes_nothing_later():
    one = gate()
    one.push(block(0, ([0.0] * 20 + [1.0]) * 10), LABELS)
    before = one.masked(1000, 2000)
    one.forget(1000)
    assert one.masked(1000, 2000) == before


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.data())
def test_the_mask_does_not_depend_on_chunking_and_equals_a_sample_by_sample_count(scores, data):
    one, stop = gate(), len(scores) * 10
    first = 0
    while first < len(scores):
        count = data.draw(st.integers(1, len(scores) - first))
        one.push(block(first, scores[first : first + count]), LABELS)
        first += count
    expected = np.zeros(stop, bool)
    for frame, score in enumerate([*scores, 1.0]):  # what comes next is unknown
        if score >= 0.5:
            expected[max(0, frame * 10 - 100) : (frame + 1) * 10 + 200] = True
    found = np.zeros(stop, bool)
    for a, b in one.masked(0, stop):
        found[a:b] = True
    assert np.array_equal(found, expected)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))))
def test_the_union_covers_the_same_samples(spans):
    joined = union(spans)
    assert {i for a, b in joined for i in range(a, b)} == {i for a, b in spans for i in range(a, b)}
    assert all(b < c for (_, b), (c, _) in pairwise(joined))
