"""Between-class mixing: shares are of what is heard, whatever the levels were."""

from __future__ import annotations

import numpy as np
import pytest

from training.augment.between import between


def test_equal_levels_and_equal_shares_mix_evenly():
    assert between(0.5, -20.0, -20.0) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("louder", [-20.0, 0.0, 12.0])
def test_what_is_heard_has_the_ratio_of_the_shares(share, louder):
    """The first sound is `louder` dB louder; behind the factors its amplitude is share / (1 − share) of the other's."""
    first, second = between(share, -30.0 + louder, -30.0)
    heard = np.sqrt(first * 10 ** (louder / 10) / second)
    assert heard == pytest.approx(share / (1 - share))


def test_two_sounds_of_one_level_keep_it():
    """Powers of independent sounds add: the factors of equal sounds sum to the share of one, never to more."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 100_000))
    for share in (0.2, 0.5):
        first, second = between(share, 0.0, 0.0)
        assert first + second == pytest.approx(1.0)
        assert np.var(np.sqrt(first) * x + np.sqrt(second) * y) == pytest.approx(1.0, rel=0.02)
