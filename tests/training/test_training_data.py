"""Folders on disk become clips, and clips become scenes whose targets are true."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from edge.frontend import spec
from training.data import decode, esc10, negatives, soundscapes
from training.data.activity import activity, close_gaps, level, runs
from training.data.esc10 import LABELS, Clip

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
def folder(tmp_path):
    """Two clips in two folds, one at another rate and in stereo."""
    (tmp_path / "audio").mkdir()
    t = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(tmp_path / "audio/a.wav", np.stack([tone, tone], 1), 44_100)
    soundfile.write(tmp_path / "audio/b.wav", tone[:RATE], RATE)
    (tmp_path / "labels.csv").write_text("file,fold,label\naudio/a.wav,1,rain\naudio/b.wav,2,rooster\n")
    return tmp_path


def test_clips_are_mono_at_the_rate_with_fold_and_label(folder):
    clips = esc10.load(folder, RATE)
    assert [(c.name, LABELS[c.label], c.fold, len(c.samples)) for c in clips] == [
        ("audio/a.wav", "rain", 1, RATE),
        ("audio/b.wav", "rooster", 2, RATE),
    ]
    assert clips[0].samples.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(clips[0].samples))
    assert int(np.argmax(spectrum)) == 1000


def test_folds_are_chosen(folder):
    assert [c.fold for c in esc10.load(folder, RATE, [2])] == [2]


def test_a_decoded_file_is_cached_and_a_changed_one_is_read_anew(folder):
    first = esc10.load(folder, RATE)[1].samples
    assert len(list((folder / "cache/decoded").iterdir())) == 2
    soundfile.write(folder / "audio/b.wav", np.zeros(RATE // 2), RATE)
    assert len(first) == RATE
    assert len(esc10.load(folder, RATE)[1].samples) == RATE // 2


def test_an_unknown_label_is_refused_with_its_line(folder):
    (folder / "labels.csv").write_text("file,fold,label\naudio/a.wav,1,thunder\n")
    with pytest.raises(ValueError, match=r"labels\.csv:2: expected a label of dog_bark, .*, got 'thunder'"):
        esc10.load(folder, RATE)


def test_a_missing_table_names_the_option(tmp_path):
    with pytest.raises(ValueError, match=r"expected ESC-10's table at .*labels\.csv.*--data"):
        esc10.load(tmp_path, RATE)


def test_a_file_that_is_no_sound_is_named(folder):
    (folder / "audio/b.wav").write_text("not a sound")
    with pytest.raises(ValueError, match=r"expected a sound file at .*b\.wav"):
        esc10.load(folder, RATE)


def test_soundscapes_are_split_by_the_hour_and_no_hour_is_in_both_halves(tmp_path):
    names = [f"S_20190522_{hour:02d}{minute:02d}00.wav" for hour in range(5) for minute in (0, 30)]
    for name in names:
        soundfile.write(tmp_path / name, np.zeros(800), 8000)
    (tmp_path / "files.csv").write_text("file,seconds\n" + "".join(f"{n},0.1\n" for n in names))
    train = soundscapes.load(tmp_path, 8000, held_out=False)
    held = soundscapes.load(tmp_path, 8000, held_out=True)
    assert ({s.hour for s in train}, {s.hour for s in held}) == ({0, 2, 4}, {1, 3})
    assert len(train) + len(held) == len(names)


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


def clips() -> list[Clip]:
    rng = np.random.default_rng(5)
    sounds = [0.1 * rng.standard_normal(RATE).astype(np.float32), negatives.tones(RATE, RATE, rng)]
    return [Clip(f"{k}", k, 1, sound) for k, sound in enumerate(sounds)]
