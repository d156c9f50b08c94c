"""The meter: calibrated tones, scipy's filters, any chunking, honest gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from edge.blocks import AudioBlock
from edge.levels.design import a_weight, edges, midband
from edge.levels.meter import Meter

RATE = 16_000
NOISE = (0.1 * np.random.default_rng(2).standard_normal(2 * RATE)).astype(np.float32)


def block(samples, start=0, epoch="e", rate=RATE):
    return AudioBlock(epoch, start, rate, np.asarray(samples, np.float32))


def table(frames):
    return np.array([[frame.number, frame.z, frame.a, *frame.bands] for frame in frames])


def sine(frequency, seconds=2, rate=RATE):
    return np.sqrt(2) * 0.01 * np.sin(2 * np.pi * frequency * np.arange(seconds * rate) / rate)


def test_a_calibrators_tone_is_told_at_its_level_and_in_its_band():
    meter = Meter(RATE)
    last = meter.push(block(sine(1000)))[-1]
    here = meter.numbers.index(0)
    for square in (last.z, last.a, last.bands[here]):
        assert 10 * np.log10(square) == pytest.approx(-40, abs=0.05)  # RMS 0.01
    others = np.delete(last.bands, here)
    assert 10 * np.log10(others.max()) < -40 - 17.5  # the neighbours' limit at a whole third octave


def test_at_100_hz_the_ear_hears_19_db_less():
    last = Meter(RATE).push(block(sine(100)))[-1]
    assert 10 * np.log10(last.a / last.z) == pytest.approx(-19.1, abs=0.1)


@pytest.mark.parametrize("rate", [1000, 2000, 4000, 8000])
def test_at_low_rates_a_tone_has_its_level_its_weight_and_its_band(rate):
    meter = Meter(rate)
    assert max(edges(number)[1] for number in meter.numbers) <= rate / 2  # what the rate cannot carry is left out
    for frequency in (50, 100, 250, midband(meter.numbers[-1])):
        last = Meter(rate).push(block(sine(frequency, rate=rate), rate=rate))[-8:]
        z, a = (10 * np.log10(np.mean([getattr(frame, name) for frame in last])) for name in ("z", "a"))
        bands = 10 * np.log10(np.mean([frame.bands for frame in last], axis=0))
        here = next(k for k, n in enumerate(meter.numbers) if edges(n)[0] <= frequency < edges(n)[1])
        assert z == pytest.approx(-40, abs=0.1)
        assert a - z == pytest.approx(a_weight(frequency), abs=0.5)
        assert bands[here] == pytest.approx(-40, abs=0.5)
        assert int(np.argmax(bands)) == here


def test_a_constant_offset_is_no_sound():
    last = Meter(RATE).push(block(np.full(4 * RATE, 0.5)))[-1]
    assert max(last.z, last.a, *last.bands) < 1e-9


def test_bands_are_what_scipys_filters_give():
    meter = Meter(RATE)
    found = table(meter.push(block(NOISE)))
    for number in (-10, 0, 6):
        sos = signal.butter(4, edges(number), "bandpass", fs=RATE, output="sos")
        want = np.mean(signal.sosfilt(sos, NOISE.astype(float)).reshape(-1, RATE // 8) ** 2, axis=1)
        np.testing.assert_allclose(found[:, 3 + meter.numbers.index(number)], want, rtol=2e-3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, len(NOISE)), max_size=8))
def test_any_chunking_gives_the_same_frames(cuts):
    cuts = sorted(cuts)
    meter, frames = Meter(RATE), []
    for start, part in zip([0, *cuts], np.split(NOISE, cuts), strict=True):
        frames += meter.push(block(part, start))
    np.testing.assert_allclose(table(frames), table(Meter(RATE).push(block(NOISE))), rtol=1e-9)


def test_frames_keep_the_grid_of_the_epoch_at_rates_that_eight_does_not_divide():
    meter = Meter(11_025)
    frames = meter.push(block(np.ones(11_025), rate=11_025))
    assert [frame.number for frame in frames] == list(range(8))
    assert meter.push(block(np.ones(1378), 11_025, rate=11_025))[0].number == 8  # 1378.125 samples each


def test_a_frame_with_lost_samples_is_left_out_and_the_filters_forget():
    meter = Meter(RATE)
    meter.push(block(NOISE[:3000]))
    frames = meter.push(block(NOISE[:7000], 3500))
    assert [frame.number for frame in frames] == [2, 3, 4]  # frame 1 has a hole
    fresh = Meter(RATE).push(block(NOISE[:7000], 3500))
    np.testing.assert_array_equal(table(frames), table(fresh))


def test_a_sound_of_another_epoch_begins_anew():
    meter = Meter(RATE)
    meter.push(block(NOISE[:4000]))
    frames = meter.push(block(np.zeros(4000), 4000, "f"))
    assert all(frame.z == 0 for frame in frames)
