"""What sounds in a recording, sounds of no class, and files that become samples."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from training.data import negatives
from training.data.activity import activity, close_gaps, level, runs
from training.data.dataset import Item
from training.data.decode import decode
from training.data.shelf import Shelf

RATE = 16_000


def test_a_file_becomes_mono_samples_at_the_rate(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, 0 * tone], 1), 44_100)
    samples = decode(tmp_path / "a.wav", RATE)
    assert (samples.shape, samples.dtype) == ((RATE,), np.dtype("float32"))
    assert int(np.argmax(np.abs(np.fft.rfft(samples)))) == 1000
    assert np.abs(samples[1000:-1000]).max() == pytest.approx(0.25, abs=0.01)


def test_a_decoded_file_is_cached_and_a_changed_one_is_read_anew(tmp_path, tone):
    path = tone(tmp_path / "a.wav", seconds=1.0)
    first, second = decode(path, 8000), decode(path, 8000)
    assert np.array_equal(first, second)
    tone(path, seconds=0.5)
    assert len(decode(path, 8000)) == 4000


def test_a_stretch_is_the_same_part_of_the_whole_from_the_file_and_from_the_cache(tmp_path, tone):
    path = tone(tmp_path / "a.wav", seconds=1.0)
    item = Item("a", path, start=0.25, stop=0.5)
    fresh, cached = item.samples(8000), item.samples(8000)
    assert np.array_equal(fresh, decode(path, 8000)[2000:4000])
    assert np.array_equal(fresh, cached)


def test_a_shelf_keeps_stretches_apart_and_reads_on_when_it_is_full(tmp_path, tone):
    path = tone(tmp_path / "a.wav", seconds=1.0)
    shelf = Shelf(8000, limit=9000)
    short, long = (Item(f"{stop}", path, stop=stop) for stop in (0.25, 0.5))
    assert [len(shelf(item)) for item in (short, long, short, long)] == [2000, 4000, 2000, 4000]
    assert shelf(short) is shelf(short)
    assert shelf(long) is not shelf(long)


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_is_no_sound_is_named(tmp_path, there):
    if there:
        (tmp_path / "b.wav").write_text("not a sound")
    with pytest.raises(ValueError, match=r"expected a sound file at .*b\.wav, got"):
        decode(tmp_path / "b.wav", RATE)


def test_level_of_a_full_scale_sine_is_minus_3_db():
    sine = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE).astype(np.float32)
    assert np.allclose(level(sine, 320), -3.01, atol=0.01)


def test_runs_and_gaps_by_hand():
    mask = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], bool)
    assert runs(mask) == [(1, 3), (4, 5), (8, 9)]
    assert close_gaps(mask, 1).astype(int).tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 1]


def test_activity_is_the_loud_part_with_untaught_borders():
    rng = np.random.default_rng(0)
    x = np.zeros(100 * 320, np.float32)
    x[40 * 320 : 60 * 320] = 0.1 * rng.standard_normal(20 * 320)
    marks = activity(x, 320, border=5)
    assert (marks[40:60] == 1).all()
    assert (marks[35:40] == -1).all()
    assert (marks[60:65] == -1).all()
    assert (marks[:35] == 0).all()
    assert (marks[65:] == 0).all()


def test_silence_has_no_activity():
    assert not activity(np.zeros(3200, np.float32), 320).any()


@pytest.mark.parametrize("name", negatives.GENERATORS)
def test_negatives_are_finite_of_the_right_length_and_at_a_usable_level(name):
    for seed in range(4):
        x = negatives.GENERATORS[name](RATE, RATE, np.random.default_rng(seed))
        assert (x.shape, x.dtype) == ((RATE,), np.dtype("float32"))
        assert np.isfinite(x).all()
        assert name in ("silence", "clicks") or np.sqrt(np.mean(x**2)) == pytest.approx(negatives.LEVEL, rel=0.01)


@pytest.mark.parametrize(("slope", "fall"), [(0.0, 0.0), (-3.0, 3.0), (-6.0, 6.0)])
def test_coloured_noise_falls_as_named(slope, fall):
    x = negatives.noise(20 * RATE, RATE, np.random.default_rng(0), slope)
    power = np.abs(np.fft.rfft(x)) ** 2
    octave = [10 * np.log10(power[20 * f : 40 * f].mean()) for f in (500, 1000)]
    assert octave[0] - octave[1] == pytest.approx(fall, abs=0.3)
