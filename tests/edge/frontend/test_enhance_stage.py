"""Enhancement on the device: beside the slow tracker of the augmentation, and what physics says of it."""

import numpy as np
import pytest
from scipy.special import exp1

from edge.blocks import AudioBlock
from edge.frontend import enhance
from edge.frontend.spec import Enhance, parse
from edge.frontend.stream import FrontEnd
from training.augment.imcra import Tracker

RATE = 16_000
SPEC = {
    "rate": RATE,
    "frames": {"window": 512, "hop": 128},
    "bands": {"kind": "mel", "count": 20, "low": 100.0},
    "scale": {"kind": "ln"},
}


def sound(seconds=4.0):
    """Noise that grows by 10 dB, with a chirp in it, behind some digital silence."""
    rng, t = np.random.default_rng(0), np.arange(round(seconds * RATE)) / RATE
    x = 0.01 * rng.standard_normal(t.size) * np.where(t > seconds / 2, 10**0.5, 1.0)
    x += 0.2 * np.sin(2 * np.pi * (500 * t + 400 * t**2)) * (np.abs(t - 1.5) < 0.3)
    x[: RATE // 10] = 0
    return x.astype(np.float32)


def magnitudes(samples):
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::128] * np.hanning(513)[:-1]
    return np.abs(np.fft.rfft(frames)).astype(np.float32)


def test_it_equals_the_tracker_of_the_augmentation():
    frames = magnitudes(sound())
    stage = enhance.EnhanceStage(Enhance(), frames.shape[1], 0.008)
    stage.reset(0)
    power = frames.astype(np.float64) ** 2
    tracker = Tracker(power[0])
    wanted = frames * np.maximum([tracker.push(frame)[1] for frame in power], 10 ** (-25 / 20))
    np.testing.assert_allclose(stage.push(frames), wanted, rtol=1e-4, atol=0)


def test_the_exponential_integral_is_scipys():
    x = np.logspace(-10, 2, 300)
    got = np.array([enhance.exponential_integral(v) for v in x])
    np.testing.assert_allclose(got, exp1(x), rtol=2e-6, atol=3e-7)


def test_a_restored_state_goes_on_with_the_same_bits():
    frames = magnitudes(sound(2.5))
    one, other = (enhance.EnhanceStage(Enhance(), frames.shape[1], 0.008) for _ in range(2))
    one.reset(0)
    other.push(frames[50:90])  # a past of its own, to be forgotten
    one.push(frames[:150])
    other.restore(one.state())
    assert one.push(frames[150:]).tobytes() == other.push(frames[150:]).tobytes()
    with pytest.raises(ValueError, match=r"expected state 'smooth' of shape \(257,\), got \(3,\)"):
        other.restore({**one.state(), "smooth": np.zeros(3)})


@pytest.mark.parametrize("hop", [128, 320])
def test_steady_noise_sinks_to_the_floor_and_a_tone_in_it_stays(hop):
    t = np.arange(6 * RATE) / RATE
    noise = (0.01 * np.random.default_rng(1).standard_normal(t.size)).astype(np.float32)
    tone = (0.1 * np.sin(2 * np.pi * 2000 * t) * (np.abs(t - 4.5) < 0.25)).astype(np.float32)
    plain, lowered = (
        FrontEnd(parse({**SPEC, "frames": {"window": 512, "hop": hop}, **extra})).transform(noise + tone)
        for extra in ({}, {"background": {"kind": "enhance", "floor_db": -20.0}})
    )
    moved = 10 / np.log(10) * (lowered - plain)
    per_second = RATE / hop
    quiet, sounding = (
        slice(int(3 * per_second), int(4 * per_second)),
        slice(int(4.4 * per_second), int(4.6 * per_second)),
    )
    band = int(np.argmax(plain[sounding].mean(axis=0)))
    assert -20.01 <= np.median(moved[quiet]) < -8  # peaks of the noise are let through in part
    assert moved.min() > -20.01
    assert moved[sounding, band].min() > -1.0


def test_any_blocks_give_the_same_bits():
    spec, x = parse({**SPEC, "background": {"kind": "enhance"}}), sound(2.0)
    whole = FrontEnd(spec).transform(x)
    front, parts = FrontEnd(spec), []
    front.reset("e", 0)
    for first in range(0, len(x), 777):
        parts.append(front.push(AudioBlock("e", first, RATE, x[first : first + 777])).frames.copy())
    parts.append(front.flush().frames)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
