"""Event-based and segment-based figures: the cards' examples, the edge cases, and two libraries against each other."""

import numpy as np
import pytest

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training.data.dataset import Sound
from training.metrics import collar, events, psds

LABELS = ["dog", "cat"]


def figures(reference, estimated, **more):
    return collar.event_figures([reference], [estimated], LABELS, **more)


@pytest.mark.parametrize(
    ("reference", "estimated", "matched"),
    [
        ((1.0, 3.0), (1.15, 3.35), True),  # card 03: 20 % of 2 s = 0.4 s at the offset
        ((1.0, 3.0), (1.25, 3.0), False),  # the onset is 0.25 s off
        ((5.0, 5.5), (5.1, 5.75), False),  # 20 % of 0.5 s is less than 0.2 s, and the offset is 0.25 s off
        ((1.0, 2.0), (1.15, 2.10), True),  # card A
        ((1.0, 2.0), (1.3, 2.0), False),
        ((1.0, 2.0), (1.19, 1.99), True),
    ],
)
def test_the_collar_examples_of_the_cards(reference, estimated, matched):
    found = figures([Sound(0, *reference)], [Sound(0, *estimated)])
    assert found.f1 == (1.0 if matched else 0.0)
    assert found.counts[0, 0].tolist() == [1, 1, int(matched)]


def test_the_wider_collar_matches_what_the_narrow_one_does_not():
    reference, estimated = [Sound(0, 1.0, 2.0)], [Sound(0, 1.3, 2.0)]
    assert figures(reference, estimated, collar=0.2).f1 == 0.0
    assert figures(reference, estimated, collar=0.5).f1 == 1.0


def test_f1_and_error_rate_by_hand():
    # Two dogs, one found, one estimate too many: F1 2·1 / (2 + 2) = 0.5; one cat, missed: F1 0; macro 0.25.
    # Of three references two are missed and one estimate is too many, no substitution of labels at the same place:
    # (0 + 2 + 1) / 3 = 1.
    reference = [Sound(0, 1.0, 2.0), Sound(0, 5.0, 6.0), Sound(1, 8.0, 9.0)]
    found = figures(reference, [Sound(0, 1.1, 2.1), Sound(0, 3.0, 3.5)])
    assert found.by_class == {"dog": 0.5, "cat": 0.0}
    assert found.f1 == 0.25
    assert (found.precision, found.recall) == (0.25, 0.25)
    assert found.error_rate == pytest.approx(1.0)
    assert found.class_error_rate == pytest.approx((2 / 2 + 1 / 1) / 2)  # dogs: one missed, one too many, of two


def test_a_shifted_event_costs_twice_and_wrong_ones_of_a_class_are_set_against_its_own():
    # Card 34: 0.3 s late is one false alarm and one miss. Cats: found, but two too many: (0 + 2) / 1; dogs (1 + 1) / 1.
    reference = [Sound(0, 1.0, 2.0), Sound(1, 5.0, 6.0)]
    estimated = [Sound(0, 1.3, 2.3), Sound(1, 5.0, 6.0), Sound(1, 7.0, 8.0), Sound(1, 8.5, 9.0)]
    found = figures(reference, estimated)
    assert found.counts[0].tolist() == [[1, 1, 0], [1, 3, 1]]
    assert found.class_error_rate == pytest.approx(2.0)
    assert found.by_class == {"dog": 0.0, "cat": 0.5}


def test_a_wrong_label_at_the_right_place_is_one_substitution():
    # One reference, one estimate of another class on it: error rate (1 + 0 + 0) / 1.
    assert figures([Sound(0, 1.0, 2.0)], [Sound(1, 1.0, 2.0)]).error_rate == pytest.approx(1.0)


def test_a_class_without_reference_events_has_no_figure_and_costs_only_error_rate():
    found = figures([Sound(0, 1.0, 2.0)], [Sound(0, 1.0, 2.0), Sound(1, 4.0, 5.0)])
    assert np.isnan(found.by_class["cat"])
    assert found.f1 == 1.0
    assert found.error_rate == pytest.approx(1.0)  # one insertion, one reference


def test_short_events_are_judged_without_the_long_ones():
    """A short event found, one missed, a short false one; the long ones of both sides are none of its business."""
    reference = [Sound(0, 0.0, 0.4), Sound(0, 2.0, 2.9), Sound(0, 5.0, 9.0)]
    estimated = [Sound(0, 0.1, 0.4), Sound(0, 3.5, 3.8), Sound(0, 4.0, 8.0)]
    found = collar.event_figures([collar.shorter(reference, 1.0)], [collar.shorter(estimated, 1.0)], LABELS)
    assert found.counts[0, 0].tolist() == [2, 2, 1]
    assert collar.shorter([Sound(0, 0.0, 1.0)], 1.0) == []


def test_no_events_at_all():
    found = figures([], [])
    assert np.isnan([found.f1, found.error_rate, found.by_class["dog"]]).all()
    assert not found.counts.any()
    silent = figures([Sound(0, 1.0, 2.0)], [])
    assert silent.f1 == 0.0
    assert silent.error_rate == pytest.approx(1.0)


def test_one_estimate_matches_one_reference_only():
    # Both references lie within the collar of the estimate; one stays unmatched: 2·1 / (2 + 1).
    found = figures([Sound(0, 1.0, 2.0), Sound(0, 1.1, 2.1)], [Sound(0, 1.05, 2.05)])
    assert found.f1 == pytest.approx(2 / 3)


def test_segments_by_hand():
    # Reference 1 … 3 fills segments 1, 2 and estimate 1.15 … 3.35 segments 1, 2, 3: F1 2·2 / (2 + 3) = 0.8.
    # Error rate: one insertion of two reference segments.
    found = collar.segment_figures([[Sound(0, 1.0, 3.0)]], [[Sound(0, 1.15, 3.35)]], [10.0], LABELS)
    assert found.f1 == pytest.approx(0.8)
    assert found.error_rate == pytest.approx(0.5)


def test_recordings_do_not_match_across():
    here, nothing = [Sound(0, 1.0, 2.0)], []
    found = collar.event_figures([here, nothing], [nothing, here], LABELS)
    assert found.f1 == 0.0
    assert found.counts.tolist() == [[[1, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]]]


def test_the_macro_f1_of_counts_is_the_librarys():
    rng = np.random.default_rng(3)
    reference, estimated = ([_random(rng) for _ in range(12)] for _ in range(2))
    found = collar.event_figures(reference, estimated, LABELS, collar=1.0)
    assert 0 < found.f1 < 1
    assert collar.macro_f1(found.counts) == pytest.approx(found.f1)


def test_sed_eval_and_sed_scores_eval_agree_on_runs_above_a_threshold():
    # Scores of 0 and 1 are events already, so the threshold-free library has one operating point with events.
    rng = np.random.default_rng(5)
    reference = [_random(rng) for _ in range(20)]
    blocks = [_block(rng.random((200, 2)) > 0.5, 10) for _ in range(20)]
    for block, events_there in zip(blocks, reference, strict=True):
        for e in events_there:  # every other event heard, a little late
            if rng.random() < 0.5:
                block.scores[round(e.onset * 10) + 1 : round(e.offset * 10) + 1, e.label] = 1
    decided = [events.sounds(events.decode(b, LABELS, Decode(on=0.5, off=0.5)), LABELS, b.rate) for b in blocks]
    ours = collar.event_figures(reference, decided, LABELS)
    theirs = psds.best_event_f1(blocks, reference, LABELS)
    assert ours.f1 > 0
    for name in LABELS:
        assert theirs[name][0] == pytest.approx(ours.by_class[name])


def test_psds_of_perfect_and_of_silent_scores():
    reference = [[Sound(0, 1.0, 3.0)], [Sound(0, 0.0, 2.0)]]
    perfect = [_block(np.array([[1.0 <= t / 10 < 3.0, 0] for t in range(100)]), 10),
               _block(np.array([[t / 10 < 2.0, 0] for t in range(100)]), 10)]  # fmt: skip
    silent = [_block(np.zeros((100, 2)), 10) for _ in range(2)]
    for scenario in (psds.PSDS1, psds.PSDS2):
        assert psds.psds(perfect, reference, [10.0, 10.0], LABELS, scenario).score == pytest.approx(1.0)
    assert psds.psds(silent, reference, [10.0, 10.0], LABELS).score == 0.0
    assert psds.psds(perfect, reference, [10.0, 10.0], LABELS).by_class == {"dog": pytest.approx(1.0)}


def test_psds_by_hand():
    # One hour. Two dogs of 10 s; the first scores 0.9, a false alarm elsewhere 0.8, the second dog 0.7.
    # Threshold ≤ 0.9: half at 0 per hour; ≤ 0.7: all at 1 per hour. Area to 100 per hour: (0.5 · 1 + 1 · 99) / 100.
    scores = np.zeros((360, 1))
    scores[10], scores[100], scores[200] = 0.9, 0.8, 0.7
    block = _block(scores, 0.1)
    reference = [[Sound(0, 100.0, 110.0), Sound(0, 2000.0, 2010.0)]]
    found = psds.psds([block], reference, [3600.0], ["dog"])
    assert found.score == pytest.approx(0.995)


def test_psds_takes_reference_events_that_touch_for_one():
    scores = _block(np.array([[1.0 <= t / 10 < 5.0, 0] for t in range(100)]), 10)
    touching, one = ([Sound(0, 1.0, 3.1), Sound(0, 3.0, 5.0)], [Sound(0, 1.0, 5.0)])
    for reference in (touching, one):
        assert psds.psds([scores], [reference], [10.0], LABELS).score == pytest.approx(1.0)
        assert psds.best_event_f1([scores], [reference], LABELS)["dog"][0] == 1.0


def test_psds_needs_an_event():
    with pytest.raises(ValueError, match="expected strong labels, got recordings without a reference event"):
        psds.psds([_block(np.zeros((10, 2)), 10)], [[]], [1.0], LABELS)


def test_the_frames_of_the_score_table_tile_the_recording():
    block = ScoreBlock("r", 0, 160, 1600, np.zeros((3, 2), np.float32), 480)  # windows of 0.3 s every 0.1 s
    table = psds.score_table(block, LABELS)
    assert table["onset"].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert table["offset"].tolist() == pytest.approx([0.1, 0.2, 0.5])


def test_detections_become_stretches_in_seconds():
    block = _block(np.array([[0, 1], [0, 1], [1, 0], [0, 0]]), 10)
    found = events.sounds(events.decode(block, LABELS, Decode(on=0.5, off=0.5)), LABELS, block.rate)
    assert found == (Sound(1, 0.0, 0.2), Sound(0, 0.2, 0.3))


def _block(scores, per_second):
    """Scores at so many frames a second."""
    return ScoreBlock("r", 0, round(1000 / per_second), 1000, np.ascontiguousarray(scores, np.float32), 100)


def _random(rng):
    """A few events of both classes that do not overlap, on a grid of 0.1 s."""
    found = []
    for label in (0, 1):
        edges = np.sort(rng.choice(180, 6, replace=False)) / 10
        found += [Sound(label, float(a), float(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found
