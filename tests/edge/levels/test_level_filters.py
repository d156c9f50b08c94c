"""Filters of the sound level meter: within the standards' limits, and what scipy designs."""

import numpy as np
import pytest
from scipy import signal

from edge.levels.design import a_sections, a_weight, band_sections, edges, midband, nominal, third_octaves

RATES = [1_000, 2_000, 4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000]

# IEC 61260:1995, class 1, octave bands: attenuation in dB at G^x of the midband frequency (later editions allow more)
BREAKPOINTS = [0, 1 / 8, 1 / 4, 3 / 8, 1 / 2 - 1e-9, 1 / 2 + 1e-9, 1, 2, 3, 4]
LEAST = [-0.3, -0.3, -0.3, -0.3, -0.3, 2.0, 17.5, 42.0, 61.0, 70.0]
MOST = [0.3, 0.4, 0.6, 1.3, 5.0, *[np.inf] * 5]

# IEC 61672-1: frequency, A-weighting, and the deviation that class 1 allows
A_TABLE = [
    (10, -70.4, -np.inf, 3.0),
    (20, -50.5, -2.0, 2.0),
    (31.5, -39.4, -1.5, 1.5),
    (63, -26.2, -1.0, 1.0),
    (125, -16.1, -1.0, 1.0),
    (250, -8.6, -1.0, 1.0),
    (500, -3.2, -1.0, 1.0),
    (1000, 0.0, -0.7, 0.7),
    (2000, 1.2, -1.0, 1.0),
    (4000, 1.0, -1.0, 1.0),
    (5000, 0.5, -1.5, 1.5),
    (6300, -0.1, -2.0, 1.5),
    (8000, -1.1, -2.5, 1.5),
    (10000, -2.5, -3.0, 2.0),
    (12500, -4.3, -5.0, 2.0),
    (16000, -6.6, -16.0, 2.5),
    (20000, -9.3, -np.inf, 3.0),
]
EXACT = {hz: 1000 * 10 ** (round(10 * np.log10(hz / 1000)) / 10) for hz, *_ in A_TABLE}


def third(octave):
    """The same breakpoint of a third octave: the standard's formula for fractional-octave bands."""
    g = 10**0.3
    return 1 + (g ** (1 / 6) - 1) / (g ** (1 / 2) - 1) * (octave - 1)


def band_sos(number, rate):
    rows = band_sections(number, rate)
    gain, zero = rows[:, 0], np.zeros(len(rows))
    return np.column_stack([gain, zero, -gain, np.ones(len(rows)), rows[:, 1:]])


def a_sos(rate):
    rows = a_sections(rate)
    return np.column_stack([rows[:, :3], np.ones(len(rows)), rows[:, 3:]])


def level(sos, frequency, rate):
    return 20 * np.log10(np.abs(signal.freqz_sos(sos, [frequency], fs=rate)[1][0]) + 1e-30)


@pytest.mark.parametrize("rate", RATES)
def test_third_octaves_have_the_shape_of_class_1(rate):
    for number in third_octaves(rate):
        sos = band_sos(number, rate)
        for octave, least, most in zip(BREAKPOINTS, LEAST, MOST, strict=True):
            for ratio in (third((10**0.3) ** octave), 1 / third((10**0.3) ** octave)):
                frequency = ratio * midband(number)
                if frequency < rate / 2:
                    attenuation = -level(sos, frequency, rate)
                    assert least <= attenuation + 1e-3, (number, octave)  # + a hair: 0 dB where −0 is meant
                    assert attenuation <= most, (number, octave)


@pytest.mark.parametrize(("rate", "number"), [(16_000, 0), (16_000, 8), (48_000, -17), (48_000, 12)])
def test_a_band_is_the_butterworth_band_pass_of_scipy(rate, number):
    want = signal.butter(4, edges(number), "bandpass", fs=rate, output="sos")
    frequencies = np.geomspace(edges(number)[0] / 4, min(4 * edges(number)[1], 0.49 * rate), 50)
    ours = np.abs(signal.freqz_sos(band_sos(number, rate), frequencies, fs=rate)[1])
    scipys = np.abs(signal.freqz_sos(want, frequencies, fs=rate)[1])
    np.testing.assert_allclose(ours, scipys, rtol=1e-3)  # its gain is 1 at the warped centre, ours at the midband


@pytest.mark.parametrize("rate", RATES)
def test_the_a_weighting_is_within_class_1(rate):
    for nominal_hz, weight, low, high in A_TABLE:
        if nominal_hz < 0.47 * rate:
            deviation = level(a_sos(rate), EXACT[nominal_hz], rate) - weight
            assert low <= deviation <= high, nominal_hz


def test_the_a_weighting_of_the_standards_formula():
    for nominal_hz, weight, *_ in A_TABLE:
        assert a_weight(EXACT[nominal_hz]) == pytest.approx(weight, abs=0.06)


@pytest.mark.parametrize("rate", RATES)
def test_every_pole_is_inside_the_unit_circle(rate):
    sections = [a_sos(rate), *(band_sos(number, rate) for number in third_octaves(rate))]
    assert all(np.all(np.abs(signal.sos2zpk(sos)[1]) < 1) for sos in sections)


def test_bands_have_their_usual_names():
    assert [nominal(number) for number in third_octaves(16_000)] == [
        *(20, 25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315),
        *(400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300),
    ]
    for number in third_octaves(96_000):
        assert nominal(number) == pytest.approx(midband(number), rel=0.02)
