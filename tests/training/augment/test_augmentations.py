"""Each augmentation by a physical truth, and all of them by what is true of any."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import ConfigError
from training.augment import FEATURE, MIXING, WAVEFORM, Chain, parse
from training.augment.background import active_rms, add_background, stretch_of
from training.augment.between_class import a_weighting, loudness, mix_by_ear, other_class, share
from training.augment.clipping import overload
from training.augment.device import Microphone, record, reverberate, room
from training.augment.dropout import skip
from training.augment.mixup import mix
from training.augment.pitch import pitch
from training.augment.same_label import allowed
from training.augment.shift import shift
from training.augment.stretch import stretch
from training.augment.warp import draw, positions, read_at

RATE = 16_000


def sine(hertz: float, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def noise(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def db(x: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64)))


def peak_hertz(x: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(x * np.hanning(len(x)), 1 << 17)))) * RATE / (1 << 17)


class Recorded:
    """A background that is always the same."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = samples

    def samples(self, rate: int) -> np.ndarray:
        return self._samples


CONTEXT = {"backgrounds": [Recorded(noise(2.0, seed=9))], "rate": RATE}


@pytest.mark.parametrize("kind", list(WAVEFORM))
def test_every_waveform_augmentation_is_seeded_and_leaves_its_input_alone(kind):
    change = WAVEFORM.build(WAVEFORM.parse({"kind": kind}), **CONTEXT)
    x = sine(440) + noise()
    before = x.copy()
    first, second, other = (change(x, RATE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert np.array_equal(x, before)
    assert len(first) == len(x) or kind in ("speed", "stretch")


@pytest.mark.parametrize("kind", list(WAVEFORM))
def test_every_waveform_augmentation_bears_silence_and_short_sounds(kind):
    change = WAVEFORM.build(WAVEFORM.parse({"kind": kind}), **CONTEXT)
    for x in (np.zeros(RATE, np.float32), noise()[:40]):
        assert np.isfinite(change(x, RATE, np.random.default_rng(0))).all()


@pytest.mark.parametrize("kind", list(FEATURE))
def test_every_feature_augmentation_is_seeded_and_keeps_the_shape(kind):
    change = FEATURE.build(FEATURE.parse({"kind": kind}))
    x = np.random.default_rng(0).standard_normal((60, 20)).astype(np.float32)
    first, second = (change(x, np.random.default_rng(4)) for _ in range(2))
    assert (first.shape, first.dtype) == (x.shape, x.dtype)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, x)
    assert change(x[:3], np.random.default_rng(1)).shape == (3, 20)


@pytest.mark.parametrize("kind", list(MIXING))
@pytest.mark.parametrize("frames", [None, 7])
def test_every_mixing_is_seeded_and_keeps_the_shapes_and_the_label_mass(kind, frames):
    change = MIXING.build(MIXING.parse({"kind": kind}), **CONTEXT)
    x = np.stack([noise(seed=k) for k in range(6)])
    y = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    y = y if frames is None else np.repeat(y[:, None], frames, axis=1)
    (mixed, targets), (again, _) = (change(x, y, np.random.default_rng(3)) for _ in range(2))
    assert (mixed.shape, targets.shape) == (x.shape, y.shape)
    assert np.array_equal(mixed, again)
    assert not np.array_equal(mixed, x)
    assert np.allclose(targets.sum(axis=-1), 1.0, atol=1e-6)


def test_a_probability_of_a_third_changes_a_third():
    change = WAVEFORM.build(WAVEFORM.parse({"kind": "clip", "probability": 1 / 3, "db": [6, 6]}))
    rng, x = np.random.default_rng(0), sine(440)
    changed = sum(change(x, RATE, rng) is not x for _ in range(600))
    assert changed == pytest.approx(200, abs=35)


def test_a_shift_moves_the_energy_by_the_time():
    x = np.zeros(RATE, np.float32)
    x[4000:4100] = 1.0
    assert np.flatnonzero(shift(x, 1600, wrap=False))[[0, -1]].tolist() == [5600, 5699]
    assert shift(x, 12_050, wrap=False).sum() == 0
    assert shift(x, 12_050, wrap=True).sum() == 100
    assert np.flatnonzero(shift(x, 11_950, wrap=True))[[0, -1]].tolist() == [0, RATE - 1]


@pytest.mark.parametrize("snr", [-6.0, 0.0, 20.0])
def test_a_background_stands_at_its_ratio_to_the_part_that_sounds(snr):
    clip = np.concatenate([sine(440), np.zeros(4 * RATE, np.float32)])
    under = noise(5.0)
    mixed = add_background(clip, under, RATE, snr)
    assert db(sine(440)) - db(mixed - clip) == pytest.approx(snr, abs=0.02)
    assert active_rms(clip, RATE) == pytest.approx(active_rms(sine(440), RATE), rel=1e-3)


def test_a_silent_sound_gets_no_background():
    assert not add_background(np.zeros(RATE, np.float32), noise(), RATE, 0.0).any()


def test_a_short_background_is_repeated_and_a_long_one_cut():
    short = np.arange(5, dtype=np.float32)
    repeated = stretch_of(short, 12, np.random.default_rng(0))
    assert np.array_equal(repeated[:5], repeated[5:10])
    assert sorted(repeated[:5]) == [0, 1, 2, 3, 4]
    piece = stretch_of(np.arange(100, dtype=np.float32), 12, np.random.default_rng(0))
    assert np.array_equal(np.diff(piece), np.ones(11))


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_a_stretch_changes_duration_and_keeps_pitch_and_level(factor):
    out = stretch(sine(1000), factor)
    assert len(out) == round(RATE / factor)
    assert peak_hertz(out) == pytest.approx(1000, abs=2)
    middle = out[len(out) // 4 : -len(out) // 4]
    assert db(middle) == pytest.approx(db(sine(1000)), abs=0.05)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_stretch_moves_clicks_to_their_new_times(factor):
    x = np.zeros(RATE, np.float32)
    x[[3000, 9000]] = 1.0
    out = stretch(x, factor, 256)
    half = round(6000 / factor)
    assert int(np.argmax(np.abs(out[:half]))) == pytest.approx(3000 / factor, abs=128)
    assert half + int(np.argmax(np.abs(out[half:]))) == pytest.approx(9000 / factor, abs=128)


def test_a_stretch_by_one_is_the_sound_itself():
    x = noise()
    assert np.array_equal(stretch(x, 1.0), x)
    assert np.allclose(stretch(x, 1.0 + 1e-9)[:-1], x[:-1], atol=1e-4)  # all through the vocoder


@pytest.mark.parametrize("semitones", [-7.0, -1.0, 2.0, 12.0])
def test_a_pitch_shift_moves_the_peak_and_keeps_the_length(semitones):
    out = pitch(sine(800), RATE, semitones)
    assert len(out) == RATE
    assert peak_hertz(out) == pytest.approx(800 * 2 ** (semitones / 12), rel=0.003)
    assert db(out[4000:12_000]) == pytest.approx(db(sine(800)), abs=0.1)


def test_a_skipped_piece_is_cut_out_and_the_rest_joined():
    x = np.arange(10, dtype=np.float32)
    assert skip(x, 3, 4).tolist() == [0, 1, 2, 7, 8, 9, 0, 1, 2, 7]
    assert skip(x, 3, 0).tolist() == x.tolist()


def test_a_warp_by_hand_and_by_one():
    widths = np.array([4, 4, 4])
    assert positions(8, widths, np.array([1.0, 1.0, 1.0])).tolist() == list(range(8))
    assert positions(8, widths, np.array([2.0, 1.0, 1.0])).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert positions(8, widths, np.array([0.5, 1.0, 1.0])).tolist() == [0, 2, 4, 5, 6, 7, 7, 7]


def test_a_warp_is_monotone_covers_the_length_and_moves_a_tone_by_its_factor():
    for seed in range(40):
        at = positions(300, *draw(300, (10, 100), (0.9, 1.1), np.random.default_rng(seed)))
        assert (np.diff(at) >= 0).all()
        assert at[200] == pytest.approx(200, rel=0.12)
        short = draw(300, (10, 20), (0.5, 0.5), np.random.default_rng(seed))
        assert np.sum(short[0] * short[1]) >= 300
    frames = np.zeros((4, 100), np.float32)
    frames[:, 40] = 1.0
    wide = read_at(frames, positions(100, np.array([100]), np.array([1.25])), axis=1)
    assert np.argmax(wide, axis=1).tolist() == [50] * 4


@pytest.mark.parametrize("over", [0.0, 6.0, 20.0])
def test_an_overload_limits_the_peak_and_keeps_what_is_below(over):
    x = sine(440, level=0.5)
    out = overload(x, over)
    assert np.abs(out).max() == pytest.approx(0.5 * 10 ** (-over / 20), rel=1e-3)
    quiet = np.abs(x) < 0.4 * 10 ** (-over / 20)
    assert np.array_equal(out[quiet], x[quiet])


def test_a_microphone_is_3_db_down_at_its_corners_and_has_its_resonance():
    microphone = Microphone(low=100.0, high=7000.0, resonance=2000.0, gain=9.0)
    for hertz, expected in ((100, -3.0), (7000, -3.0), (2000, 9.0), (600, 0.0), (25, -24.1)):
        change = db(record(sine(hertz), RATE, microphone)) - db(sine(hertz))
        assert change == pytest.approx(expected, abs=0.6), hertz


def test_a_room_decays_by_60_db_in_its_time_and_has_its_ratio():
    response = room(RATE, rt60=0.5, direct=6.0, rng=np.random.default_rng(0)).astype(np.float64)
    tail = response[1:]
    assert response[0] == 1.0
    assert -10 * np.log10(np.sum(tail**2)) == pytest.approx(6.0, abs=1e-3)
    left = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2))  # Schroeder's integral
    slope = np.polyfit(np.arange(len(tail))[: RATE // 4] / RATE, left[: RATE // 4], 1)[0]
    assert -60 / slope == pytest.approx(0.5, rel=0.08)


def test_a_room_leaves_the_direct_sound_where_it_is():
    click = np.zeros(RATE, np.float32)
    click[2000] = 1.0
    out = reverberate(click, room(RATE, 0.3, 10.0, np.random.default_rng(1)))
    assert len(out) == RATE
    assert np.abs(out[:2000]).max() < 1e-6
    assert int(np.argmax(np.abs(out))) == 2000
    assert np.abs(out[2001:]).max() > 1e-3


@pytest.mark.parametrize(
    ("way", "value", "target"),
    [
        ("mixup", 0.3, [0.3, 0.7]),
        ("pairing", 0.5, [1, 0]),
        ("preserved", 0.3, [1, 0]),
        ("extrapolation", 1.3, [1, 0]),
    ],
)
def test_card_18s_ways_of_mixing_by_hand(way, value, target):
    inputs = np.array([[1.0], [0.0]], np.float32)
    x, y = mix(inputs, np.eye(2, dtype=np.float32), np.array([1, 0]), np.array([0.3, 0.3]), way)
    assert x[0, 0] == pytest.approx(value)
    assert y[0].tolist() == pytest.approx(target)


def test_mixup_draws_its_weights_from_the_beta_distribution():
    change = MIXING.build(MIXING.parse({"kind": "mixup", "alpha": 1.5}))
    y = np.eye(1000, dtype=np.float32)
    _, targets = change(np.zeros((1000, 1), np.float32), y, np.random.default_rng(0))
    weight = np.diag(targets)
    mixed = weight < 1  # where the permutation does not keep a recording in its place
    assert np.var(weight[mixed]) == pytest.approx(1 / (4 * (2 * 1.5 + 1)), rel=0.12)


def test_what_is_not_taught_stays_so_in_a_mix():
    y = np.array([[[1, -1]], [[0, 1]]], np.float32)
    _, targets = mix(np.zeros((2, 4), np.float32), y, np.array([1, 0]), np.array([0.5, 0.5]))
    assert targets.tolist() == [[[0.5, -1]], [[0.5, -1]]]


@pytest.mark.parametrize(("hertz", "expected"), [(1000, 0.0), (100, -19.1), (31.62, -39.4), (7943, -1.1), (1995, 1.2)])
def test_a_weighting_by_the_table_of_iec_61672(hertz, expected):
    assert float(a_weighting(np.array([hertz]))[0]) == pytest.approx(expected, abs=0.1)


def test_loudness_is_the_level_of_the_loudest_part_as_heard():
    quiet = np.concatenate([sine(1000), np.zeros(3 * RATE, np.float32)])
    low = np.concatenate([sine(100), np.zeros(3 * RATE, np.float32)])
    flat = loudness(np.stack([quiet, low]), RATE, "none")
    heard = loudness(np.stack([quiet, low]), RATE)
    assert flat == pytest.approx([db(sine(1000))] * 2, abs=0.1)
    assert heard[0] - heard[1] == pytest.approx(19.1, abs=0.4)


def test_two_sounds_are_mixed_at_the_ratio_by_ear():
    loud, soft = sine(1000, level=0.5), sine(1300, level=0.05)
    level = loudness(np.stack([loud, soft]), RATE, "none")
    p = share(np.array([0.25]), level[:1], level[1:])[0]
    assert p * 0.5 / ((1 - p) * 0.05) == pytest.approx(0.25 / 0.75, rel=1e-3)
    x, y = mix_by_ear(
        np.stack([loud, soft]), np.eye(2, dtype=np.float32), np.array([1, 0]), np.array([0.25, 0.25]), level
    )
    spectrum = np.abs(np.fft.rfft(x[0]))
    assert spectrum[1000] / spectrum[1300] == pytest.approx(1 / 3, rel=1e-3)
    assert y[0].tolist() == pytest.approx([0.25, 0.75])


def test_equally_loud_noises_keep_their_energy_in_a_mix():
    x = np.stack([noise(seed=1), noise(seed=2)])
    mixed, _ = mix_by_ear(x, np.eye(2, dtype=np.float32), np.array([1, 0]), np.array([0.3, 0.3]), np.zeros(2))
    assert db(mixed[0]) == pytest.approx(db(x[0]), abs=0.15)


def test_the_partner_is_of_another_class_where_there_is_one():
    y = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    for seed in range(5):
        assert other_class(y, np.random.default_rng(seed))[[0, 1]].tolist() == [2, 2]
    assert other_class(y[:2], np.random.default_rng(0)).tolist() == [0, 1]


def test_only_what_brings_no_new_class_may_be_added():
    y = np.array([[0, 0], [1, 0], [1, 0], [1, 1], [0, -1]], np.float32)
    assert allowed(y).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 1],
        [1, 0, 0, 0, 0],
    ]


def test_the_same_label_mix_adds_at_the_gain_and_keeps_the_target():
    x = np.stack([sine(500), sine(1500)])
    y = np.array([[1.0], [1.0]], np.float32)
    out, targets = MIXING.build(MIXING.parse({"kind": "same-label", "db": [-6, -6]}))(x, y, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(out[0]))
    assert 20 * np.log10(spectrum[1500] / spectrum[500]) == pytest.approx(-6, abs=0.01)
    assert np.array_equal(targets, y)


def test_a_recipes_list_is_applied_in_its_order():
    listed = [
        {"kind": "gain", "db": [40, 40]},
        {"kind": "gain", "db": [-20, -20]},
        {"kind": "tilt"},
        {"kind": "mixup"},
    ]
    chain = Chain(parse(listed))
    x = chain.waveform(sine(440), RATE, np.random.default_rng(0))
    assert np.abs(x).max() == pytest.approx(0.1)  # 40 dB clips at full scale before 20 dB are taken away
    frames = np.zeros((4, 8), np.float32)
    assert chain.feature(frames, np.random.default_rng(0)).any()
    inputs, _ = chain.mix(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32), np.random.default_rng(0))
    assert inputs.sum() == pytest.approx(4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "echo"}, r"`augment\[0\]\.kind` must be one of background, band-mask, .*, got 'echo'"),
        (
            {"kind": "gain", "db": [6, -6]},
            r"`augment\[0\]` \(gain\): expected `db` as \[low, high\], got \[6.0, -6.0\]",
        ),
        ({"kind": "gain", "probability": 2}, r"`augment\[0\]` \(gain\): .*<= 1"),
        ({"kind": "speed", "factor": [0, 1]}, r"`augment\[0\]` \(speed\): .*>= 0.25"),
    ],
)
def test_a_wrong_augmentation_is_named_by_its_place(table, message):
    with pytest.raises(ConfigError, match=message):
        parse([table])


def test_what_an_augmentation_needs_is_said():
    with pytest.raises(
        ConfigError, match=r"`augment` \(background\): expected backgrounds to be given with it, got none"
    ):
        Chain(parse([{"kind": "background"}]))
    with pytest.raises(ConfigError, match=r"`augment` \(between-class\): expected rate"):
        Chain(parse([{"kind": "between-class"}]))
