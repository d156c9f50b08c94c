"""Windows that are labelled one by one are heard as their recording is: in one piece."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training.data.dataset import Dataset, Item
from training.evaluation.heard import hear_windows
from training.evaluation.targets import Target

RATE, HOP = 1000, 20
LONG = 3.6


class Ramp(Item):
    """A recording whose samples count."""

    def samples(self, rate):
        return np.arange(round(self.start * rate), round(min(self.stop, LONG) * rate), dtype=np.float32)


def scorer(samples):
    """Scores that tell where in the recording they lie, and are late as all networks are: by what came before."""
    frames = samples[: len(samples) // HOP * HOP : HOP]
    scores = np.stack([frames / 4000, np.full_like(frames, len(frames) / 1000)], axis=1)
    return ScoreBlock("r", 0, HOP, RATE, scores.astype(np.float32), HOP)


TARGET = Target("net", "float network", ("b", "a"), RATE, Decode(), scorer, None, lambda *_: False, None, None)
ITEMS = tuple(Ramp(f"x@{k}", Path("x"), weak=(k % 2,), start=float(k), stop=min(k + 1.0, LONG)) for k in range(4))


def test_each_window_has_its_frames_of_the_whole():
    heard = hear_windows(TARGET, Dataset("set", ("a", "b"), ITEMS), 1.0)
    assert [h.item.weak for h in heard] == [(1,), (0,), (1,), (0,)]  # with the classes of the network
    assert [len(h.block.scores) for h in heard] == [50, 50, 50, 30]
    assert [h.seconds for h in heard] == pytest.approx([1, 1, 1, 0.6])
    joined = np.concatenate([h.block.scores for h in heard])
    np.testing.assert_array_equal(joined, scorer(np.arange(3600, dtype=np.float32)).scores)


def test_a_hole_parts_what_is_heard():
    heard = hear_windows(TARGET, Dataset("set", ("a", "b"), (*ITEMS[:1], *ITEMS[2:])), 1.0)
    assert [h.block.scores[0, 1] for h in heard] == pytest.approx([0.05, 0.08, 0.08])


def test_running_clip_scores_are_cut_with_them():
    pooling = replace(TARGET, scorer=lambda samples: replace(scorer(samples), clip=scorer(samples).scores))
    heard = hear_windows(pooling, Dataset("set", ("a", "b"), ITEMS), 1.0)
    np.testing.assert_array_equal(heard[1].block.clip, heard[1].block.scores)
    assert heard[1].clip[0] == heard[1].block.scores[-1, 0]
