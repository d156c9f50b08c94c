"""Weak labels of windows, and a fold for each recording: by hand."""

from __future__ import annotations

from pathlib import Path

from training.data.annotations import timed
from training.data.dataset import Dataset, Item, Sound
from training.data.formats import FORMATS
from training.data.windows import fold_per_recording, windows


def item(name, *sounds):
    return timed(Item(name, Path(name)), [Sound(*s) for s in sounds])


def test_a_window_has_what_sounds_in_it_and_not_when():
    # A sound of 1.5 … 2.05 s: its last 0.05 s are too little to be heard in the third window.
    dataset = Dataset("set", ("a", "b"), (item("x", (0, 1.5, 2.05), (1, 0.2, 3.4)),))
    cut = windows(dataset, 1.0, {"x": 3.6}).items
    assert [(w.name, w.start, w.stop, w.weak) for w in cut] == [
        ("x@0", 0.0, 1.0, (1,)), ("x@1", 1.0, 2.0, (0, 1)), ("x@2", 2.0, 3.0, (1,)), ("x@3", 3.0, 3.6, (1,)),
    ]  # fmt: skip
    assert {(w.strong, w.order, w.group) for w in cut} == {(None, None, "x")}


def test_a_short_rest_is_left_out_and_a_short_recording_is_one_window():
    dataset = Dataset("set", ("a",), (item("long"), item("short"), Item("unlabelled", Path("u"))))
    cut = windows(dataset, 1.0, {"long": 2.4, "short": 0.3, "unlabelled": 1.0}).items
    assert [(w.name, w.stop) for w in cut] == [
        ("long@0", 1.0),
        ("long@1", 2.0),
        ("short@0", 0.3),
        ("unlabelled@0", 1.0),
    ]
    assert cut[-1].weak is None


def test_each_recording_with_sounds_is_a_fold_and_the_others_are_dealt_out():
    items = [item("q"), item("a", (0, 0.0, 1.0)), item("r"), item("b", (0, 0.0, 1.0)), item("s")]
    assert [(i.name, i.fold) for i in fold_per_recording(items)] == [("q", 1), ("a", 1), ("r", 2), ("b", 2), ("s", 1)]


def test_a_table_gives_windows_or_whole_recordings(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label,length\na.wav,piha,3.0\nb.wav,hawk,1.0\n")
    times = [(0.2, 0.7), (0.8, 1.0), (2.1, 2.6)]
    rows = "".join(f"a.wav\t{a}\t{b}\tpiha\n" for a, b in times)
    (tmp_path / "strong.tsv").write_text("filename\tonset\toffset\tevent_label\n" + rows)
    table = {"kind": "table", "labels": ["piha"], "others": "negative", "events": "strong.tsv", "merge": 0.15,
             "folds": "recording", "seconds": "length"}  # fmt: skip
    whole = FORMATS.build(FORMATS.parse(table), tmp_path).items
    assert [(i.strong, i.fold) for i in whole] == [((Sound(0, 0.2, 1.0), Sound(0, 2.1, 2.6)), 1), ((), 1)]
    cut = FORMATS.build(FORMATS.parse({**table, "window": 1.0}), tmp_path).items
    assert [(i.name, i.weak) for i in cut] == [("a.wav@0", (0,)), ("a.wav@1", ()), ("a.wav@2", (0,)), ("b.wav@0", ())]
