"""The high-pass as weights of bins: the filter's own figures, and the same filter on samples."""

import numpy as np
import pytest
from scipy import signal

from edge.frontend.filterbank import highpass_power
from edge.frontend.spec import Highpass, parse
from edge.frontend.stream import FrontEnd

RATE = 22_050


@pytest.mark.parametrize(("hz", "db"), [(2000, -3.0), (1000, -12.6), (500, -24.5), (160, -44.4), (4000, -0.2)])
def test_a_filter_of_2_khz_at_22_khz_lets_through_what_card_28_says(hz, db):
    assert 10 * np.log10(highpass_power(Highpass(2000.0), RATE, hz)) == pytest.approx(db, abs=0.06)


def test_no_offset_passes_and_half_the_rate_does():
    assert highpass_power(Highpass(2000.0), RATE, [0, RATE / 2]).tolist() == pytest.approx([0, 1], abs=1e-6)


def test_features_are_those_of_samples_that_were_filtered():
    noise = (0.1 * np.random.default_rng(0).standard_normal(3 * RATE)).astype(np.float32)
    table = {
        "rate": RATE,
        "frames": {"window": 1536, "hop": 360},
        "bands": {"kind": "mel", "count": 60, "low": 160.0, "high": 10300.0},
        "scale": {"kind": "ln"},
    }
    filtered = signal.sosfilt(signal.butter(2, 2000, "high", fs=RATE, output="sos"), noise).astype(np.float32)
    by_samples = FrontEnd(parse(table)).transform(filtered)
    by_weights = FrontEnd(parse({**table, "highpass": {"hz": 2000.0}})).transform(noise)
    apart = (by_weights - by_samples)[1:]
    assert np.abs(apart.mean(axis=0)).max() < 0.02
    assert apart.std() < 0.05
