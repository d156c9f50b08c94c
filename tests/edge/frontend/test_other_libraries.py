"""The same numbers as librosa and kaldi-native-fbank, where formulas coincide."""

import librosa
import numpy as np
import pytest

from edge.frontend.presets import PRESETS, preset
from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd

NOISE = (0.1 * np.random.default_rng(0).standard_normal(22050)).astype(np.float32)
TONE = (0.5 * np.sin(2 * np.pi * 440 / 22050 * np.arange(22050))).astype(np.float32) + 0.01 * NOISE


@pytest.mark.parametrize("x", [NOISE, TONE], ids=["noise", "tone"])
def test_librosa_melspectrogram_in_db(x):
    mel = librosa.feature.melspectrogram(y=x, sr=22050)
    want = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T
    np.testing.assert_allclose(FrontEnd(preset("librosa")).transform(x), want, atol=2e-3)


@pytest.mark.parametrize("lifter", [0, 22])
def test_librosa_mfcc(lifter):
    want = librosa.feature.mfcc(y=NOISE, sr=22050, n_mfcc=13, lifter=lifter, n_mels=40, n_fft=1024, hop_length=256)
    spec = parse(
        {
            "rate": 22050,
            "frames": {"window": 1024, "hop": 256, "centred": True},
            "bands": {"kind": "mel", "count": 40},
            "scale": {"kind": "db"},
            "post": [{"kind": "mfcc", "count": 13, "lifter": float(lifter), "origin": 1}],
        }
    )
    np.testing.assert_allclose(FrontEnd(spec).transform(NOISE), want.T, atol=5e-3)


def test_librosa_pcen():
    mel = librosa.feature.melspectrogram(y=NOISE, sr=22050, power=1, n_mels=40, n_fft=1024, hop_length=256)
    want = librosa.pcen(mel * 2.0**31, sr=22050, hop_length=256).T
    spec = parse(
        {
            "rate": 22050,
            "frames": {"window": 1024, "hop": 256, "centred": True, "full_scale": 2.0**31},
            "bands": {"kind": "mel", "count": 40, "spectrum": "magnitude"},
            "post": [{"kind": "pcen"}],
        }
    )
    got = FrontEnd(spec).transform(NOISE)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_librosa_delta_inside():
    spec = parse({**PRESETS["kaldi"], "rate": 16000, "post": [{"kind": "delta", "window": 4}]})
    frames = FrontEnd(spec).transform(NOISE)
    want = librosa.feature.delta(frames[:, :80].T, width=9).T
    np.testing.assert_allclose(frames[4:-4, 80:], want[4:-4], atol=1e-5)


def kaldi_options(options):
    options.frame_opts.dither = 0
    return options


def kaldi_frames(stream, x):
    stream.accept_waveform(16000, (x * 32768).tolist())
    stream.input_finished()
    return np.stack([stream.get_frame(i) for i in range(stream.num_frames_ready)])


@pytest.mark.parametrize("x", [NOISE, TONE], ids=["noise", "tone"])
def test_kaldi_fbank(x):
    kaldi = pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    options = kaldi_options(kaldi.FbankOptions())
    options.mel_opts.num_bins = 80
    want = kaldi_frames(kaldi.OnlineFbank(options), x)
    # Its transform is float32 too: bands 60 dB below the loudest agree to a thousandth of a neper.
    np.testing.assert_allclose(FrontEnd(preset("kaldi")).transform(x), want, atol=3e-3)


def test_kaldi_mfcc():
    kaldi = pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    options = kaldi_options(kaldi.MfccOptions())
    options.use_energy = False
    want = kaldi_frames(kaldi.OnlineMfcc(options), NOISE)
    got = FrontEnd(preset("kaldi-mfcc")).transform(NOISE)[:, :13]
    np.testing.assert_allclose(got, want, atol=2e-2)
