"""Of two networks the one that tells a class better teaches it on (card 34)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edge.frontend.spec import parse
from training.data import decode
from training.data.dataset import Dataset, Item, Sound
from training.data.shelf import Shelf
from training.layers.heads import Scores
from training.procedures.iterate import IterateSettings, iterate
from training.procedures.registry import Job
from training.procedures.rivals import best_of, f1_of, merged
from training.procedures.stages import Shown
from training.sampling import Material

SPEC = parse({"rate": 8000, "frames": {"window": 800, "hop": 800}, "bands": {"kind": "mel", "count": 4}})
SILENCE = np.zeros(16_000, np.float32)  # twenty frames of 0.1 s


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    monkeypatch.setattr(decode, "decode", lambda *_: SILENCE)
    monkeypatch.setattr(Item, "samples", lambda *_: SILENCE)


class Saying(nn.Module):
    """Says the same of every recording."""

    def __init__(self, frames):
        super().__init__()
        self.frames = nn.Parameter(torch.from_numpy(frames), requires_grad=False)

    def forward(self, features):
        return Scores(self.frames[None], None)


def frames(*classes):
    """Twenty frames in which each class sounds from a frame to another."""
    out = np.full((20, len(classes)), 0.1, np.float32)
    for label, (onset, stop) in enumerate(classes):
        out[onset:stop, label] = 0.9
    return out


def job(tmp_path, *items):
    dataset = Dataset("set", ("a", "b"), tuple(items))
    material = Material(dataset, None, Shelf(8000), SPEC)
    return Job(nn.Identity(), lambda *_: None, lambda *_: None, tmp_path / "c", material=material, inner=dataset)


def known(**labels):
    return Item("one", None, **labels)


STRONG = known(weak=(0, 1), strong=(Sound(0, 0.5, 1.0), Sound(1, 1.0, 1.5)))


def test_events_decide_where_times_are_known(tmp_path):
    """Class a is told at its time by the first network, class b by the second."""
    first, second = frames((5, 10), (0, 5)), frames((12, 17), (10, 15))
    assert best_of(job(tmp_path, STRONG), [Saying(first), Saying(second)], lambda x: x) == [0, 1]
    assert best_of(job(tmp_path, STRONG), [Saying(second), Saying(first)], lambda x: x) == [1, 0]


def test_f1_of_events_by_hand(tmp_path):
    """One recording: a is matched. Another, in which a does not sound: one event too many. 2·1 / (2 + 1)."""
    quiet = known(weak=(), strong=())
    said = [Shown(item, frames((5, 10), (0, 0)), np.zeros(2)) for item in (STRONG, quiet)]
    assert f1_of(said, job(tmp_path, STRONG, quiet)).tolist() == [pytest.approx(2 / 3), 0.0]


def test_clips_decide_where_times_are_not_known(tmp_path):
    """Three clips, two of them with the class; found in one of these and in the third: 2·1 / (2 + 2)."""
    items = known(weak=(0,)), known(weak=(0,)), known(weak=())
    loud, quiet = frames((3, 4), (0, 0)), frames((0, 0), (0, 0))
    said = [Shown(*one, np.zeros(2)) for one in zip(items, (loud, quiet, loud), strict=True)]
    assert f1_of(said, job(tmp_path, *items)).tolist() == [0.5, 0.0]


def test_it_is_the_smoothed_frames_that_are_judged(tmp_path):
    item = known(weak=(0,))
    first, second = frames((0, 0), (0, 0)), frames((3, 4), (0, 0))
    assert best_of(job(tmp_path, item), [Saying(first), Saying(second)], lambda x: x) == [1, 0]
    assert best_of(job(tmp_path, item), [Saying(first), Saying(second)], lambda x: 0 * x) == [0, 0]


def test_each_class_has_the_frames_of_its_best_network():
    first, second = frames((1, 2), (3, 4)), frames((5, 6), (7, 8))
    assert np.array_equal(merged([first, second], [1, 0]), frames((5, 6), (3, 4)))


def test_nothing_held_back_chooses_nothing(tmp_path):
    nothing = replace(job(tmp_path, STRONG), inner=Dataset("", (), ()))
    with pytest.raises(ValueError, match="expected labelled recordings to choose between networks by, got none"):
        best_of(nothing, [], lambda x: x)
    with pytest.raises(ValueError, match="`rival` asks for an inner split"):
        iterate(IterateSettings(rival={"kind": "rcnn"}))(nothing)
