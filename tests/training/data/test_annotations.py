"""Strong labels become weaker ones by hand-worked examples, and survive their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import annotations, tables
from training.data.annotations import merge, order_names, order_of, parse_order, weak_of, weak_of_order
from training.data.dataset import Dataset, Item, Sound

LABELS = ("blender", "dishes", "speech")


def test_card_15s_pattern_two_words_over_a_blender():
    sounds = [Sound(2, 0.0, 2.0), Sound(0, 1.0, 5.0), Sound(2, 3.0, 6.0)]
    order = ["speech_start", "blender_start", "speech_end", "speech_start", "blender_end", "speech_end"]
    assert order_names(order_of(sounds), LABELS) == order
    assert parse_order(order, LABELS, "here") == order_of(sounds)
    assert weak_of_order(order_of(sounds)) == weak_of(sounds) == (0, 2)


def test_an_end_comes_before_a_beginning_at_the_same_moment():
    assert order_of([Sound(0, 0.0, 1.0), Sound(1, 1.0, 2.0)]) == (0, 1, 2, 3)


def test_sounds_of_one_class_are_joined_over_short_gaps():
    sounds = [Sound(1, 0.0, 1.0), Sound(1, 1.1, 2.0), Sound(1, 2.5, 3.0), Sound(0, 1.0, 1.05)]
    assert merge(sounds, gap=0.15) == (Sound(1, 0.0, 2.0), Sound(0, 1.0, 1.05), Sound(1, 2.5, 3.0))
    assert merge([Sound(0, 0.0, 5.0), Sound(0, 1.0, 2.0)]) == (Sound(0, 0.0, 5.0),)


def times(span: tuple[int, int]) -> tuple[float, float]:
    return span[0] / 16_000, (span[0] + span[1]) / 16_000


sounds = st.lists(
    st.builds(
        lambda k, span: Sound(k, *times(span)),
        st.integers(0, 2),
        st.tuples(st.integers(0, 160_000), st.integers(1, 80_000)),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(sounds)
def test_an_order_begins_each_class_before_it_ends_it(some):
    order = order_of(some)
    for label in range(3):
        own = [symbol % 2 for symbol in order if symbol // 2 == label]
        assert own == [0, 1] * (len(own) // 2)
    assert weak_of_order(order) == weak_of(some)


@settings(max_examples=25, deadline=None)
@given(st.lists(sounds, min_size=1, max_size=4))
def test_files_bring_back_what_was_written_to_the_sample(tmp_path_factory, scenes):
    folder = tmp_path_factory.mktemp("tsv")
    items = [
        Item(f"{k}.wav", Path(f"{k}.wav"), weak_of(some), annotations.by_onset(some), order_of(some))
        for k, some in enumerate(scenes)
    ]
    dataset = Dataset("set", LABELS, tuple(items))
    annotations.write_strong(folder / "strong.tsv", dataset)
    annotations.write_order(folder / "order.tsv", dataset)
    annotations.write_weak(folder / "weak.tsv", dataset)
    back: dict[str, list[Sound]] = {item.name: [] for item in items}
    for row in tables.read(folder / "strong.tsv", ("filename", "onset", "offset", "event_label")):
        sound = annotations.sound_of(row, LABELS)
        back[row["filename"]] += [sound] if sound else []
    for item in items:
        written = [(s.label, round(s.onset * 16_000), round(s.offset * 16_000)) for s in item.strong]
        read = [(s.label, round(s.onset * 16_000), round(s.offset * 16_000)) for s in back[item.name]]
        assert read == written
    orders = tables.read(folder / "order.tsv", ("filename", "event_order"))
    assert [parse_order(tables.split_labels(r["event_order"], ";"), LABELS, "") for r in orders] == [
        item.order for item in items
    ]
    assert len(tables.read(folder / "weak.tsv", ("filename", "event_labels"))) == len(items)


def test_a_set_forgets_what_is_not_to_be_known():
    item = Item("a", Path("a"), (0,), (Sound(0, 1.0, 2.0),), (0, 1))
    dataset = Dataset("set", LABELS, (item, Item("b", Path("b"))))
    assert [(i.weak, i.strong, i.order) for i in annotations.sequential(dataset).items] == [
        ((0,), None, (0, 1)), (None, None, None),
    ]  # fmt: skip
    assert next((i.weak, i.strong, i.order) for i in annotations.weak(dataset).items) == ((0,), None, None)
    assert annotations.unlabelled(dataset).items[0].weak is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dishes"], "here: expected names that end in _start or _end, got 'dishes'"),
        (["cat_start"], "here: expected labels of blender, dishes, speech, got 'cat'"),
    ],
)
def test_a_wrong_boundary_is_named(names, message):
    with pytest.raises(ValueError, match=message):
        parse_order(names, LABELS, "here")
