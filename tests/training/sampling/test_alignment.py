"""Correlation alignment: the card's example, what covariances become, and who is changed."""

import numpy as np
import pytest

from training.data.dataset import Item
from training.sampling.alignment import Alignment, align, coral


def toeplitz(deviation, correlation, size=80):
    k = np.arange(size)
    return deviation**2 * correlation ** np.abs(k[:, None] - k)


@pytest.mark.parametrize(
    ("strength", "left"), [(1.0, 0.612), (0.1, 0.435), (0.01, 0.190), (1e-3, 0.053), (1e-6, 0.0005)]
)
def test_the_cards_example_of_80_bands(strength, left):
    """Distance of covariances beside the target's norm: .660 before; a large regulariser changes hardly anything."""
    source, target = toeplitz(0.08, 0.97), toeplitz(0.16, 0.90)
    assert np.linalg.norm(source - target) / np.linalg.norm(target) == pytest.approx(0.660, abs=5e-4)
    matrix = coral(source, target, strength)
    after = matrix.T @ source @ matrix
    assert np.linalg.norm(after - target) / np.linalg.norm(target) == pytest.approx(left, abs=6e-4)


def frames(seed, scale, mean):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((4000, 3)) @ np.array(scale) + mean).astype(np.float32)


SOURCE = frames(0, [[1.0, 0.5, 0], [0, 1.0, 0], [0, 0, 0.2]], [1.0, 2.0, 3.0])
TARGET = frames(1, [[2.0, 0, 0], [0, 0.5, 0.3], [0, 0, 1.0]], [-1.0, 0.0, 5.0])


@pytest.mark.parametrize("means", [False, True])
def test_aligned_frames_have_the_targets_covariance_and_its_mean_where_asked_for(means):
    found = align(SOURCE, TARGET, 1e-9, means)(SOURCE)
    np.testing.assert_allclose(np.cov(found, rowvar=False), np.cov(TARGET, rowvar=False), atol=1e-4)
    assert np.allclose(found.mean(0), TARGET.mean(0), atol=1e-3) == means


def test_a_place_that_is_like_the_target_stays_as_it_is():
    np.testing.assert_allclose(align(TARGET, TARGET, 0.1, means=True)(TARGET), TARGET, atol=1e-4)


def test_each_place_is_aligned_for_itself_and_the_target_not_at_all(tmp_path):
    heard = {"a": SOURCE, "b": 3 * SOURCE, "t": TARGET}
    labelled = [Item("a", tmp_path, weak=(0,), fold=1), Item("b", tmp_path, weak=(), fold=2)]
    target = Item("t", tmp_path)
    alignment = Alignment(lambda item: heard[item.name], labelled, [target], 1e-9, means=True)
    np.testing.assert_allclose(alignment(heard["a"], labelled[0]), alignment(heard["b"], labelled[1]), atol=1e-3)
    assert alignment(TARGET, target) is TARGET


def test_there_must_be_a_target(tmp_path):
    with pytest.raises(ValueError, match="`align` expects unlabelled recordings of the target"):
        Alignment(lambda _: SOURCE, [Item("a", tmp_path, weak=(0,))], [], 1.0, means=False)
