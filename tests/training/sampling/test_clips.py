"""Clips: pieces with the labels that they have, changed as the recipe lists."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from edge.frontend import spec
from training import augment
from training.data import decode
from training.data.dataset import Dataset, Item, Sound
from training.data.shelf import Shelf
from training.sampling import Material
from training.sampling.clips import Clips, ClipsSettings

RATE = 16_000
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
def path(tmp_path):
    soundfile.write(tmp_path / "tone.flac", 0.1 * np.sin(2 * np.pi * 800 * np.arange(2 * RATE) / RATE), RATE)
    return tmp_path / "tone.flac"


def clips(items, tables=(), **settings):
    chain = augment.Chain(augment.parse(tables), rate=RATE)
    material = Material(Dataset("clips", ("a", "b"), tuple(items)), None, Shelf(RATE), SPEC, chain)
    return Clips(ClipsSettings(**settings), material)


def test_pieces_begin_on_a_grid_where_one_is_asked_for(path):
    """Of half-second pieces one hears all of the first 0.24 s, and the others nothing."""
    item = Item("x", path, weak=(0,), strong=(Sound(0, 0.0, 0.24),))
    heard = {every: clips([item], seconds=0.5, every=every).batch(40, 1, 0).frame[:, :, 0].sum(1) for every in (0.5, 0)}
    assert set(heard[0.5].tolist()) == {0, 12}
    assert len(set(heard[0].tolist())) > 2


def test_a_weak_label_is_the_clips_and_no_frames(path):
    batch = clips([Item("x", path, weak=(1,))], seconds=1.0).batch(3, 1, 0)
    assert batch.frame is None
    assert batch.clip.tolist() == [[0, 1]] * 3


def test_nothing_is_taught_of_an_unlabelled_clip(path):
    batch = clips([Item("x", path)], seconds=1.0, balance="items").batch(2, 1, 0)
    assert (batch.clip == -1).all()


def test_strong_labels_move_with_the_piece(path):
    drawn = clips([Item("x", path, weak=(0,), strong=(Sound(0, 1.0, 1.2),))], seconds=1.0)
    for step in range(20):
        batch = drawn.batch(1, 7, step)
        taught = batch.frame[0, :, 0]
        assert batch.clip[0].tolist() == [float(taught.max()), 0.0]  # a piece before the sound does not have it
        assert int(taught.sum()) <= 10  # 0.2 s at 50 frames a second


def test_rare_classes_are_drawn_as_often_as_common_ones(path):
    items = [Item(f"a{k}", path, weak=(0,)) for k in range(9)] + [Item("b", path, weak=(1,))]
    balanced = clips(items, seconds=0.1).batch(400, 0, 0).clip.mean(0)
    plain = clips(items, seconds=0.1, balance="items").batch(400, 0, 0).clip.mean(0)
    assert balanced[1] == pytest.approx(0.5, abs=0.1)
    assert plain[1] == pytest.approx(0.1, abs=0.06)


def test_augmentations_of_the_recipe_are_heard(path):
    """Ten decibels more are ln(10) more in log power."""
    items = [Item("x", path, weak=(0,))]
    plain = clips(items, seconds=1.0).batch(1, 3, 0).features
    louder = clips(items, [{"kind": "gain", "db": [10.0, 10.0]}], seconds=1.0).batch(1, 3, 0).features
    band = int(plain.mean((0, 1)).argmax())
    assert float((louder - plain)[..., band].mean()) == pytest.approx(np.log(10), abs=0.02)


def test_a_batch_is_a_function_of_seed_and_step(path):
    items = [Item("x", path, weak=(0,)), Item("y", path, weak=(1,))]
    tables = [{"kind": "mixup"}]
    first, again = (clips(items, tables, seconds=1.0).batch(4, 2, 9) for _ in range(2))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.clip, again.clip)
    assert not torch.equal(first.features, clips(items, tables, seconds=1.0).batch(4, 2, 10).features)


def test_labelled_features_are_aligned_to_unlabelled_ones(tmp_path):
    """Noise through a tilted microphone: aligned, its bands have the other recordings' means."""
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(2 * RATE)
    soundfile.write(tmp_path / "old.flac", np.convolve(noise, [1.0, -0.9], "same"), RATE)
    soundfile.write(tmp_path / "new.flac", 0.1 * rng.standard_normal(2 * RATE), RATE)
    items = [Item("old", tmp_path / "old.flac", weak=(0,)), Item("new", tmp_path / "new.flac")]
    plain = clips(items, seconds=1.0, unlabelled=0.5).batch(20, 1, 0)
    found = clips(items, seconds=1.0, unlabelled=0.5, align=1e-3, align_means=True).batch(20, 1, 0)
    torch.testing.assert_close(found.features[10:], plain.features[10:])
    gaps = [(b.features[:10].mean((0, 1)) - b.features[10:].mean((0, 1))).abs().max() for b in (plain, found)]
    assert gaps[0] > 3.0
    assert gaps[1] < 0.5


def test_places_count_alike_however_many_recordings_they_have(path):
    """Of ten quiet recordings of one fold and one of another, the one is drawn for half of the quiet half."""
    many = [Item(f"a{k}", path, weak=(), fold=1, stop=0.5) for k in range(10)]
    items = [Item("x", path, weak=(0,), fold=1), *many, Item("b", path, weak=(), fold=2, stop=1.0)]
    found = clips(items, seconds=1.0, balance="places").batch(200, 1, 0)
    assert found.clip[::2, 0].tolist() == [1.0] * 100
    assert not found.clip[1::2].any()
    whole = (found.features[1::2, -1] > found.features[1::2].min() + 1).any(1)  # the other fold's ends in silence
    assert 35 <= int(whole.sum()) <= 65
