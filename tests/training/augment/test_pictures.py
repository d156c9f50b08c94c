"""Augmentations that treat features as a picture: filters, zooms, brightness, contrast, and what is laid over."""

import numpy as np
import pytest

from training.augment.contrast import adjust
from training.augment.resize import FILTERS, resize, weights
from training.augment.same_label import added, allowed
from training.augment.zoom import drawn_filter, zoom_bands, zoom_time


@pytest.mark.parametrize("kind", FILTERS)
def test_a_filter_read_at_the_frames_gives_the_frames_and_a_constant_stays_one(kind):
    frames = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    np.testing.assert_allclose(resize(frames, weights(40, np.arange(40.0), 1.0, kind), 0), frames, atol=1e-6)
    at = np.linspace(3.3, 30.1, 25)
    np.testing.assert_allclose(weights(40, at, 1.1, kind).sum(axis=1), 1.0, atol=1e-12)


def test_better_filters_keep_more_of_a_fast_wave():
    """A wave of five frames, read two fifths of a frame later: what it should be is known."""
    wave = np.cos(2 * np.pi * np.arange(200) / 5).astype(np.float32)[:, None]
    at = np.arange(20, 180) + 0.4
    wanted = np.cos(2 * np.pi * at / 5)
    error = {k: float(np.abs(resize(wave, weights(200, at, 1.0, k), 0)[:, 0] - wanted).max()) for k in FILTERS}
    assert error["lanczos"] < error["bicubic"] < error["bilinear"] < error["nearest"]
    assert error["lanczos"] < 0.03


def test_pillow_resizes_alike():
    """As far as eight bits of a picture tell."""
    image = pytest.importorskip("PIL.Image")
    kinds = {"lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
    picture = np.random.default_rng(0).integers(60, 190, (1, 50)).astype(np.uint8)
    for kind, number in kinds.items():
        for count in (37, 64):
            wanted = np.asarray(image.fromarray(picture).resize((count, 1), number), np.float32)
            at = (np.arange(count) + 0.5) * 50 / count - 0.5
            middle = slice(6, -6)  # at the ends Pillow cuts the filter, here the last frames are read
            got = resize(picture.astype(np.float32), weights(50, at, 50 / count, kind), 1)
            np.testing.assert_allclose(got[:, middle], wanted[:, middle], atol=0.51 + 0.05, err_msg=f"{kind} {count}")


def test_a_longer_chunk_moves_a_click_and_a_shorter_one_goes_on_in_a_circle():
    frames = np.zeros((100, 2), np.float32)
    frames[40] = 1.0
    assert int(np.argmax(zoom_time(frames, 1.25)[:, 0])) == 50
    short = zoom_time(frames, 0.5)[:, 0]
    assert sorted(np.argsort(short)[-2:]) == [20, 70]
    np.testing.assert_allclose(zoom_time(frames, 1.0), frames, atol=1e-6)


def test_cut_bands_go_and_the_rest_covers_all():
    frames = np.tile(np.arange(100, dtype=np.float32), (3, 1))
    zoomed = zoom_bands(frames, 10, 6, "bilinear")
    np.testing.assert_allclose(zoomed[0, [0, -1]], [10 + 0.42 - 0.5, 94 - 0.42 - 0.5], atol=1e-4)
    assert (np.diff(zoomed[0]) > 0).all()
    np.testing.assert_allclose(zoom_bands(frames, 0, 0), frames, atol=1e-4)


def test_a_share_of_the_zooms_is_read_by_another_filter():
    rng = np.random.default_rng(0)
    drawn = [drawn_filter(0.15, rng) for _ in range(2000)]
    assert np.mean([kind != "lanczos" for kind in drawn]) == pytest.approx(0.15, abs=0.03)
    assert set(drawn) == set(FILTERS)


def test_brightness_is_a_gain_and_contrast_an_exponent_of_energies():
    energy = np.random.default_rng(0).uniform(0.1, 10, (30, 8))
    frames = np.log(energy).astype(np.float32)
    np.testing.assert_allclose(adjust(frames, 1.0, np.log(4)), np.log(4 * energy), atol=1e-5)
    steep = adjust(frames, 1.3, 0.0)
    np.testing.assert_allclose(np.diff(steep), np.diff(np.log(energy**1.3)), atol=1e-5)
    assert steep.mean() == pytest.approx(frames.mean(), abs=1e-5)


def test_what_is_added_are_those_without_or_those_alike():
    targets = np.array([[0, 0], [0, 0], [1, 0], [1, 0], [1, 1], [0, -1]], np.float32)
    without = np.flatnonzero(allowed(targets, "none").any(axis=0))
    assert without.tolist() == [0, 1]
    assert allowed(targets, "none")[0].tolist() == [False, True, False, False, False, False]  # never a class to none
    alike = allowed(targets, "same")
    assert [np.flatnonzero(row).tolist() for row in alike] == [[1], [0], [3], [2], [], []]
    assert (alike <= allowed(targets)).all()


def test_chances_are_tried_in_turn():
    """Card 28: 0.75 + 0.75² + 0.75² · 0.5 = 1.594 backgrounds a chunk, and 0.5 + 0.25 of the same label."""
    rng = np.random.default_rng(0)
    counts = [added((0.75, 0.75, 0.5), rng) for _ in range(8000)]
    assert np.mean(counts) == pytest.approx(1.594, abs=0.04)
    assert np.mean([added((0.5, 0.5), rng) for _ in range(8000)]) == pytest.approx(0.75, abs=0.04)
    assert max(counts) == 3
    assert {added((1.0,), rng) for _ in range(9)} == {1}
