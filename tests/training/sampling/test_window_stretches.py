"""Stretches of windows: in one piece, each frame with the label of its own window, and no other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge.frontend.spec import parse
from training.data.dataset import Dataset, Item
from training.data.shelf import Shelf
from training.data.windows import beside
from training.sampling import SAMPLERS, Material

RATE = 1000
SPEC = parse({"rate": RATE, "frames": {"window": 100, "hop": 100}, "bands": {"kind": "mel", "count": 4}})
LABELS = {"x": (0, 1, 1, 0, 1, 0), "y": (1,)}  # of each window of one second


class Level(Item):
    """A recording whose samples say in which second of it they lie."""

    def samples(self, rate):
        stop = min(self.stop, len(LABELS[self.path.name]) - 0.4)
        return (np.arange(round(self.start * rate), round(stop * rate)) // rate).astype(np.float32)


def windows(name):
    weak = LABELS[name]
    last = len(weak) - 0.4  # the last window is shorter
    return [
        Level(f"{name}@{k}", Path(name), weak=(0,) if here else (), start=float(k), stop=min(k + 1.0, last))
        for k, here in enumerate(weak)
    ]


def sampler(items, **settings):
    part = SAMPLERS.parse({"kind": "windows", "windows": 2, "seconds": 1.0, **settings}, "sampling")
    return SAMPLERS.build(part, Material(Dataset("set", ("a",), tuple(items)), None, Shelf(RATE), SPEC))


def test_rows_are_recordings_without_holes():
    x, y = windows("x"), windows("y")
    rows = beside([*y, *reversed(x[:2] + x[3:])], 1.0)
    assert [[item.name for item in row] for row in rows] == [["x@0", "x@1"], ["x@3", "x@4", "x@5"], ["y@0"]]


def test_each_frame_has_the_label_of_its_window(monkeypatch):
    one = sampler(windows("x"))
    monkeypatch.setattr(one.front_end, "transform", lambda sound: sound.reshape(-1, 100)[:, :1].astype(np.float32))
    for step in range(5):
        batch = one.batch(4, 0, step)
        for features, targets in zip(batch.features.numpy(), batch.frame.numpy(), strict=True):
            assert len(features) == len(targets) == 20
            second = int(features[0, 0])  # of the recording, where the stretch begins
            assert (features[:10] == second).all()
            assert (targets[:10] == LABELS["x"][second]).all()
            assert (targets[10:] == LABELS["x"][second + 1]).all()


def test_every_window_comes_as_often_as_its_neighbours_but_for_the_ends():
    one, counts = sampler(windows("x")), Counter()
    rng = np.random.default_rng(0)
    for _ in range(7000):
        counts.update(item.name for item in one._stretch(rng))
    # Of seven places, from one before the first window on, the outer ones are moved inside.
    assert [round(counts[f"x@{k}"] / 1000) for k in range(6)] == [2, 3, 2, 2, 3, 2]


def test_behind_a_short_recording_nothing_is_taught():
    batch = sampler(windows("y")).batch(1, 0, 0)
    assert (batch.frame[0, :10] == 1).all()
    assert (batch.frame[0, 10:] == -1).all()
    assert batch.clip is None


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (Item("whole", Path("x"), weak=(0,)), "a whole recording"),
        (Item("long", Path("x"), weak=(0,), start=1.0, stop=3.0), "a longer one"),
        (Item("unknown", Path("x"), start=0.0, stop=1.0), "no labels"),
    ],
)
def test_what_is_no_labelled_window_is_refused(item, found):
    with pytest.raises(
        ValueError, match=rf"{item.name}: expected a labelled window of 1 s \(`data.window`\), got {found}"
    ):
        beside([item], 1.0)
