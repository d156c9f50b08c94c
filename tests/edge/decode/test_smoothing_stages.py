"""What scores go through before the thresholds: the cards' examples, slow references, and any cut of the blocks."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.decode.chain import Chain
from edge.decode.decoder import Decoder, lookahead, rule_of
from edge.decode.viterbi import NEAR
from edge.errors import CardError
from edge.inference import check, store
from edge.inference.card import Decode, Rule, Viterbi

FRAME = 0.02
# Card 14's example: a lone 0.8 that is removed, and a 0.4 in a gap that is filled.
CARD_14 = [0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1, 0.8, 0.9, 0.4, 0.9, 0.8, 0.9, 0.1, 0.1, 0.1, 0.1]
TEN = Viterbi(event=10 * FRAME, pause=10 * FRAME, lag=1.0)  # a tenth of the frames changes the state


def smoothed(scores, rules, cuts=(), clips=None):
    """What one rule, or one per column, makes of scores [T] or [T, C]."""
    scores = np.array(scores, np.float32).reshape(len(scores), -1)
    clips = None if clips is None else np.array(clips, np.float32).reshape(scores.shape)
    chain = Chain(rules if isinstance(rules, list) else [rules] * scores.shape[1], FRAME)
    parts = [
        chain.push(scores[a:b], None if clips is None else clips[a:b])
        for a, b in zip([0, *cuts], [*cuts, len(scores)], strict=True)
    ]
    return np.concatenate([*parts, chain.flush()])


def frames_on(scores, rule, **more):
    return np.flatnonzero(smoothed(scores, rule, **more)[:, 0] >= rule.off).tolist()


def path_score(states, p, leave_on, leave_off):
    """Log probability of a path: the slow and obvious sum."""
    total = sum(np.log(x if s else 1 - x) for s, x in zip(states, p, strict=True))
    for a, b in pairwise(states):
        leave = leave_on if a else leave_off
        total += np.log(1 - leave if a == b else leave)
    return total


def best_path_score(p, leave_on, leave_off):
    """Log probability of the most likely path, by the textbook's table of two rows."""
    moves = np.log([[1 - leave_off, leave_off], [leave_on, 1 - leave_on]])
    best = np.log([1 - p[0], p[0]])
    for x in p[1:]:
        best = (best[:, None] + moves).max(0) + np.log([1 - x, x])
    return best.max()


def test_card_14s_path_by_hand():
    rule = Decode(on=0.5, off=0.5, viterbi=TEN)
    assert frames_on(CARD_14, rule) == [8, 9, 10, 11, 12, 13]
    assert np.flatnonzero(np.array(CARD_14) >= 0.5).tolist() == [3, 8, 9, 11, 12, 13]  # a threshold alone


def test_card_14s_medians_by_hand():
    track = [0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0]
    for width, expected in ((3, [5, 6, 7, 8, 9, 10]), (5, [4, 5, 6, 7, 8, 9])):
        assert frames_on(track, Decode(on=0.5, off=0.5, median=width * FRAME)) == expected


def test_card_03_a_median_of_51_frames_deletes_runs_of_25_and_fills_gaps_of_25():
    rule = Decode(on=0.5, off=0.5, median=51 * FRAME)
    for frames, kept in ((25, False), (26, True)):
        run = np.r_[np.zeros(100), np.ones(frames), np.zeros(100)]
        assert bool(frames_on(run, rule)) is kept
        assert (len(frames_on(1 - run, rule)) == len(run)) is not kept


def test_a_moving_average_by_hand():
    # Three frames of a third each; before and behind lie zeros.
    assert smoothed([0.9, 0.0, 0.0, 0.6, 0.6], Decode(mean=0.06))[:, 0] == pytest.approx([0.3, 0.3, 0.2, 0.4, 0.4])


def test_rescaling_by_hand():
    # The range of three frames: 0.1 alone is flat; then 0.1 … 0.3, 0.1 … 0.3, 0.2 … 0.3, 0.2 flat.
    found = smoothed([0.1, 0.3, 0.2, 0.2, 0.2], Decode(rescale=0.06))[:, 0]
    assert found == pytest.approx([0.0, 1.0, 0.5, 0.0, 0.0])


def test_card_12s_order_average_of_the_rescaled_then_gaps_of_200_ms_are_merged():
    # Segments [1.0, 1.5] and [1.65, 2.0] become one, [1.0, 1.5] and [1.75, 2.0] stay two.
    for second, expected in ((1.65, [(1.0, 2.0)]), (1.75, [(1.0, 1.5), (1.75, 2.0)])):
        t = np.arange(250) * 0.01
        scores = 0.1 + 0.05 * (((t >= 0.999) & (t < 1.499)) | ((t >= second - 0.001) & (t < 1.999)))
        decoder = Decoder(["a"], Decode(on=0.5, off=0.5, rescale=10.0, merge_gap=0.2))
        decoder.reset("e")
        found = decoder.push(ScoreBlock("e", 0, 10, 1000, scores[:, None].astype(np.float32), 10)) + decoder.flush("")
        assert [(d.onset / 1000, d.offset / 1000) for d in found if d.type == "end"] == expected


def test_the_clip_gate_keeps_what_a_clip_score_within_reach_allows():
    scores, clips = [0.9] * 8, [0, 0, 0, 0, 0.7, 0, 0, 0]
    for ahead, kept in ((0, [4]), (2, [2, 3, 4]), (100, [0, 1, 2, 3, 4])):
        assert frames_on(scores, Decode(on=0.5, off=0.5, clip_on=0.6, clip_ahead=ahead * FRAME), clips=clips) == kept


def test_a_gate_that_is_shut_leaves_no_event_and_one_that_is_open_all_of_them():
    rng = np.random.default_rng(0)
    scores = rng.random((200, 3))
    open_, shut = (smoothed(scores, Decode(clip_on=0.5, clip_ahead=10.0), clips=np.full((200, 3), v)) for v in (1, 0))
    assert (open_ == scores.astype(np.float32)).all()
    assert not shut.any()


def test_a_gate_without_clip_scores_is_refused():
    with pytest.raises(ValueError, match="`clip_on` needs a clip score for each of 3 frames"):
        smoothed([0.1, 0.2, 0.3], Decode(clip_on=0.5))
    card = store.load_card(store.find("esc10-s"))
    gated = Decode(labels={"rain": Rule(clip_on=0.5)})
    with pytest.raises(CardError, match=r"`decode.clip_on` must be 0 for a model without `output.clip`"):
        check.check_card(type(card)(**{f: getattr(card, f) for f in card.__struct_fields__} | {"decode": gated}), "x")


probabilities = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=60)
leaves = st.floats(0.01, 0.5)


@settings(max_examples=100, deadline=None)
@given(probabilities, leaves, leaves)
def test_with_lag_enough_no_path_is_more_likely(p, leave_on, leave_off):
    p = np.array(p, np.float32).astype(float)
    rule = Decode(on=0.5, off=0.5, viterbi=Viterbi(event=FRAME / leave_on, pause=FRAME / leave_off, lag=10.0))
    states = smoothed(p, rule)[:, 0] >= 0.5
    found = path_score(states, p, leave_on, leave_off)
    assert found == pytest.approx(best_path_score(p, leave_on, leave_off), abs=1e-6)
    if len(p) <= 8:
        every = max(path_score(s, p, leave_on, leave_off) for s in product((0, 1), repeat=len(p)))
        assert found == pytest.approx(every, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(probabilities, leaves, leaves, st.integers(0, 12))
def test_each_frame_is_decided_by_the_best_path_to_the_lag_behind_it(p, leave_on, leave_off, lag):
    p = np.array(p, np.float32).astype(float)
    durations = {"event": FRAME / leave_on, "pause": FRAME / leave_off}
    states = smoothed(p, Decode(on=0.5, off=0.5, viterbi=Viterbi(**durations, lag=lag * FRAME)))[:, 0] >= 0.5
    for t in range(len(p)):
        heard = p[: t + lag + 1]
        whole = smoothed(heard, Decode(on=0.5, off=0.5, viterbi=Viterbi(**durations, lag=10.0)))[:, 0] >= 0.5
        assert states[t] == whole[t]


def test_the_score_that_speaks_for_neither_state_is_the_threshold():
    # A network whose scores stay low: 0.07 as the neutral score instead of 0.5 gives the same path of its odds.
    odds = np.log(np.array(CARD_14) / (1 - np.array(CARD_14))) + np.log(0.07 / 0.93)
    low = 1 / (1 + np.exp(-odds))
    assert frames_on(low, Decode(on=0.07, off=0.03, viterbi=TEN)) == [8, 9, 10, 11, 12, 13]


def test_scores_move_only_as_far_as_the_path_asks():
    found = smoothed(CARD_14, Decode(on=0.5, off=0.5, viterbi=TEN))[:, 0]
    moved = np.flatnonzero(found != np.array(CARD_14, np.float32)).tolist()
    assert moved == [3, 10]
    assert found[10] == 0.5
    assert found[3] < 0.5 < found[3] + 1e-6


def test_certain_scores_are_taken_as_nearly_certain():
    rule = Decode(on=0.5, off=0.5, viterbi=Viterbi(event=1.0, pause=1.0, lag=10.0))
    found = smoothed([0, 1, 0, 0.5, 0.5], rule)[:, 0] >= 0.5
    assert np.isfinite(path_score(found, np.clip([0, 1, 0, 0.5, 0.5], NEAR, 1 - NEAR), 0.02, 0.02))
    assert found.tolist() == [False, True, False, False, False]


ALL = Decode(
    on=0.6, off=0.4, clip_on=0.3, clip_ahead=0.05, rescale=0.31, mean=0.07, median=0.1, min_duration=0.04,
    merge_gap=0.06, viterbi=Viterbi(event=0.2, pause=0.1, lag=0.08),
    labels={"b": Rule(mean=0.0, clip_ahead=0.2), "c": Rule(clip_on=0.0, rescale=0.0, viterbi=TEN)},
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 80), st.lists(st.integers(0, 80), max_size=12), st.integers(0, 999))
def test_any_blocks_give_the_same_events_to_the_last_bit(seed, count, cuts, first):
    rng = np.random.default_rng(seed)
    scores, clips = (1 / (1 + np.exp(-np.cumsum(rng.normal(0, 0.7, (count, 3)), 0))) for _ in range(2))
    scores, clips = scores.astype(np.float32), clips.astype(np.float32)

    def decided(cuts):
        decoder = Decoder(["a", "b", "c"], ALL)
        decoder.reset("e")
        found = []
        for a, b in zip([0, *cuts], [*cuts, count], strict=True):
            found += decoder.push(ScoreBlock("e", first + a, 320, 16_000, scores[a:b], 320, clip=clips[a:b]))
        return found + decoder.flush("stop")

    cuts = sorted(min(c, count) for c in cuts)
    assert decided(cuts) == decided([])
    assert decided(range(1, count)) == decided([])


def test_the_declared_lookahead_is_what_a_decision_waits_for():
    # 0.05 → 2 frames, 0.07 → 3 of which 1 is ahead, lag 4, median 5 of which 2 are ahead: 9 frames of 20 ms.
    rule = rule_of(ALL, "a")
    assert lookahead(rule, FRAME) == pytest.approx(9 * FRAME)
    rng = np.random.default_rng(1)
    scores, clips = rng.random((60, 1)), np.ones((60, 1))
    chain = Chain([rule], FRAME)
    given = [len(chain.push(np.float32(scores[t : t + 1]), np.float32(clips[t : t + 1]))) for t in range(60)]
    assert given == [0] * 9 + [1] * 51
    base = smoothed(scores, rule, clips=clips)
    changed = scores.copy()
    changed[40:] = 1 - changed[40:]
    assert (smoothed(changed, rule, clips=clips)[: 40 - 9] == base[: 40 - 9]).all()


def test_the_rule_of_an_event_says_what_smoothed_it_and_how_late():
    decoder = Decoder(["a", "c"], ALL)
    decoder.reset("e")
    scores = np.ones((40, 2), np.float32)
    found = decoder.push(ScoreBlock("e", 0, 320, 16_000, scores, 320, clip=scores)) + decoder.flush("stop")
    assert next(d.rule for d in found if d.label == "c") == (
        "on 0.6 off 0.4 mean 0.07s viterbi 0.2s/0.2s lag 1s median 0.1s min 0.04s merge 0.06s lookahead 1.06s"
    )
