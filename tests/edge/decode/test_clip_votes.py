"""Events as long as the clips that have the class (card 43, SED1): one clip, an endless stream, any cut of blocks."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.decode.clipvotes import ClipVotes
from edge.decode.decoder import Decoder, lookahead, rule_of
from edge.errors import CardError
from edge.inference import check, store
from edge.inference.card import Decode, Rule

FRAME = 0.02
RULES = Decode(on=0.8, off=0.2, median=0.1, labels={"hum": Rule(on=0.5, off=0.5, clip_events=True, clip_ahead=0.2)})


def decided(frames, clips, cuts=(), rules=RULES):
    """Events of ``hum`` and ``bark`` at 50 scores a second; begins and ends as they come."""
    decoder = Decoder(["hum", "bark"], rules)
    decoder.reset("e")
    found = []
    for a, b in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        found += decoder.push(ScoreBlock("e", a, 320, 16_000, frames[a:b], 320, clip=clips[a:b]))
    return found + decoder.flush("stop")


def votes(clips, window):
    """The mean over all windows of the piece that hold a frame: slow and obvious."""
    last = len(clips) - 1
    windows = [(max(0, t - window + 1), t) for t in range(len(clips)) if t >= window - 1 or t == last]
    return [np.mean([clips[t] for first, t in windows if first <= k <= t]) for k in range(len(clips))]


@pytest.mark.parametrize(("last", "event"), [(0.6, [(0, 9 * 320)]), (0.4, [])])
def test_a_recording_of_one_clip_is_one_event_or_none_as_its_clip_score_says(last, event):
    # What shorter windows said before does not count, nor do frames.
    frames, clips = np.zeros((9, 2), np.float32), np.full((9, 2), 1 - last, np.float32)
    clips[-1] = last
    assert [(d.onset, d.offset) for d in decided(frames, clips) if (d.label, d.type) == ("hum", "end")] == event


def test_a_long_sound_in_a_stream_keeps_its_edges():
    # Windows of five frames say .2 .4 .6 .8 1 from its first frame on: those that hold it .6 on average, as by hand.
    sound = np.r_[np.zeros(10), np.ones(20), np.zeros(10)]
    clips = np.array([sound[max(0, t - 4) : t + 1].mean() for t in range(40)], np.float32)[:, None]
    stage = ClipVotes(5, 1)
    found = np.concatenate([stage.push(clips, clips), stage.flush()])[:, 0]
    assert found[8:12] == pytest.approx([0.24, 0.4, 0.6, 0.76])
    assert np.flatnonzero(found >= 0.5).tolist() == np.flatnonzero(sound).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 60), st.integers(1, 20), st.lists(st.integers(0, 60), max_size=8))
def test_each_frame_has_the_mean_of_the_windows_that_hold_it(seed, count, window, cuts):
    clips = np.random.default_rng(seed).random((count, 1), np.float32)
    stage, cuts = ClipVotes(window, 1), sorted(min(c, count) for c in cuts)
    parts = [stage.push(clips[a:b], clips[a:b]) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]
    found = np.concatenate([*parts, stage.flush()])
    assert found[:, 0] == pytest.approx(votes(clips[:, 0], window), abs=1e-6)
    stage.reset()
    assert (np.concatenate([stage.push(clips, clips), stage.flush()]) == found).all()  # to the last bit


def test_a_certain_score_stays_what_it_is():
    clips = np.full((30, 1), 0.3, np.float32)
    stage = ClipVotes(7, 1)
    assert (np.concatenate([stage.push(clips, clips), stage.flush()]) == np.float32(0.3)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 80), st.lists(st.integers(0, 80), max_size=12))
def test_any_blocks_give_the_same_events_beside_a_class_of_frames(seed, count, cuts):
    rng = np.random.default_rng(seed)
    frames, clips = (1 / (1 + np.exp(-np.cumsum(rng.normal(0, 0.7, (count, 2)), 0))) for _ in range(2))
    frames, clips = frames.astype(np.float32), clips.astype(np.float32)
    whole = decided(frames, clips)
    assert decided(frames, clips, sorted(min(c, count) for c in cuts)) == whole
    assert decided(frames, clips, range(1, count)) == whole


def test_a_decision_waits_for_the_last_window_that_holds_the_frame_and_no_longer():
    # 0.2 s are 10 frames: a frame is the first of a window that ends 9 frames later.
    assert lookahead(rule_of(RULES, "hum"), FRAME) == pytest.approx(0.18)
    assert lookahead(rule_of(RULES, "bark"), FRAME) == pytest.approx(0.04)
    clips = np.ones((40, 2), np.float32)
    decoder = Decoder(["hum"], RULES)
    decoder.reset("e")
    begun = [
        len(decoder.push(ScoreBlock("e", t, 320, 16_000, clips[t : t + 1, :1], 320, clip=clips[t : t + 1, :1])))
        for t in range(40)
    ]
    assert np.flatnonzero(begun).tolist() == [9]


def test_the_rule_of_an_event_says_that_clips_made_it_and_how_late():
    clips = np.ones((40, 2), np.float32)
    texts = {d.label: d.rule for d in decided(clips, clips)}
    assert texts["hum"] == "on 0.5 off 0.5 clips of 0.2s min 0s merge 0s lookahead 0.18s"
    assert texts["bark"] == "on 0.8 off 0.2 median 0.1s min 0s merge 0s"


def test_events_of_clips_need_clip_scores_and_their_length():
    with pytest.raises(ValueError, match="`clip_events` needs a clip score for each of 3 frames"):
        Decoder(["hum"], RULES).push(ScoreBlock("", 0, 320, 16_000, np.ones((3, 1), np.float32), 320))
    card = store.load_card(store.find("esc10-s"))
    rules = Decode(labels={"rain": Rule(clip_events=True)})
    with pytest.raises(CardError, match=r"`decode.labels.rain.clip_events` must be false for a model without"):
        check.check_card(msgspec.structs.replace(card, decode=rules), "x")
    pooling = msgspec.structs.replace(card, output=msgspec.structs.replace(card.output, clip="clip"), decode=rules)
    with pytest.raises(CardError, match=r"`decode.labels.rain.clip_ahead` must be the seconds that clip scores pool"):
        check.check_card(pooling, "x")
