"""No split ever puts a group on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import splits
from training.data.dataset import Dataset, Item
from training.data.splits import Split


def dataset(*items: tuple[tuple[int, ...] | None, str, int | None]) -> Dataset:
    """Items of classes, group and fold."""
    made = [Item(f"{k}", Path(f"{k}.wav"), weak=w, group=g, fold=f) for k, (w, g, f) in enumerate(items)]
    return Dataset("set", tuple("abcd"), tuple(made))


weak = st.one_of(st.none(), st.lists(st.integers(0, 3), unique=True, max_size=3).map(lambda x: tuple(sorted(x))))
single = st.integers(0, 3).map(lambda k: (k,))
group = st.sampled_from(["", "x", "y", "z", "w", "v"])


@settings(max_examples=20, deadline=None)
@given(
    st.one_of(*(st.lists(st.tuples(w, group, st.none()), min_size=2, max_size=25) for w in (weak, single))),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_no_group_crosses_and_every_recording_is_tested_once(items, count, seed):
    made = dataset(*items)
    if count > len(splits.groups(made)):
        with pytest.raises(ValueError, match=r"expected 2 to \d+ folds \(a group never crosses\)"):
            splits.k_folds(made, count, seed)
        return
    parts = splits.k_folds(made, count, seed)
    for part in parts:
        assert not splits.groups(part.train) & splits.groups(part.test)
        assert {i.name for i in part.train.items} | {i.name for i in part.test.items} == {i.name for i in made.items}
    assert sorted(i.name for part in parts for i in part.test.items) == sorted(i.name for i in made.items)
    again = splits.k_folds(made, count, seed)
    assert [p.test.items for p in again] == [p.test.items for p in parts]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(single, group, st.none()), min_size=12, max_size=40), st.integers(0, 3))
def test_an_inner_split_stays_inside_the_training_part(items, seed):
    made = dataset(*[((k % 4,), f"always {k}", None) for k in range(6)], *items)
    outer = splits.hold_out(made, 0.5, seed)
    inner = splits.hold_out(outer.train, 0.34, seed)
    assert splits.groups(inner.train) | splits.groups(inner.test) == splits.groups(outer.train)
    assert not splits.groups(inner.test) & splits.groups(outer.test)


def test_folds_of_one_class_each_are_even():
    made = dataset(*[((k % 4,), f"{k}", None) for k in range(40)])
    for part in splits.k_folds(made, 5, 0):
        assert [len(items) for items in part.test.by_label()] == [2, 2, 2, 2]


def test_official_folds_by_hand():
    made = dataset(((0,), "x", 1), ((1,), "y", 2), ((0,), "z", 2), ((1,), "w", 3))
    part = splits.by_fold(made, [2])
    assert ([i.name for i in part.train.items], [i.name for i in part.test.items]) == (["0", "3"], ["1", "2"])
    assert [p.name for p in splits.every_fold(made)] == ["fold 1", "fold 2", "fold 3"]
    assert len(splits.leave_one_out(made)) == 4


def test_official_folds_that_part_a_group_are_refused():
    made = dataset(((0,), "x", 1), ((1,), "x", 2))
    with pytest.raises(ValueError, match="set fold 2: expected every group in one part, got 'group x' in both"):
        splits.by_fold(made, [2])


def test_two_stretches_of_one_file_are_one_group():
    items = [Item(f"a@{k}", Path("a.wav"), weak=(0,), start=k, fold=k) for k in range(2)]
    with pytest.raises(ValueError, match=r"got 'file a\.wav' in both"):
        splits.by_fold(Dataset("set", ("a",), tuple(items)), [1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: splits.by_fold(d, [9]), "expected some, not all, of the folds 1, 2, got 9"),
        (lambda d: splits.by_fold(d, [1, 2]), "expected some, not all, of the folds 1, 2, got 1, 2"),
        (lambda d: splits.by_fold(d, []), "got none"),
        (splits.by_split, "expected the part train, got none"),
        (lambda d: splits.hold_out(d, 0.7, 0), "expected a share to hold out over 0 and at most 0.5, got 0.7"),
        (lambda d: splits.hold_out(d, 0.1, 0), r"expected 2 to 2 folds \(a group never crosses\), got 10"),
        (lambda d: Split(d, d.where(lambda item: False)), "set: expected recordings in the test part, got none"),
    ],
)
def test_impossible_splits_say_what_is_there(call, message):
    made = dataset(((0,), "x", 1), ((1,), "y", 2))
    with pytest.raises(ValueError, match=message):
        call(made)


def test_a_set_without_folds_says_so():
    with pytest.raises(ValueError, match="expected an official fold for each recording, got none for '0'"):
        splits.every_fold(dataset(((0,), "x", None)))


def test_official_parts():
    items = [Item(f"{k}", Path(f"{k}"), weak=(0,), split=s) for k, s in enumerate(("train", "test", "eval", "train"))]
    part = splits.by_split(Dataset("set", ("a",), tuple(items)), test=("test", "eval"))
    assert [len(part.train), len(part.test)] == [2, 2]
