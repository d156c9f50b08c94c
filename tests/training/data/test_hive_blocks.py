"""Blocks of hive recordings: the card's annotation, worked by hand, and what must hold of any."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.blocks import balanced, blocks, cut, filled
from training.data.dataset import Dataset, Item, Sound
from training.data.splits import leave_one_out

BEE, NOBEE = 0, 1
CARD = (Sound(BEE, 0, 8.0), Sound(NOBEE, 8.01, 15.05), Sound(BEE, 15.06, 300))


def external(*spans):
    return [Sound(NOBEE, *span) for span in spans]


def test_the_annotation_of_the_card_in_blocks_of_a_minute():
    found = blocks(CARD, NOBEE, 300, 60)
    assert [block.external for block in found] == [True, False, False, False, False]
    assert found[0].strength == pytest.approx(0.117, abs=5e-4)
    assert [block.strength for block in found[1:]] == [0] * 4


def test_the_annotation_of_the_card_in_blocks_of_half_a_minute():
    found = blocks(CARD, NOBEE, 300, 30)
    assert found[0].strength == pytest.approx(0.235, abs=5e-4)
    assert [block.external for block in found] == [True] + 9 * [False]


def test_a_short_sound_counts_only_without_a_least_duration():
    short = external((8.01, 10.0))
    assert blocks(short, NOBEE, 60, 60)[0].external
    assert not blocks(short, NOBEE, 60, 60, least=5)[0].external


def test_it_is_the_whole_sound_that_must_be_long_not_its_part_in_the_block():
    found = blocks(external((58, 64)), NOBEE, 120, 60, least=5)
    assert [block.external for block in found] == [True, True]


def test_the_rest_of_a_recording_is_a_shorter_block():
    assert [(block.start, block.stop) for block in blocks([], NOBEE, 67, 60)] == [(0, 60), (60, 67)]


SPANS = st.lists(st.tuples(st.floats(0, 470), st.floats(0.1, 20)), max_size=12).map(
    lambda some: external(*((onset, onset + length) for onset, length in some))
)


@settings(deadline=None)
@given(SPANS, st.sampled_from([15, 30, 60, 120]), st.floats(0, 10))
def test_longer_blocks_have_no_fewer_externals_and_a_larger_least_duration_no_more(sounds, length, least):
    def share(size, shortest):
        return np.mean([block.external for block in blocks(sounds, NOBEE, 480, size, shortest)])

    assert share(2 * length, least) >= share(length, least)
    assert share(length, least + 1) <= share(length, least)


def test_a_rest_is_repeated_with_its_own_period():
    rest = np.arange(7, dtype=np.float32)
    whole = filled(rest, 60)
    assert len(whole) == 60
    assert np.array_equal(whole[7:], whole[:-7])
    assert np.array_equal(filled(np.arange(99, dtype=np.float32), 60), np.arange(60))
    with pytest.raises(ValueError, match="expected samples to repeat, got none"):
        filled(np.zeros(0, np.float32), 3)


def test_rarer_blocks_are_duplicated_up_to_the_others_and_none_is_left_out():
    classes = np.array([0] * 9 + [1] * 3)
    indices = balanced(classes, seed=1)
    assert np.bincount(classes[indices]).tolist() == [9, 9]
    assert set(indices) == set(range(12))


def test_blocks_of_a_hive_stay_together():
    items = tuple(
        Item(f"{hive}_{k}", Path(f"{hive}_{k}.wav"), strong=CARD, weak=(BEE, NOBEE), group=hive)
        for hive in ("Hive1", "Hive2", "CF003")
        for k in range(2)
    )
    whole = cut(Dataset("hives", ("bee", "nobee"), items), NOBEE, 60)
    assert len(whole) == 6 * 5
    assert [item.weak for item in whole.items[:5]] == [(1,), (0,), (0,), (0,), (0,)]
    assert (whole.items[1].start, whole.items[1].stop, whole.items[1].name) == (60, 120, "Hive1_0@60")
    splits = leave_one_out(whole)
    assert [(len(split.train), len(split.test)) for split in splits] == [(20, 10)] * 3


def test_a_model_may_call_the_classes_otherwise_than_the_files_do(tmp_path):
    from training.data.formats import lab

    soundfile.write(tmp_path / "Hive1_a.wav", np.zeros(8000), 8000)
    (tmp_path / "Hive1_a.lab").write_text("Hive1_a\n0\t0.5\tbee\n0.5\t1\tnobee\n.\n")
    named = lab.load(lab.LabSettings(names=("bee", "hive_external")), tmp_path)
    assert named.labels == ("bee", "hive_external")
    assert [sound.label for sound in named.items[0].strong] == [0, 1]
    with pytest.raises(ValueError, match="names: expected one for each of the labels bee, nobee, got bee"):
        lab.load(lab.LabSettings(names=("bee",)), tmp_path)
