"""What post stages do to signals whose answer is known by hand."""

import numpy as np
import pytest

from edge.frontend import stages
from edge.frontend.background import build as build_background
from edge.frontend.spec import parse

BASE = {"rate": 16000, "frames": {"window": 320, "hop": 160}, "bands": {"kind": "mel", "count": 3}}
LOG = {**BASE, "scale": {"kind": "ln"}}


def stage(data, **post):
    (built,) = stages.build(parse({**data, "post": [post]}))
    built.reset(0)
    return built


def frames(*rows):
    return np.array(rows, np.float32)


def test_the_slope_of_a_ramp_is_its_rise_and_its_second_slope_is_zero():
    ramp = np.arange(20, dtype=np.float32)[:, None] * frames([1.0, -2.0, 0.5])
    delta = stage(LOG, kind="delta", order=2)
    out = np.concatenate([delta.push(ramp), delta.flush()])
    assert out.shape == (20, 9)
    np.testing.assert_array_equal(out[:, :3], ramp)
    inside = slice(4, -4)
    np.testing.assert_allclose(out[inside, 3:6], np.tile([1.0, -2.0, 0.5], (12, 1)), atol=1e-5)
    np.testing.assert_allclose(out[inside, 6:], 0, atol=1e-5)


def test_deltas_of_less_than_their_lookahead_come_at_the_end():
    delta = stage(LOG, kind="delta", window=2)
    assert len(delta.push(frames([1, 2, 3], [1, 2, 3]))) == 0
    np.testing.assert_allclose(delta.flush(), [[1, 2, 3, 0, 0, 0]] * 2, atol=1e-6)
    assert stage(LOG, kind="delta").flush() is None


def test_stacks_stand_on_the_grid_of_frame_numbers():
    stack = stage(LOG, kind="stack", count=2, stride=3)
    assert stack.reset(4) == 2  # frames 4 and 5 are before the stack that begins at 6
    x = np.arange(4, 12, dtype=np.float32)[:, None].repeat(3, 1)
    np.testing.assert_array_equal(stack.push(x)[:, [0, 3]], [[6, 7], [9, 10]])


def test_a_running_mean_is_plain_at_first_and_fades_later():
    mean = stage(LOG, kind="running-mean", seconds=0.1)
    np.testing.assert_allclose(mean.push(frames([4, 4, 4], [6, 6, 6]))[:, 0], [0, 1])  # means 4 and 5
    settled = mean.push(np.full((400, 3), 10, np.float32))
    np.testing.assert_allclose(settled[-1], 0, atol=1e-5)
    # A step of 1 is forgotten to 1/e after the time constant of 10 frames.
    np.testing.assert_allclose(mean.push(np.full((11, 3), 11, np.float32))[-1], np.exp(-11 / 10), rtol=1e-3)


@pytest.mark.parametrize("scale", ["ln", "linear", "db"])
def test_a_noise_floor_does_not_depend_on_the_gain_of_a_band(scale):
    data = {**BASE, "scale": {"kind": scale}}
    x = np.random.default_rng(0).exponential(1.0, (300, 3)).astype(np.float32) + np.float32(0.01)
    gain = frames([1.0, 2.0**-9, 2.0**6])
    if scale == "linear":
        louder = x * gain
    else:
        unit = 1 if scale == "ln" else 10 / np.log(10)
        x, louder = (unit * np.log(v) for v in (x, x * gain))
    one, other = (stage(data, kind="noise-floor").push(v.astype(np.float32)) for v in (x, louder))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_a_noise_floor_settles_where_its_share_of_frames_lies_below():
    x = np.log(np.random.default_rng(1).exponential(1.0, (20_000, 3))).astype(np.float32)
    out = stage(LOG, kind="noise-floor", quantile=0.1, speed=2.0).push(x)
    share = (out[5000:] < 0).mean(axis=0)
    np.testing.assert_allclose(share, 0.1, atol=0.01)


def background(**changes):
    data = {**BASE, "background": {"kind": "percentile", **changes}}
    return build_background(parse(data))


def test_the_tenth_percentile_of_one_to_ten_is_1_9():
    level, _ = background()
    x = np.random.default_rng(0).permutation(np.arange(1, 11)).astype(np.float32)
    out = level.push(np.repeat(x[:, None], level.count, axis=1))
    np.testing.assert_allclose(out[-1], x[-1] / 1.9, rtol=1e-6)


def test_a_percentile_forgets_what_is_older_than_its_time():
    level, _ = background(seconds=0.05, quantile=0.5)  # five frames
    x = np.float32([9, 9, 9, 1, 2, 3, 4, 5])
    out = level.push(np.repeat(x[:, None], level.count, axis=1))[:, 0]
    np.testing.assert_allclose(x / out, [9, 9, 9, 9, 9, 3, 3, 3])


@pytest.mark.parametrize("kind", ["percentile", "running"])
def test_a_background_takes_a_fixed_gain_per_bin_away(kind):
    data = {**BASE, "scale": {"kind": "ln"}, "background": {"kind": kind, "least": 1e-12}}
    rng = np.random.default_rng(0)
    x, gain = rng.rayleigh(1.0, (300, 257)).astype(np.float32), np.exp2(rng.integers(-9, 9, 257)).astype(np.float32)
    one, other = (bands.push(level.push(v)) for v in (x, x * gain) for level, bands in [build_background(parse(data))])
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_percentile_goes_on_from_its_state():
    x = np.random.default_rng(0).rayleigh(1.0, (40, 257)).astype(np.float32)
    one, other = background(seconds=0.1)[0], background(seconds=0.1)[0]
    other.push(x[:7])  # a past of its own, to be forgotten
    one.push(x[:25])
    other.restore(one.state())
    assert one.push(x[25:]).tobytes() == other.push(x[25:]).tobytes()
    with pytest.raises(ValueError, match="expected at most 10 recent frames of 257 bins, got \\(3, 2\\)"):
        other.restore({"recent": np.zeros((3, 2))})


def test_pcen_of_a_steady_sound_is_its_own_formula():
    out = stage(BASE, kind="pcen").push(np.full((3000, 3), 0.25, np.float32))[-1]
    np.testing.assert_allclose(out, (0.25 / (1e-6 + 0.25) ** 0.98 + 2) ** 0.5 - 2**0.5, rtol=1e-5)


def test_pcen_forgets_a_sound_altogether_in_long_silence():
    # 0.975^n never reaches zero by itself: denormal numbers would slow every later frame down.
    pcen = stage(BASE, kind="pcen")
    pcen.push(np.zeros((20_000, 3), np.float32))
    assert (pcen.state()["smooth"] == 0).all()


def test_coefficient_zero_is_the_sum_over_root_n_and_a_cosine_excites_its_own():
    mfcc = stage({**LOG, "bands": {"kind": "mel", "count": 16}}, kind="mfcc", count=5)
    n = np.arange(16)
    x = np.stack([np.ones(16), np.cos(np.pi * 3 * (n + 0.5) / 16)]).astype(np.float32)
    np.testing.assert_allclose(mfcc.push(x), [[4, 0, 0, 0, 0], [0, 0, 0, np.sqrt(8), 0]], atol=1e-6)
