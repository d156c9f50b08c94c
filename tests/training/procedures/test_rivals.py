"""Of several networks and smoothings the ones that tell a class best teach it on (card 34)."""

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
from training.procedures.iterate import IterateSettings, Smoothing, iterate
from training.procedures.registry import Job
from training.procedures.rivals import Rival, best_of, f1_of, merged
from training.procedures.stages import Shown
from training.procedures.targets import smoothed
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


def chosen(job, *rivals):
    """The best network and smoothing of each class, by their numbers."""
    pairs = [Rival(Saying(said) if isinstance(said, np.ndarray) else said, smooth) for said, smooth in rivals]
    return [pairs.index(best) for best in best_of(job, pairs)]


def as_is(scores):
    return scores


def median(scores):
    return smoothed(scores, 3, 0.0)


def known(**labels):
    return Item("one", None, **labels)


STRONG = known(weak=(0, 1), strong=(Sound(0, 0.5, 1.0), Sound(1, 1.0, 1.5)))


def test_events_decide_where_times_are_known(tmp_path):
    """Class a is told at its time by the first network, class b by the second."""
    first, second = frames((5, 10), (0, 5)), frames((12, 17), (10, 15))
    assert chosen(job(tmp_path, STRONG), (first, as_is), (second, as_is)) == [0, 1]
    assert chosen(job(tmp_path, STRONG), (second, as_is), (first, as_is)) == [1, 0]


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
    assert chosen(job(tmp_path, item), (first, as_is), (second, as_is)) == [1, 0]
    assert chosen(job(tmp_path, item), (first, as_is), (second, lambda x: 0 * x)) == [0, 0]


FLICKERING = frames((5, 10), (3, 4))
FLICKERING[[1, 13, 17], 0] = 0.9
SHORT = known(weak=(0, 1), strong=(Sound(0, 0.5, 1.0), Sound(1, 0.3, 0.4)))


def test_each_class_has_the_smoothing_that_tells_it_best(tmp_path):
    """Of class a a median clears away single frames; an event of class b is a single frame, which it would delete."""
    network = Saying(FLICKERING)
    held = job(tmp_path, SHORT)
    assert chosen(held, (network, as_is), (network, median)) == [1, 0]
    best = best_of(held, [Rival(network, as_is), Rival(network, median)])
    ((item, taught),) = merged(held, best, held.material.dataset)
    assert item == SHORT
    assert np.array_equal(taught, frames((5, 10), (3, 4)))


def test_what_chooses_is_held_back_and_not_what_is_learnt_from(tmp_path):
    """Two recordings of the training part speak for the median; the one that is held back does not."""
    held = replace(
        job(tmp_path, STRONG, STRONG), inner=Dataset("inner", ("a", "b"), (known(weak=(), strong=()), SHORT))
    )
    network = Saying(frames((0, 0), (3, 4)))
    assert chosen(held, (network, median), (network, as_is)) == [0, 1]


def test_each_class_has_the_frames_of_its_best_network(tmp_path):
    first, second = Saying(frames((1, 2), (3, 4))), Saying(frames((5, 6), (7, 8)))
    one = job(tmp_path, STRONG)
    ((_, taught),) = merged(one, [Rival(second, as_is), Rival(first, as_is)], one.inner)
    assert np.array_equal(taught, frames((5, 6), (3, 4)))


def test_a_single_rival_is_the_best_without_anything_held_back(tmp_path):
    nothing = replace(job(tmp_path, STRONG), inner=Dataset("", (), ()))
    only = Rival(Saying(FLICKERING), median)
    assert best_of(nothing, [only]) == [only, only]


def test_nothing_held_back_chooses_nothing(tmp_path):
    nothing = replace(job(tmp_path, STRONG), inner=Dataset("", (), ()))
    with pytest.raises(ValueError, match="expected labelled recordings to choose between networks by, got none"):
        best_of(nothing, [])
    for settings in ({"rival": {"kind": "rcnn"}}, {"smoothings": [Smoothing(), Smoothing(sigma=0.0)]}):
        with pytest.raises(ValueError, match="`rival` and several `smoothings` ask for an inner split"):
            iterate(IterateSettings(**settings))(nothing)
