"""Decoding of states, by hand: what is told, when, with which confidence, and what outlasts a pause."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.config import Rules
from edge.decode.decoder import Decoder
from edge.inference.card import Decode, Rule

HOP, RATE = 8000, 8000  # a score a second
LABELS = ("queenright", "queenless", "swarming")
SURE = {"A": (0.8, 0.1, 0.1), "B": (0.1, 0.7, 0.2), "C": (0.0, 0.1, 0.9), "?": (0.4, 0.3, 0.3)}
FOUR = Decode(on=0.5, min_duration=4.0, states=True)


def scores(letters):
    return np.array([SURE[letter] for letter in letters], np.float32)


def decode(letters, rules=FOUR, cuts=(), decoder=None, first=0, span=HOP):
    decoder = decoder or Decoder(LABELS, rules)
    decoder.reset("e")
    rows, found = scores(letters), []
    for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        found += decoder.push(ScoreBlock("e", first + a, HOP, RATE, rows[a:b], span))
    return found


def told(found):
    """Type, label, and onset and offset in seconds."""
    return [(d.type, d.label, d.onset // HOP, None if d.offset is None else d.offset // HOP) for d in found]


def test_only_a_change_is_told_and_neither_doubt_nor_a_short_rival_is_one():
    decoder = Decoder(LABELS, FOUR)
    found = decode("AAAAB" + "BA??A" + "BBCBBBB" + "B", decoder=decoder)
    assert told(found) == [
        ("begin", "queenright", 0, None),
        ("end", "queenright", 0, 10),  # its last frame is the tenth
        ("begin", "queenless", 13, None),  # the run before C broke off
    ]
    assert told(decoder.flush("stop")) == [("end", "queenless", 13, 18)]


def test_the_confidence_is_the_mean_score_of_the_frames_that_told_it():
    rows = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.7, 0.3], [0.3, 0.7], [0.1, 0.9]], np.float32)
    decoder = Decoder(["a", "b"], Decode(on=0.5, min_duration=2.0, states=True))
    decoder.reset("e")
    found = decoder.push(ScoreBlock("e", 0, HOP, RATE, rows, HOP))
    assert [(d.type, d.label, d.mean, d.peak, d.reason) for d in found] == [
        ("begin", "a", 0.75, 0.9, None),
        ("end", "a", 0.7333, 0.9, "offset"),
        ("begin", "b", 0.8, 0.9, None),
    ]
    assert found[0].rule == "states on 0.5 median 0s min 2s"


def test_a_change_is_told_with_the_frame_that_completes_the_dwell():
    decoder = Decoder(LABELS, FOUR)
    decoder.reset("e")
    sizes = []
    for t, row in enumerate(scores("AAAAABBBBB")):
        sizes.append(len(decoder.push(ScoreBlock("e", t, HOP, RATE, row[None], HOP))))
    assert sizes == [0, 0, 0, 1, 0, 0, 0, 0, 2, 0]


def test_a_pause_ends_no_state_and_the_dwell_counts_what_was_judged():
    decoder = Decoder(LABELS, FOUR)
    found = decode("AAAABB", decoder=decoder)
    assert told(found) == [("begin", "queenright", 0, None)]
    assert decoder.flush("gate") == []
    found = decode("BBA", decoder=decoder, first=100)
    assert told(found) == [("end", "queenright", 0, 4), ("begin", "queenless", 4, None)]
    assert decoder.flush("gate") == []
    assert told(decoder.flush("gap")) == [("end", "queenless", 4, 102)]  # lost meanwhile: up to what was judged
    assert decoder.flush("stop") == []


def test_the_same_state_behind_a_pause_is_no_event():
    decoder = Decoder(LABELS, FOUR)
    decode("AAAAA", decoder=decoder)
    decoder.flush("gate")
    assert decode("AAAA", decoder=decoder, first=50) == []


def test_a_loss_forgets_the_state():
    decoder = Decoder(LABELS, FOUR)
    decode("AAAA", decoder=decoder)
    assert [(d.type, d.reason) for d in decoder.flush("gap")] == [("end", "gap")]
    assert told(decode("AAAA", decoder=decoder, first=50)) == [("begin", "queenright", 50, None)]


def test_a_score_that_is_no_number_tells_no_state():
    rows = np.array([[np.nan, 0.9]] * 5, np.float32)
    decoder = Decoder(["a", "b"], Decode(states=True))
    decoder.reset("e")
    assert decoder.push(ScoreBlock("e", 0, HOP, RATE, rows, HOP)) == []


def test_overlapping_windows_cover_the_dwell_together():
    # Windows of 3 s every second: two of them have heard 4 s.
    assert [d.label for d in decode("AA", span=3 * HOP)] == ["queenright"]
    assert decode("A", span=3 * HOP) == []


def test_states_are_smoothed_before_they_compete():
    rules = msgspec.structs.replace(FOUR, min_duration=2.0, median=3.0)
    assert [d.label for d in decode("AAAABAAACAAAA", rules)] == ["queenright"]


def test_thresholds_and_dwells_may_differ_and_ignored_classes_do_not_compete():
    rules = Decode(on=0.5, min_duration=2.0, states=True, labels={"swarming": Rule(on=0.95, min_duration=1.0)})
    assert [d.label for d in decode("AACCC", rules)] == ["queenright"]
    rules = Decode(on=0.15, min_duration=1.0, states=True, ignore=["swarming"])
    assert told(decode("CB", rules)) == [("begin", "queenless", 1, None)]


@settings(max_examples=50, deadline=None)
@given(st.text("AABBC?", max_size=60), st.lists(st.integers(0, 60), max_size=8), st.sampled_from([0.0, 3.0]))
def test_any_chunking_gives_the_same(letters, cuts, median):
    rules = msgspec.structs.replace(FOUR, min_duration=3.0, median=median)
    one, many = Decoder(LABELS, rules), Decoder(LABELS, rules)
    cuts = sorted(min(cut, len(letters)) for cut in cuts)
    whole = decode(letters, decoder=one) + one.flush("stop")
    assert decode(letters, cuts=cuts, decoder=many) + many.flush("stop") == whole
    begun = [d.label for d in whole if d.type == "begin"]
    assert all(a != b for a, b in pairwise(begun))  # a change is one


def test_a_configuration_makes_states_of_a_models_classes():
    card = Decode(labels={"swarming": Rule(on=0.9, median=2.0)}, median=1.0)
    rules = Rules(states=True, min_duration=60.0).over(card)
    assert (rules.states, rules.min_duration, rules.median) == (True, 60.0, 1.0)
    assert rules.labels == {"swarming": Rule(on=0.9, min_duration=60.0)}
    assert not Rules().over(card).states
    assert Rules().over(card).labels == card.labels


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (Decode(states=True, labels={"b": Rule(median=1.0)}), "decode.labels.b.*only on and min_duration.*median"),
        (Decode(states=True, ignore=["b"]), "decode.states.*two classes or more that are not ignored.*1"),
    ],
)
def test_a_card_whose_states_cannot_be_compared_is_refused(decode, message):
    from edge.errors import CardError
    from edge.inference import check, store

    card = store.load_card(store.find("esc10-s"))
    card = msgspec.structs.replace(card, labels=["a", "b"], decode=decode)
    with pytest.raises(CardError, match=message):
        check.check_card(card, "card.toml")
