"""Resampling: the same for any chunking, on an absolute grid, equal to offline for each piece."""

from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import AudioBlock
from edge.resample import Resampler, convert

RATES = [(48000, 16000), (44100, 16000), (22050, 48000), (16000, 22050), (192000, 16000), (384000, 16000)]


def noise(count, seed=0):
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32) * np.float32(0.1)


def blocks(samples, rate, cuts, start=0, epoch="e"):
    edges = [0, *sorted(cuts), len(samples)]
    return [AudioBlock(epoch, start + a, rate, samples[a:b]) for a, b in pairwise(edges)]


def run(resampler, pieces):
    out = [resampler.push(piece) for piece in pieces]
    out.append(resampler.flush())
    for before, after in pairwise(out):
        assert after.start == before.stop
    return out[0].start, np.concatenate([block.samples for block in out])


@given(st.sampled_from(RATES), st.lists(st.integers(0, 9000), max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_chunking_equals_offline_bit_for_bit(rates, cuts):
    samples = noise(9000)
    start, out = run(Resampler(*rates), blocks(samples, rates[0], cuts))
    assert start == 0
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, soxr.resample(samples, *rates, quality="HQ"))


@given(st.sampled_from(RATES), st.integers(0, 100_000), st.lists(st.integers(0, 9000), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_piece_after_a_gap_stays_on_the_grid(rates, start, cuts):
    source, rate = rates
    samples = noise(9000, 1)
    resampler = Resampler(source, rate)
    run(resampler, blocks(noise(500), source, []))
    first, out = run(resampler, blocks(samples, source, cuts, start))
    origin = resampler.to_source(first)
    assert origin * rate == first * source  # a point that both grids have
    assert 0 <= origin - start < source // np.gcd(source, rate)
    np.testing.assert_array_equal(out, soxr.resample(samples[origin - start :], source, rate, quality="HQ"))


def test_a_tone_keeps_its_frequency_and_phase():
    source, rate = 48000, 16000
    tone = np.sin(2 * np.pi * 1000 * np.arange(source) / source).astype(np.float32)
    _, out = run(Resampler(source, rate), blocks(tone, source, range(0, source, 480)))
    expected = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    assert np.abs(out - expected)[500:-500].max() < 1e-4


def test_a_tone_above_the_model_band_vanishes():
    tone = np.sin(2 * np.pi * 20000 * np.arange(48000) / 48000).astype(np.float32)
    _, out = run(Resampler(48000, 16000), blocks(tone, 48000, []))
    assert np.abs(out[500:-500]).max() < 1e-4


def test_equal_rates_pass_the_very_same_block():
    resampler = Resampler(16000, 16000)
    block = AudioBlock("e", 7, 16000, noise(10))
    assert resampler.push(block) is block
    tail = resampler.flush()
    assert (tail.epoch, tail.start, len(tail.samples)) == ("e", 17, 0)


def test_a_gap_is_handed_on_in_model_samples():
    resampler = Resampler(48000, 16000)
    out = resampler.push(AudioBlock("e", 3000, 48000, noise(30), gap=100, exact=False))
    assert (out.start, out.gap, out.exact) == (1000, 34, False)


@pytest.mark.parametrize("bad", [("e", 11), ("f", 10)])
def test_blocks_that_do_not_join_are_refused(bad):
    resampler = Resampler(48000, 16000)
    resampler.push(AudioBlock("e", 0, 48000, noise(10)))
    with pytest.raises(ValueError, match=r"expected sample 10 of epoch e at 48000 Hz, got \d+ of [ef].*flush"):
        resampler.push(AudioBlock(*bad, 48000, noise(10)))


def test_instants_in_integers_by_hand():
    resampler = Resampler(44100, 16000)
    assert resampler.to_source(160) == 441
    assert (resampler.to_source(1), resampler.to_source(1, up=True)) == (2, 3)  # 2.75625
    assert convert(10**15 * 441, 44100, 16000) == 10**15 * 160  # exact after centuries
