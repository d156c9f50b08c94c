"""The same bits from every chunking, width by width; state, channels, sample types and samples that are no sound."""

import logging
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import AudioBlock
from edge.errors import SpecError
from edge.frontend import fused
from edge.frontend.extractor import Extractor
from edge.frontend.presets import PRESETS, preset
from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd

RATE = 16000
NOISE = (0.1 * np.random.default_rng(0).standard_normal(6000)).astype(np.float32)
SMALL = {"window": 200, "hop": 80, "fft": 256}
MEL = {"kind": "mel", "count": 20, "low": 100.0}
LINEAR = {"scale": {"kind": "linear"}}

# Kernels by name (each is compiled once), and stages that go with any of them.
KERNELS = {
    "small": {},
    "centred": {"frames": {**SMALL, "centred": True}},
    "prepared": {"frames": {**SMALL, "remove_dc": True, "preemphasis": 0.97, "taper": "povey"}},
    "sparse": {"frames": {"window": 63, "hop": 201}},
    "dense": {"frames": {"window": 64, "hop": 7}, "bands": {"kind": "spectrum"}},
    "floored": {"background": {"kind": "running"}},
    "background": {"background": {"kind": "percentile", "seconds": 0.1}},
    "enhanced": {"background": {"kind": "enhance"}, "highpass": {"hz": 2000.0}},
    "odd": {"frames": {"window": 70, "hop": 30, "fft": 75}},
}
POSTS = {
    "none": [],
    "mfcc": [{"kind": "mfcc", "count": 7}],
    "delta": [{"kind": "delta", "order": 2}],
    "mean": [{"kind": "running-mean"}],
    "floor": [{"kind": "noise-floor"}],
    "shape": [{"kind": "frame-standardise"}, {"kind": "mfcc", "count": 7}],
    "stack": [{"kind": "stack", "count": 3, "stride": 2}, {"kind": "delta", "window": 1}],
}


def spec(kernel, post="none"):
    return parse(
        {"rate": RATE, "frames": SMALL, "bands": MEL, "scale": {"kind": "ln"}, "post": POSTS[post], **KERNELS[kernel]}
    )


PCEN = parse({"rate": RATE, "frames": SMALL, "bands": MEL, "post": [{"kind": "pcen"}]})


def pushed(front, samples, cuts, start=0, epoch="e"):
    """Frames of `samples` cut at `cuts`, flushed; and that their numbers join."""
    edges = [0, *sorted(cuts), len(samples)]
    blocks = [front.push(AudioBlock(epoch, start + a, front.spec.rate, samples[a:b])) for a, b in pairwise(edges)]
    blocks.append(front.flush())
    first = blocks[0].first_frame
    assert [b.first_frame - first for b in blocks] == np.cumsum([0, *[len(b.frames) for b in blocks]])[:-1].tolist()
    return np.concatenate([b.frames for b in blocks])


CUTS = st.lists(st.integers(0, len(NOISE)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(KERNELS)), st.sampled_from(list(POSTS)), st.sampled_from([1, None]), CUTS)
def test_any_chunking_of_any_spec_gives_the_same_bits(kernel, post, width, cuts):
    front, stream = (FrontEnd(spec(kernel, post), width=width) for _ in range(2))
    stream.reset("e", 0)
    assert pushed(stream, NOISE, cuts).tobytes() == front.transform(NOISE).tobytes()


@settings(max_examples=20, deadline=None)
@given(CUTS, st.integers(2, 5))
def test_pcen_and_channels_and_threads_give_the_same_bits(cuts, threads):
    front = FrontEnd(PCEN)
    front.reset("e", 0)
    whole = front.transform(NOISE, threads=1)
    assert pushed(front, NOISE, cuts).tobytes() == whole.tobytes() == front.transform(NOISE, threads=threads).tobytes()
    stereo = FrontEnd(PCEN, channels=2)
    stereo.reset("e", 0)
    both = pushed(stereo, np.stack([NOISE, -2 * NOISE], axis=1), cuts)
    assert both.shape == (len(whole), 2, PCEN.count)
    np.testing.assert_array_equal(both[:, 0], whole)
    np.testing.assert_array_equal(both[:, 1], front.transform(-2 * NOISE))


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_specs_give_the_same_bits_for_every_chunking(data):
    size = data.draw(st.sampled_from([64, 100, 128, 256, 511, 512, 1024, 2048, 4096, 8192]))
    random = parse(
        {
            "rate": data.draw(st.sampled_from([8000, 16000, 44100])),
            "frames": {
                "window": data.draw(st.integers(size // 3, size)),
                "hop": data.draw(st.integers(1, 2 * size)),
                "fft": size,
                "centred": data.draw(st.booleans()),
                "remove_dc": data.draw(st.booleans()),
                "preemphasis": data.draw(st.sampled_from([0.0, 0.97])),
            },
            "bands": data.draw(st.sampled_from([{**MEL, "norm": "area"}, {"kind": "linear", "count": 33}])),
            "scale": {"kind": data.draw(st.sampled_from(["ln", "db", "linear"]))},
        }
    )
    x = (0.1 * np.random.default_rng(1).standard_normal(8 * size)).astype(np.float32)
    stream = FrontEnd(random)
    stream.reset("e", 0)
    cuts = data.draw(st.lists(st.integers(0, len(x)), max_size=20))
    assert pushed(stream, x, cuts).tobytes() == stream.transform(x, threads=3).tobytes()


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("kernel", ["small", "prepared", "dense"])
def test_every_vector_width_equals_the_plain_kernel(kernel, width):
    vector = FrontEnd(spec(kernel), width=width)
    assert vector.width == width
    plain = FrontEnd(spec(kernel), width=1).transform(NOISE)
    # Sums are grouped otherwise: rounding of the frame's loudest bin, as far as each band lies below it.
    np.testing.assert_allclose(vector.transform(NOISE), plain, rtol=1e-5, atol=3e-5 * max(1, np.abs(plain).max()))


def test_the_environment_chooses_the_width(monkeypatch):
    monkeypatch.setenv("WHEATEAR_VECTOR_WIDTH", "4")
    assert FrontEnd(spec("small")).width == 4
    monkeypatch.setenv("WHEATEAR_VECTOR_WIDTH", "5")
    with pytest.raises(SpecError, match="expected a vector width of 1, 4, 8 or 16, got 5"):
        FrontEnd(spec("small"))


def test_the_plain_kernel_takes_over_where_the_vector_kernel_cannot_be_built(monkeypatch, caplog):
    def refuse(*_):
        raise NotImplementedError("this processor")

    monkeypatch.setattr(fused, "emit", refuse)
    data = {"rate": RATE, "frames": {"window": 64, "hop": 33}, "bands": {"kind": "mel", "count": 3}}
    front = FrontEnd(parse(data))
    assert front.width == 1
    assert "no vector kernel here" in caplog.text
    assert len(front.transform(NOISE)) == (len(NOISE) - 64) // 33 + 1


def test_transforms_of_other_sizes_take_the_plain_kernel():
    assert FrontEnd(spec("odd")).width == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, len(NOISE)), st.sampled_from(list(KERNELS)), st.sampled_from(list(POSTS)))
def test_a_restored_state_goes_on_with_the_same_bits(cut, kernel, post):
    one, other = (FrontEnd(spec(kernel, post)) for _ in range(2))
    one.reset("e", 0)
    head = one.push(AudioBlock("e", 0, RATE, NOISE[:cut])).frames
    state = one.state()
    one.push(AudioBlock("e", cut, RATE, NOISE[cut:]))  # what happens later must not reach into the state
    other.restore(state)
    tail = [other.push(AudioBlock("e", cut, RATE, NOISE[cut:])).frames, other.flush().frames]
    assert np.concatenate([head, *tail]).tobytes() == other.transform(NOISE).tobytes()


def test_a_state_of_another_spec_is_refused():
    with pytest.raises(ValueError, match="restore needs the same spec"):
        FrontEnd(spec("small")).restore(FrontEnd(spec("small", "mean")).state())
    big = FrontEnd(spec("small"))
    big.reset("e", 0)
    big.push(AudioBlock("e", 0, RATE, NOISE[:150]))
    with pytest.raises(ValueError, match="fewer than 63 samples"):
        FrontEnd(spec("sparse")).restore(big.state())


@pytest.mark.parametrize("width", [1, None])
def test_int16_is_float32_over_32768(width):
    numbers = (NOISE * 8000).astype(np.int16)
    front = FrontEnd(spec("small"), width=width)
    np.testing.assert_array_equal(front.transform(numbers), front.transform(numbers.astype(np.float32) / 32768))


def test_strided_read_only_and_double_samples_are_taken():
    front = FrontEnd(spec("small"))
    want = front.transform(NOISE)
    fixed = NOISE.copy()
    fixed.flags.writeable = False
    for same in (np.repeat(NOISE, 2)[::2], fixed, NOISE.astype(np.float64)):
        np.testing.assert_array_equal(front.transform(same), want)
        stream = FrontEnd(spec("small"))
        stream.reset("e", 0)
        np.testing.assert_array_equal(pushed(stream, same, [1000, 1003]), want)


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected samples of shape \[N\], got \[6000, 1\]"):
        FrontEnd(spec("small")).transform(NOISE[:, None])
    with pytest.raises(ValueError, match=r"expected samples of shape \[N, 2\], got \[6000\]"):
        FrontEnd(spec("small"), channels=2).transform(NOISE)


@pytest.mark.parametrize("width", [1, None])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("post", ["none", "mean", "floor", "pcen"])
def test_what_is_no_sound_becomes_silence_and_is_counted_and_said(bad, post, width, caplog):
    chosen = PCEN if post == "pcen" else spec("small", post)
    broken, mended = NOISE.copy(), NOISE.copy()
    broken[1000:1010], mended[1000:1010] = bad, 0
    front = FrontEnd(chosen, width=width)
    front.reset("e", 0)
    with caplog.at_level(logging.WARNING):
        got = pushed(front, broken, [900, 1005, 1500])
    np.testing.assert_array_equal(got, front.transform(mended))
    assert front.replaced == 10
    assert [r.message for r in caplog.records] == [
        "front end: 5 samples were not finite or beyond any sound and became 0, in the block at sample 900"
    ]


def test_frames_of_a_stream_are_the_callers_own():
    front = FrontEnd(spec("small"))
    front.reset("e", 0)
    first = front.push(AudioBlock("e", 0, RATE, NOISE[:400])).frames
    before = first.copy()
    front.push(AudioBlock("e", 400, RATE, NOISE[400:800]))
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("name", ["librosa", "kaldi-mfcc", "vggish"])
def test_declared_lookahead_is_the_real_one(name):
    """A frame is unmoved by samples from ``k · hop + reach`` on, and moved by the one before."""
    chosen, k = preset(name), 5
    edge = k * chosen.hop + chosen.reach
    x = np.tile(NOISE, 4)
    front = FrontEnd(chosen)
    whole = front.transform(x)
    beyond = x.copy()
    beyond[edge:] += 0.5
    np.testing.assert_array_equal(front.transform(beyond)[k], whole[k])
    # A Hann window begins with a zero and ends near one: go in by a few samples.
    inside = x.copy()
    inside[edge - 8 : edge] += 0.5
    assert (front.transform(inside)[k] != whole[k]).any()


def test_a_frame_is_given_as_soon_as_it_is_complete():
    for name in PRESETS:
        chosen = preset(name)
        x, k = np.tile(NOISE, 4), 3
        front = FrontEnd(chosen)
        front.reset("e", 0)
        due = k * chosen.hop + chosen.reach
        assert len(front.push(AudioBlock("e", 0, chosen.rate, x[: due - 1])).frames) == k
        assert len(front.push(AudioBlock("e", due - 1, chosen.rate, x[due - 1 : due])).frames) == 1


def test_an_extractor_goes_through_long_and_short_pushes_alike():
    extractor = Extractor(spec("small"))
    whole = extractor.transform(NOISE)
    parts = [extractor.push(part).copy() for part in (NOISE[:50], NOISE[50:5000], NOISE[5000:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
