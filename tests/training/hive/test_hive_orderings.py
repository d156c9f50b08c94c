"""Orderings on hives: parts that hold what they say, classifiers that cannot know a hive they never heard, verdicts."""

import itertools
import re

import numpy as np
import pytest
import soundfile

from training.data.dataset import Sound
from training.data.formats import lab
from training.data.splits import by_fold
from training.hive import network, orderings
from training.hive.generate import write
from training.hive.orderings import KNOWN, UNSEEN, Ordering, Row, Size
from training.hive.vary import Blocks, Setting, areas, blocks_of, splits

NAMES = tuple(f"Hive{hive}_{number:03d}.wav" for hive in range(1, 13) for number in range(1, 5))
TINY = Size(seeds=1, hives=2, recordings=2, seconds=12, share=0.4, block=2, least=1, parts=2, steps=1, batch=2)


@pytest.mark.parametrize("split", [KNOWN, UNSEEN])
def test_every_recording_is_in_one_part(split):
    parts = splits(hives=12, recordings=4, parts=3)[split]
    assert len(parts) == 3
    assert [sum(bool(re.search(part, name)) for part in parts) for name in NAMES] == [1] * len(NAMES)


def test_parts_of_unseen_hives_are_whole_and_those_of_known_hives_have_all():
    def hives(split):
        parts = splits(hives=12, recordings=4, parts=3)[split]
        return [{name.split("_")[0] for name in NAMES if re.search(part, name)} for part in parts]

    assert hives(UNSEEN)[0] == {"Hive1", "Hive4", "Hive7", "Hive10"}
    assert not set.intersection(*hives(UNSEEN))
    assert [len(found) for found in hives(KNOWN)] == [12, 12, 12]


def test_more_parts_than_hives_are_refused():
    with pytest.raises(ValueError, match="got 4 parts of 3 hives with 5 recordings"):
        splits(hives=3, recordings=5, parts=4)


def hand_made(sign_of_hive):
    """16 hives, as far from each other; a sound from outside moves one feature, in each hive by its own sign."""
    rng = np.random.default_rng(0)
    names = [f"Hive{hive}_{number:03d}.wav" for hive in range(1, 17) for number in range(1, 5) for _ in range(2)]
    y, hive = np.arange(len(names)) % 2, np.arange(len(names)) // 8
    moved = sign_of_hive(hive) * (y - 0.5) * 4 + rng.normal(0, 0.3, len(names))
    return Blocks(tuple(names), {False: np.column_stack([moved, 10 * np.eye(16)[hive]])}, {5.0: y})


def test_what_each_hive_has_its_own_way_is_learnt_in_known_hives_alone():
    blocks, parts = hand_made(lambda hive: (-1) ** (hive // 4)), splits(16, 4, 4)  # two of each sign in a part
    known, unseen = (areas(blocks, parts[split], Setting())[0] for split in (KNOWN, UNSEEN))
    assert known > 0.99
    assert 0.4 < unseen < 0.6


def test_what_all_hives_share_is_learnt_from_others_if_features_are_standardised():
    blocks, parts = hand_made(np.ones_like), splits(16, 4, 4)
    assert areas(blocks, parts[UNSEEN], Setting(standardise=True))[0] > 0.99


def test_the_first_coefficient_and_the_short_sounds_are_the_settings_choice():
    blocks = hand_made(np.ones_like)
    other = Blocks(blocks.names, {True: blocks.vectors[False]}, {0.0: blocks.external[5.0]})
    parts = splits(16, 4, 4)[KNOWN]
    assert areas(other, parts, Setting(first=True, least=0.0)) == areas(blocks, parts, Setting())
    with pytest.raises(KeyError):
        areas(other, parts, Setting())


def test_a_part_of_one_class_is_left_out():
    blocks = hand_made(np.ones_like)
    alone = Blocks(blocks.names, blocks.vectors, {5.0: np.zeros(len(blocks.names), np.int64)})
    assert np.isnan(areas(alone, splits(16, 4, 4)[KNOWN], Setting())).all()


def test_blocks_are_those_of_the_annotation(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * 22050)
    soundfile.write(tmp_path / "Hive1_001.wav", noise, 22050)
    bounds = [0, 4, 5, 6.5, 9.5, 10]  # bee, a second of something, bee, three seconds, bee
    sounds = [Sound(k % 2, on, off) for k, (on, off) in enumerate(itertools.pairwise(bounds))]
    lab.write(tmp_path / "Hive1_001.lab", sounds, ("bee", "nobee"))
    found = blocks_of(tmp_path, 3.0, (0.0, 2.0))
    assert found.names == ("Hive1_001.wav",) * 4  # the last second is repeated
    assert (found.vectors[False].shape, found.vectors[True].shape) == ((4, 114), (4, 120))
    assert {least: external.tolist() for least, external in found.external.items()} == {
        0.0: [0, 1, 1, 1],
        2.0: [0, 0, 1, 1],
    }


def test_an_ordering_counts_where_every_seed_has_it():
    assert Ordering("a", [0.9, 0.8], [0.7, 0.7]).verdict() == "found"
    assert Ordering("a", [0.6, 0.6], [0.7, 0.7]).verdict() == "opposite"
    assert Ordering("a", [0.9, 0.6], [0.7, 0.7]).verdict() == "undecided"
    assert Ordering("a", [0.9, 0.1], [0.7]).verdict() == "found"  # the second seed was not measured on the right
    assert Ordering("a", [0.9, 0.7], [0.89, 0.69], alike=True).verdict() == "found"
    assert Ordering("a", [0.9, 0.1], [0.7]).told() == "a (0.900 against 0.700)"


def made(method, **figures):
    row = Row(method, "")
    for split in (KNOWN, UNSEEN):
        row.add(split, (figures[split.split()[0]], figures["learnt"]))
    return row


def test_the_page_says_which_orderings_were_found():
    svm = {change: made("SVM", known=0.8, unseen=0.5, learnt=1.0) for change in orderings.settings(TINY)}
    svm["half S"] = made("SVM", known=0.9, unseen=0.5, learnt=1.0)
    text = orderings.section(svm, made("CNN", known=0.6, unseen=0.55, learnt=0.7), TINY)["text"]
    assert "nothing of a real hive" in text
    found, text = text.split("Found: ")[1].split(" Not found, but the opposite: ")
    opposite, undecided = text.split(" Not found: seeds differ: ")
    assert "better in known hives than in unseen ones (0.800 against 0.500)" in found
    assert "of Θ = 0 the CNN is better than the SVM in unseen hives (0.550 against 0.500)" in found
    assert opposite == "S is better than half of it for the SVM (0.800 against 0.900)."
    assert "without c0 (0.800 against 0.800)" in undecided


def test_the_network_is_compared_with_an_svm_of_its_own_labels():
    svm = {change: made("SVM", known=0.8, unseen=0.5, learnt=1.0) for change in orderings.settings(TINY)}
    svm["Θ = 0"] = made("SVM", known=0.99, unseen=0.9, learnt=1.0)
    found = orderings.orderings(svm, made("CNN", known=0.9, unseen=0.8, learnt=0.95))
    verdicts = {one.claim: one.verdict() for one in found}
    assert verdicts["of Θ = 0 the CNN is better than the SVM in unseen hives"] == "opposite"
    assert verdicts["of Θ = 0 the SVM has a larger gap than the CNN"] == "opposite"


def test_tiny_hives_go_all_the_way_with_an_svm(tmp_path):
    rows = orderings.svms(tmp_path, TINY)
    assert sorted(path.name for path in (tmp_path / "hives0").glob("*.wav")) == [
        "Hive1_001.wav", "Hive1_002.wav", "Hive2_001.wav", "Hive2_002.wav",
    ]  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "hives0").iterdir()}
    orderings.generated(tmp_path, TINY, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "hives0").iterdir()} == before
    assert all(0 <= area <= 1 for row in rows.values() for area in row.test[KNOWN])


@pytest.mark.long
def test_tiny_hives_go_all_the_way_with_a_network(tmp_path):
    row = orderings.cnn(tmp_path, TINY)
    assert all(0 <= area <= 1 for split in (KNOWN, UNSEEN) for area in row.test[split])
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "hives0-known-hives-1",
        "hives0-unseen-hives-1",
    ]


def test_the_networks_folds_are_the_parts(tmp_path):
    write(tmp_path / "hives0", hives=2, recordings=2, seconds=3, rate=8000, seed=0)

    def held_out(split):
        chosen = network.recipe(tmp_path / "hives0", splits(2, 2, 2)[split], block=1.0, least=0.0, steps=1, batch=2)
        dataset = chosen.data.load(tmp_path)
        assert len(dataset) == 12
        return {item.path.stem for item in by_fold(dataset, [1]).test.items}

    assert held_out(KNOWN) == {"Hive1_001", "Hive2_001"}
    assert held_out(UNSEEN) == {"Hive1_001", "Hive1_002"}
