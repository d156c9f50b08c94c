"""A narrow recorder hears the low bands as they are, and nothing above."""

from __future__ import annotations

import numpy as np

from training.augment.narrow import narrow


def test_low_bands_stay_and_high_ones_fall_silent():
    power = np.ones((5, 20), np.float32)
    kept = []
    for seed in range(200):
        out = narrow(power, np.random.default_rng(seed), 0.6, 1e-10)
        silent = np.flatnonzero(out[0] < 1)
        kept.append(20 - len(silent))
        np.testing.assert_array_equal(silent, np.arange(kept[-1], 20))
    assert (min(kept), max(kept)) == (12, 20)
    assert power.min() == 1
