"""Activity of recordings that are shorter than the borders around it."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.activity import activity


@pytest.mark.parametrize("hops", [1, 5, 18, 21, 40])
def test_every_hop_gets_one_mark(hops):
    sound = np.zeros(hops * 320, np.float32)
    sound[:320] = 0.5
    marks = activity(sound, 320)
    assert len(marks) == hops
    assert marks[0] == 1
    np.testing.assert_array_equal(marks[1:11], -1)
    np.testing.assert_array_equal(marks[11:], 0)
