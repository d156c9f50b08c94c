"""Scenes: seeded, and taught where they sound."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from edge.frontend import spec
from training.data import decode
from training.data.activity import level
from training.data.dataset import Dataset, Item, Sound
from training.data.shelf import Shelf
from training.sampling import Material
from training.sampling.scenes import Scenes, SceneSettings

RATE = 16_000
LABELS = ("tone", "noise", "rain")
SPEC = spec.parse(
    {
        "rate": RATE,
        "frames": {"window": 512, "hop": 320},
        "bands": {"kind": "mel", "count": 32, "low": 50.0, "high": 8000.0},
        "scale": {"kind": "ln", "floor": 1e-10},
    }
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def items(tmp_path):
    """A second each of a tone and of noise, half a second of silence around them."""
    rng = np.random.default_rng(0)
    sounds = {"tone": 0.3 * np.sin(2 * np.pi * 800 * np.arange(RATE) / RATE), "noise": 0.1 * rng.standard_normal(RATE)}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.flac", np.pad(sound, RATE // 2), RATE)
    return [Item(name, tmp_path / f"{name}.flac", weak=(k,)) for k, name in enumerate(sounds)]


def scenes(items, quiet=(), **settings):
    recordings = Dataset("quiet", (), tuple(quiet)) if quiet else None
    material = Material(Dataset("clips", LABELS, tuple(items)), recordings, Shelf(RATE), SPEC)
    return Scenes(SceneSettings(**settings), material)


def test_a_batch_is_a_function_of_seed_and_step(items):
    first = scenes(items, seconds=2.0).batch(4, 1, 3)
    again = scenes(items, seconds=2.0).batch(4, 1, 3)
    assert (first.features.shape, first.frame.shape) == ((4, 99, 32), (4, 99, 3))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.frame, again.frame)
    assert not torch.equal(first.features, scenes(items, seconds=2.0).batch(4, 1, 4).features)


def test_targets_are_one_where_the_scene_is_loud_and_zero_where_it_is_silent(items):
    drawn = scenes(items[:1], seconds=3.0, negative=0.0, second=0.0, background=0.0, colour=0.0, aligned=0.0)
    for seed in range(10):
        samples, targets = drawn.positive(np.random.default_rng(seed))
        loud = level(samples, 320)[: len(targets)]
        assert loud[targets[:, 0] == 1].min() > -60
        assert loud[targets[:, 0] == 0].max(initial=-120) < -100
        assert not targets[:, 1:].any()


def test_annotated_times_go_before_energy_and_shrink_with_the_speed(items):
    marked = [Item("a", items[0].path, weak=(0,), strong=(Sound(0, 0.6, 1.0),))]
    drawn = scenes(marked, seconds=2.0)
    sound = np.ones(RATE, np.float32)  # a recording of 2 s, played twice as fast
    marks = drawn.marks(sound, marked[0], 0, factor=2.0)
    assert np.flatnonzero(marks == 1).tolist() == list(range(15, 25))  # 0.3 … 0.5 s at 50 frames a second


def test_two_events_give_the_union_of_their_labels(items):
    _, targets = scenes(items, seconds=2.0, second=1.0, aligned=1.0).positive(np.random.default_rng(0))
    assert (targets == 1).any(axis=0).tolist() == [True, True, False]


def test_a_negative_scene_teaches_no_class_as_present_and_leaves_out_what_noise_could_be(items, tmp_path):
    soundfile.write(tmp_path / "quiet.flac", np.zeros(RATE), RATE)
    drawn = scenes(items, [Item("quiet", tmp_path / "quiet.flac")], seconds=1.0, ambiguous=["rain"])
    doubtful = 0
    for seed in range(30):
        samples, targets = drawn.negative(np.random.default_rng(seed))
        assert targets.max() <= 0
        assert np.isfinite(samples).all()
        assert (targets[:, :2] == 0).all()
        doubtful += bool((targets[:, 2] == -1).all())
    assert 0 < doubtful < 30


def test_settings_that_name_an_unknown_label_are_refused(items):
    with pytest.raises(ValueError, match="sampling: expected labels of tone, noise, rain, got 'dog'"):
        scenes(items, pauses={"dog": 1.0})
