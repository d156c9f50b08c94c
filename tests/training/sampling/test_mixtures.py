"""Mixtures: seeded, shares add up, powers add, and nothing is taught of what can hardly be heard."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from edge.frontend import spec
from training.data import decode
from training.data.dataset import Dataset, Item
from training.data.shelf import Shelf
from training.sampling import Material
from training.sampling.mixtures import Heard, Mixtures, MixtureSettings, bands_only, mixed

RATE = 16_000
LABELS = ("tone", "noise")
SPEC = spec.parse(
    {
        "rate": RATE,
        "frames": {"window": 512, "hop": 320},
        "bands": {"kind": "mel", "count": 32, "low": 50.0, "high": 8000.0},
        "scale": {"kind": "ln", "floor": 1e-10},
    }
)
PLAIN = {
    "gain": (0.0, 0.0), "tilt": 0.0, "band_masks": 0, "time_masks": 0, "speeds": 1, "negatives": 3, "aligned": 1.0,
    "background": 0.0, "negative": 0.0, "mix": 0.0, "seconds": 2.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def make(tmp_path):
    """A second each of a tone and of noise, half a second of silence around them."""
    rng = np.random.default_rng(0)
    sounds = {"tone": 0.3 * np.sin(2 * np.pi * 800 * np.arange(RATE) / RATE), "noise": 0.1 * rng.standard_normal(RATE)}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / f"{name}.flac", np.pad(sound, RATE // 2), RATE)
    items = tuple(Item(name, tmp_path / f"{name}.flac", weak=(k,)) for k, name in enumerate(sounds))

    def build(front_end=SPEC, **settings):
        material = Material(Dataset("clips", LABELS, items, exclusive=True), None, Shelf(RATE), front_end)
        return Mixtures(MixtureSettings(**{**PLAIN, **settings}), material)

    return build


def test_a_batch_is_a_function_of_seed_and_step(make):
    first, again = make(mix=0.5).batch(4, 1, 3), make(mix=0.5).batch(4, 1, 3)
    assert (first.features.shape, first.frame.shape, first.clip.shape) == ((4, 99, 32), (4, 99, 2), (4, 2))
    for a, b in zip(first, again, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)  # no order is known of mixtures
    assert not torch.equal(first.features, make(mix=0.5).batch(4, 1, 4).features)


def test_an_example_without_changes_is_the_front_end_s_own(make):
    sampler = make()
    heard = sampler.draw(np.random.default_rng(0))
    label = int(heard.clip.argmax())
    own = sampler.front_end.transform(sampler.scenes.shelf(sampler.scenes.by_label[label][0]))[:99]
    np.testing.assert_allclose(heard.power, own, atol=0.01)  # half precision of a logarithm of up to 23


def test_features_are_standardised_as_the_front_end_says(make):
    post = [spec.Standardise(mean=-10.0, std=4.0)]
    plain = make().draw(np.random.default_rng(2)).power
    other = make(msgspec.structs.replace(SPEC, post=post)).draw(np.random.default_rng(2)).power
    np.testing.assert_allclose(other, (plain + 10) / 4, atol=1e-5)


def test_shares_of_mixtures_add_up_and_negatives_have_none(make):
    both = make(mix=1.0, negative=0.5).batch(40, 0, 0).clip.sum(1)
    assert set(both.round(decimals=5).tolist()) == {0.0, 1.0}


def test_ten_decibels_are_ten_decibels(make):
    soft = make().draw(np.random.default_rng(1))
    loud = make(gain=(10.0, 10.0)).draw(np.random.default_rng(1))
    sounding = (soft.frame == 1).any(1)
    difference = (loud.power - soft.power)[sounding] * 10 / np.log(10)
    assert np.median(difference) == pytest.approx(10.0, abs=0.01)


def sound(power, label, frame=1.0):
    targets = np.zeros((4, 2), np.float32)
    targets[:, label] = frame
    return Heard(np.full((4, 3), power, np.float32), targets, np.eye(2, dtype=np.float32)[label])


def test_powers_of_equal_sounds_mix_to_the_same_power():
    heard = mixed(sound(2.0, 0), sound(2.0, 1), 0.5, 0.25)
    np.testing.assert_allclose(heard.power, 2.0)
    np.testing.assert_allclose(heard.clip, [0.5, 0.5])
    np.testing.assert_array_equal(heard.frame, np.ones((4, 2)))


def test_a_sound_that_is_hardly_heard_is_not_taught_in_its_frames():
    heard = mixed(sound(2.0, 0), sound(2.0, 1), 0.9, 0.25)
    np.testing.assert_array_equal(heard.frame, [[1, -1]] * 4)
    np.testing.assert_allclose(heard.clip, [0.9, 0.1], rtol=1e-6)


def test_other_front_ends_are_refused():
    with pytest.raises(ValueError, match="mixtures need a front end with the scale `ln`"):
        bands_only(msgspec.structs.replace(SPEC, scale=spec.Decibel()))
