"""Composed microphones do to a sound what their settings say in decibels, and the same again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.errors import ConfigError
from training.data.device import Device, load, plain

RATE = 16_000
TIME = np.arange(RATE) / RATE


def tone(hertz: float, peak: float = 0.1) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def level(samples: np.ndarray) -> float:
    """dB re full scale of the middle, where no edge is."""
    return 20 * np.log10(np.sqrt(np.mean(np.square(samples[4000:-4000], dtype=np.float64))))


def gain(device: Device, hertz: float) -> float:
    return level(device.hear(tone(hertz), RATE, "x")) - level(tone(hertz))


def test_without_settings_it_hears_what_there_is():
    sound = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    heard = Device(name="a").hear(sound, RATE, "x")
    assert heard.dtype == np.float32
    np.testing.assert_array_equal(heard, sound)


def test_corners_are_three_decibels_down_and_the_middle_stays():
    device = Device(name="b", low=200.0, high=4000.0)
    assert [gain(device, f) for f in (200.0, 900.0, 4000.0)] == pytest.approx([-3.0, 0.0, -3.0], abs=0.1)
    assert gain(device, 50.0) == pytest.approx(-24.1, abs=0.3)  # two octaves below, at 12 dB an octave


def test_a_tilt_is_so_much_an_octave_and_nothing_at_one_kilohertz():
    device = Device(name="c", tilt=-4.0)
    assert [gain(device, f) for f in (500.0, 1000.0, 4000.0)] == pytest.approx([4.0, 0.0, -8.0], abs=0.1)


def test_gain_and_resonance_add():
    assert gain(Device(name="b", gain=-6.0, resonance=2000.0, peak=10.0), 2000.0) == pytest.approx(4.0, abs=0.1)


def test_its_noise_is_its_own_at_its_level_whatever_sounds_and_other_in_each_recording():
    device, silence = Device(name="b", noise=-50.0, seed=3), np.zeros(RATE, np.float32)
    first, again, other = (device.hear(silence, RATE, name) for name in ("x", "x", "y"))
    assert level(first) == pytest.approx(-50.0, abs=0.3)
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05
    loud = device.hear(tone(1000.0), RATE, "x") - tone(1000.0)
    np.testing.assert_allclose(loud, first, atol=1e-6)


def test_a_slow_recorder_keeps_nothing_above_its_half_and_the_length():
    device = Device(name="c", rate=8000)
    assert gain(device, 1000.0) == pytest.approx(0.0, abs=0.05)
    assert gain(device, 6000.0) < -60
    assert len(device.hear(tone(1000.0)[:12345], RATE, "x")) == 12345


def test_the_housing_echoes_alike_in_every_recording_and_so_much_below_the_sound():
    device, click = Device(name="c", echo=0.1, direct=6.0, seed=1), np.zeros(RATE, np.float32)
    click[4000] = 0.5
    heard = device.hear(click, RATE, "x")
    assert not np.abs(heard[:4000]).max() > 1e-6
    assert 10 * np.log10(heard[4000] ** 2 / np.sum(heard[4001:] ** 2)) == pytest.approx(6.0, abs=0.1)
    np.testing.assert_array_equal(heard, device.hear(click, RATE, "y"))
    assert not np.allclose(heard, Device(name="c", echo=0.1, direct=6.0, seed=2).hear(click, RATE, "x"))


def test_what_is_too_loud_is_clipped():
    heard = Device(name="b", gain=30.0).hear(tone(500.0), RATE, "x")
    assert np.abs(heard).max() == 1.0


def test_devices_are_read_from_a_file_and_go_back_as_they_stood(tmp_path):
    said = {"devices": [{"name": "a"}, {"name": "b", "noise": -50.0, "rate": 8000}], "licence": "CC0"}
    (tmp_path / "my.json").write_text(json.dumps(said))
    assert [plain(device) for device in load(tmp_path / "my.json")] == said["devices"]
    assert [device.name for device in load("microphones")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"--devices: .*my\.json: "),
        ('{"devices": []}', r"length >= 1"),
        ('{"devices": [{"name": "a", "hiss": 3}]}', r"unknown field `hiss` - at `\$\.devices\[0\]`"),
        ('{"devices": [{"name": "../a"}]}', r"`\$\.devices\[0\]\.name`"),
        ('{"devices": [{"name": "a"}, {"name": "a"}]}', "expected devices of different names, got 'a' twice"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, text, message):
    (tmp_path / "my.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path / "my.json")
    with pytest.raises(ConfigError, match="--devices: expected a file or one of microphones, got 'none'"):
        load("none")
