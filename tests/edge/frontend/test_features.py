"""The kernel against a plain float64 computation, librosa, and physics."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import AudioBlock
from edge.frontend.filterbank import bank, hz_to_mel, mel_to_hz, taper
from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd

RNG = np.random.default_rng(0)
NOISE = (0.1 * RNG.standard_normal(8000)).astype(np.float32)
SPECS = [
    {"frames": {"window": 512, "hop": 320}, "bands": {"kind": "mel", "count": 64, "low": 50}, "scale": {"kind": "ln"}},
    {
        "frames": {"window": 400, "hop": 160, "fft": 1024, "taper": "hamming"},
        "bands": {"kind": "mel", "count": 23, "scale": "htk", "norm": "none", "spectrum": "magnitude"},
        "scale": {"kind": "log10", "floor": 0.0, "add": 1e-3},
        "post": [{"kind": "standardise", "mean": -1.0, "std": 2.0}, {"kind": "standardise", "mean": 3.0, "std": 0.5}],
    },
    {"frames": {"window": 512, "hop": 258, "centred": True}, "bands": {"kind": "spectrum", "spectrum": "magnitude"}},
    {
        "frames": {"window": 100, "hop": 231, "taper": "rectangular"},
        "bands": {"kind": "spectrum"},
        "scale": {"kind": "db", "reference": 0.5},
    },
    {
        "frames": {"window": 63, "hop": 7, "taper": "hann-symmetric", "centred": True},
        "bands": {"kind": "mel", "count": 8},
    },
]


def spec(number):
    return parse({"rate": 16000, **SPECS[number]})


def slow(s, x):
    """Every step as the definition says, float64, one frame at a time."""
    f, out = s.frames, []
    if f.centred:
        x = np.concatenate([np.zeros(f.size), x, np.zeros(f.size)])
    k = 0
    while True:
        start = k * f.hop + (f.size - f.window // 2 if f.centred else 0)
        start += (f.window % 2) * -1 if f.centred else 0
        if k * f.hop > len(x) - 2 * f.size if f.centred else start + f.window > len(x):
            return np.array(out)
        power = np.abs(np.fft.rfft(x[start : start + f.window].astype(np.float64) * taper(f.taper, f.window), f.size))
        value = bank(s) @ (power**2 if s.bands.spectrum == "power" else power)
        kind = type(s.scale).__name__
        if kind == "Ln":
            value = np.log(np.maximum(value, s.scale.floor) + s.scale.add)
        elif kind == "Log10":
            value = np.log10(np.maximum(value, s.scale.floor) + s.scale.add)
        elif kind == "Decibel":
            value = 10 * np.log10(np.maximum(value, s.scale.floor) / s.scale.reference)
        for stage in s.post:
            value = (value - stage.mean) / stage.std
        out.append(value)
        k += 1


@pytest.mark.parametrize("number", range(len(SPECS)))
@pytest.mark.parametrize("sound", ["noise", "tone", "silence", "denormal"])
def test_equals_the_definition_in_float64(number, sound):
    t = np.arange(4000) / 16000
    x = {
        "noise": NOISE[:4000],
        "tone": np.sin(2 * np.pi * 1000 * t),
        "silence": np.zeros(4000),
        "denormal": np.full(4000, 1e-40),
    }[sound].astype(np.float32)
    got, want = FrontEnd(spec(number)).transform(x), slow(spec(number), x)
    assert got.shape == want.shape
    # A full-scale tone leaves float32 rounding of its own size in the empty bands: compare there what is above it.
    scale = np.abs(want).max()
    loud = want > want.max() - 8 if sound == "tone" else np.full(want.shape, True)
    np.testing.assert_allclose(got[loud], want[loud], rtol=2e-5, atol=2e-5 * max(1.0, scale))


def test_equals_librosa():
    s = spec(0)
    mel = librosa.feature.melspectrogram(
        y=NOISE, sr=16000, n_fft=512, hop_length=320, center=False, n_mels=64, fmin=50.0, power=2.0
    )
    np.testing.assert_allclose(FrontEnd(s).transform(NOISE), np.log(mel.T), atol=1e-4)


def test_centred_framing_equals_librosa():
    s = spec(2)
    want = np.abs(librosa.stft(NOISE, n_fft=512, hop_length=258, center=True, pad_mode="constant")).T
    np.testing.assert_allclose(FrontEnd(s).transform(NOISE), want, atol=1e-4)


def test_a_tone_peaks_in_the_band_around_it():
    s = spec(0)
    centres = mel_to_hz(np.linspace(hz_to_mel(50.0, "slaney"), hz_to_mel(8000.0, "slaney"), 66), "slaney")[1:-1]
    for band in (10, 30, 60):
        x = np.sin(2 * np.pi * centres[band] * np.arange(4000) / 16000).astype(np.float32)
        assert (FrontEnd(s).transform(x).argmax(axis=1) == band).all()


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_scale_is_inverted_and_agrees_with_librosa(scale):
    hz = np.linspace(0, 8000, 50)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, atol=1e-9)
    np.testing.assert_allclose(hz_to_mel(hz, scale), librosa.hz_to_mel(hz, htk=scale == "htk"), atol=1e-9)


def test_six_decibels_are_six_decibels():
    front = FrontEnd(spec(3))
    np.testing.assert_allclose(front.transform(2 * NOISE) - front.transform(NOISE), 20 * np.log10(2), atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same_bits(data):
    s = spec(data.draw(st.integers(0, len(SPECS) - 1)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(NOISE)), max_size=20)))
    front, stream = FrontEnd(s), FrontEnd(s)
    stream.reset("e", 0)
    blocks = [
        stream.push(AudioBlock("e", a, 16000, NOISE[a:b])) for a, b in zip([0, *cuts], [*cuts, len(NOISE)], strict=True)
    ]
    blocks.append(stream.flush())
    assert [b.first_frame for b in blocks] == np.cumsum([0, *[len(b.frames) for b in blocks]])[:-1].tolist()
    assert np.concatenate([b.frames for b in blocks]).tobytes() == front.transform(NOISE).tobytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(0, 10_000))
def test_a_piece_after_a_gap_stays_on_the_grid_and_equals_offline(number, start):
    s = spec(number)
    stream = FrontEnd(s)
    stream.reset("e", start)
    block = stream.push(AudioBlock("e", start, 16000, NOISE))
    assert block.first_frame == -(-start // s.hop)
    skipped = block.first_frame * s.hop - start
    if not s.frames.centred:
        np.testing.assert_array_equal(block.frames, FrontEnd(s).transform(NOISE[skipped:]))
    else:
        # Before the piece lies silence, so its first frames see zeros there.
        padded = np.concatenate([np.zeros(s.hop - skipped, np.float32), NOISE])
        whole = FrontEnd(s).transform(padded)[1:]
        np.testing.assert_array_equal(block.frames, whole[: len(block.frames)])


def test_a_block_that_does_not_join_is_refused():
    front = FrontEnd(spec(0))
    front.reset("e", 0)
    with pytest.raises(ValueError, match="expected sample 0 of epoch 'e' at 16000 Hz, got 5"):
        front.push(AudioBlock("e", 5, 16000, NOISE))


def test_silence_is_the_frame_of_zeros():
    assert (FrontEnd(spec(0)).silence == np.float32(np.log(np.float32(1e-10)))).all()
