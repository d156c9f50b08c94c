"""Every option of a spec against its definition: float64, one frame at a time, much less efficiently."""

from functools import cache

import numpy as np
import pytest

from edge.frontend.filterbank import bank, taper
from edge.frontend.presets import PRESETS
from edge.frontend.spec import BinPercentile, Linear, Mfcc, NoiseFloor, Standardise, parse
from edge.frontend.stream import FrontEnd


def features(spec, x):
    """All frames ``[T, F]`` of samples ``[N]``, post stages included."""
    seconds = spec.frames.hop / spec.rate
    bins = np.array([magnitudes(spec, frame) for frame in framed(spec, x)])
    if spec.background:
        bins = background(spec.background, bins, seconds)
    bins = bins if spec.bands.spectrum == "magnitude" else bins**2
    frames = compress(spec, bins @ bank(spec).T)
    for stage, count in zip(spec.post, spec.counts, strict=False):
        frames = STAGES[type(stage).__name__](stage, frames.reshape(-1, count), seconds, spec)
    return frames


def framed(spec, x):
    f = spec.frames
    x = np.where(np.isfinite(x), x, 0).astype(np.float64)
    lead = f.size // 2 - (f.size - f.window) // 2 if f.centred else 0
    count = len(x) // f.hop + 1 if f.centred else max(0, (len(x) - f.window) // f.hop + 1)
    padded = np.concatenate([np.zeros(lead), x, np.zeros(2 * f.size)])
    return [padded[k * f.hop : k * f.hop + f.window] for k in range(count)]


def background(stage, x, seconds):
    """Over the numpy percentile of the last frames, or over a floor that takes steps."""
    x = np.maximum(x, stage.least)
    if isinstance(stage, BinPercentile):
        length = round(stage.seconds / seconds)
        pasts = [x[max(0, t + 1 - length) : t + 1] for t in range(len(x))]
        return x / np.array([np.percentile(past, 100 * stage.quantile, axis=0) for past in pasts])
    floor, out, step = np.log(x[0]), [], stage.speed * seconds
    for t, frame in enumerate(np.log(x)):
        if t:
            floor = floor + np.where(frame > floor, step * stage.quantile, -step * (1 - stage.quantile))
            floor = np.maximum(floor, np.log(stage.least))
        out.append(np.exp(frame - floor))
    return np.array(out)


def magnitudes(spec, frame):
    f = spec.frames
    frame = frame * f.full_scale
    if f.remove_dc:
        frame = frame - frame.mean()
    frame = frame - f.preemphasis * np.concatenate([frame[:1], frame[:-1]])
    return np.abs(fourier(f.window, f.size) @ (frame * taper(f.taper, f.window)))


@cache
def fourier(window, size):
    n, k = np.arange(window), np.arange(size // 2 + 1)[:, None]
    return np.exp(-2j * np.pi * (n * k % size) / size)


def compress(spec, value):
    kind = type(spec.scale).__name__
    if kind == "Ln":
        return np.log(np.maximum(value, spec.scale.floor) + spec.scale.add)
    if kind == "Log10":
        return np.log10(np.maximum(value, spec.scale.floor) + spec.scale.add)
    if kind == "Decibel":
        return 10 * np.log10(np.maximum(value, spec.scale.floor) / spec.scale.reference)
    return value


def standardise(stage, x, *_):
    return (x - np.array(stage.mean)) / np.array(stage.std)


def pcen(stage, x, seconds, _):
    t = stage.seconds / seconds
    b = (np.sqrt(1 + 4 * t**2) - 1) / (2 * t**2)
    m, out = np.ones(x.shape[1]), []
    for frame in x:
        m = (1 - b) * m + b * frame
        out.append((frame / (stage.eps + m) ** stage.gain + stage.bias) ** stage.power - stage.bias**stage.power)
    return np.array(out)


def mfcc(stage, x, *_):
    n = x.shape[1]
    out = []
    for i in range(stage.count):
        scale = np.sqrt((1 if i == 0 else 2) / n)
        lift = 1 + stage.lifter / 2 * np.sin(np.pi * (i + stage.origin) / stage.lifter) if stage.lifter else 1
        out.append(scale * lift * (x * np.cos(np.pi * i * (np.arange(n) + 0.5) / n)).sum(axis=1))
    return np.stack(out, axis=1)


def delta(stage, x, *_):
    """Slopes by least squares; slopes of slopes of the signal with its ends repeated."""
    w, norm = stage.window, 2 * sum(n * n for n in range(1, stage.window + 1))
    margin = stage.order * w
    signal = np.concatenate([np.repeat(x[:1], margin, 0), x, np.repeat(x[-1:], margin, 0)])
    parts = [x]
    for _order in range(stage.order):
        rows = range(w, len(signal) - w)
        signal = np.array([sum(n * (signal[t + n] - signal[t - n]) for n in range(1, w + 1)) / norm for t in rows])
        extra = (len(signal) - len(x)) // 2
        parts.append(signal[extra : extra + len(x)])
    return np.concatenate(parts, axis=1)


def running_mean(stage, x, seconds, _):
    mean, out = np.zeros(x.shape[1]), []
    for t, frame in enumerate(x):
        mean = mean + max(1 / (t + 1), 1 - np.exp(-seconds / stage.seconds)) * (frame - mean)
        out.append(frame - mean)
    return np.array(out)


def noise_floor(stage, x, seconds, spec):
    """In nepers, whatever the scale."""
    linear = isinstance(spec.scale, Linear)
    unit = {"Linear": 1, "Ln": 1, "Log10": 1 / np.log(10), "Decibel": 10 / np.log(10)}[type(spec.scale).__name__]
    x = np.log(np.maximum(x, 1e-20)) if linear else x / unit
    floor, out, step = x[0].copy(), [], stage.speed * seconds
    for t, frame in enumerate(x):
        if t:
            floor += np.where(frame > floor, step * stage.quantile, -step * (1 - stage.quantile))
        out.append(frame - floor)
    return np.exp(out) if linear else np.array(out) * unit


def stack(stage, x, *_):
    starts = range(0, len(x) - stage.count + 1, stage.stride)
    return np.array([x[s : s + stage.count].ravel() for s in starts])


def frame_standardise(stage, x, *_):
    return (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + stage.least)


STAGES = {
    "FrameStandardise": frame_standardise,
    "Standardise": standardise,
    "Pcen": pcen,
    "Mfcc": mfcc,
    "Delta": delta,
    "RunningMean": running_mean,
    "NoiseFloor": noise_floor,
    "Stack": stack,
}


RATE = 16000
MEL = {"kind": "mel", "count": 20, "low": 100.0}
SMALL = {"window": 200, "hop": 80, "fft": 256}
SPECS = {
    "hann": {"frames": SMALL},
    "hann-symmetric": {"frames": {**SMALL, "taper": "hann-symmetric"}},
    "hamming": {"frames": {**SMALL, "taper": "hamming"}},
    "hamming-symmetric": {"frames": {**SMALL, "taper": "hamming-symmetric"}},
    "povey": {"frames": {**SMALL, "taper": "povey"}},
    "rectangular": {"frames": {**SMALL, "taper": "rectangular"}},
    "dc": {"frames": {**SMALL, "remove_dc": True}},
    "pre-emphasis": {"frames": {**SMALL, "preemphasis": 0.97}},
    "both": {"frames": {**SMALL, "remove_dc": True, "preemphasis": 0.97, "full_scale": 32768.0}},
    "centred": {"frames": {**SMALL, "centred": True}},
    "gaps between frames": {"frames": {"window": 63, "hop": 201}},
    "fft 64": {"frames": {"window": 64, "hop": 10}, "bands": {"kind": "mel", "count": 5}},
    "fft 128": {"frames": {"window": 101, "hop": 50}, "bands": {"kind": "linear", "count": 7}},
    "fft 512": {"frames": {"window": 400, "hop": 160}},
    "fft 1024": {"frames": {"window": 1024, "hop": 500}},
    "fft 2048": {"frames": {"window": 400, "hop": 160, "fft": 2048}},
    "fft 400": {"frames": {"window": 400, "hop": 160, "fft": 400}},
    "fft 75": {"frames": {"window": 70, "hop": 30, "fft": 75}, "bands": {"kind": "spectrum"}},
    "htk": {"bands": {**MEL, "scale": "htk", "norm": "none", "slopes": "mel", "high": 7000.0}},
    "area": {"bands": {**MEL, "norm": "area", "spectrum": "magnitude"}},
    "linear bands": {"bands": {"kind": "linear", "count": 13, "low": 500.0, "norm": "slaney"}},
    "spectrum": {"bands": {"kind": "spectrum", "spectrum": "magnitude"}},
    "no compression": {"scale": {"kind": "linear"}},
    "ln add": {"scale": {"kind": "ln", "floor": 0.0, "add": 1e-3}},
    "log10": {"scale": {"kind": "log10"}},
    "db": {"scale": {"kind": "db", "reference": 0.5}},
    "standardise": {"post": [{"kind": "standardise", "mean": -3.0, "std": [1.0 + i for i in range(20)]}]},
    "frame-standardise": {"post": [{"kind": "frame-standardise"}]},
    "high-pass": {"highpass": {"hz": 2000.0}},
    "high-pass of magnitudes": {"bands": {**MEL, "spectrum": "magnitude"}, "highpass": {"hz": 500.0, "q": 2.0}},
    "pcen": {"scale": {"kind": "linear"}, "post": [{"kind": "pcen"}]},
    "pcen 16 bit": {
        "frames": {**SMALL, "full_scale": 32768.0},
        "scale": {"kind": "linear"},
        "post": [{"kind": "pcen", "gain": 0.8, "bias": 10.0, "power": 0.25, "seconds": 0.06}],
    },
    "mfcc": {"post": [{"kind": "mfcc", "count": 12}]},
    "mfcc liftered": {"post": [{"kind": "mfcc", "count": 13, "lifter": 22.0, "origin": 1}]},
    "delta": {"post": [{"kind": "delta", "window": 3}]},
    "delta delta": {"post": [{"kind": "mfcc", "count": 5}, {"kind": "delta", "order": 2}]},
    "running mean": {"post": [{"kind": "running-mean", "seconds": 0.1}]},
    "noise floor": {"post": [{"kind": "noise-floor", "speed": 20.0}]},
    "noise floor db": {"scale": {"kind": "db"}, "post": [{"kind": "noise-floor", "quantile": 0.3}]},
    "noise floor linear": {"scale": {"kind": "linear"}, "post": [{"kind": "noise-floor"}]},
    "background": {"background": {"kind": "running", "speed": 20.0, "least": 1e-12}},
    "background percentile": {"background": {"kind": "percentile", "seconds": 0.1, "least": 1e-12}},
    "background of magnitudes": {
        "bands": {**MEL, "spectrum": "magnitude"},
        "background": {"kind": "percentile", "quantile": 0.5},
        "post": [{"kind": "standardise", "mean": 1.0, "std": 2.0}, {"kind": "delta"}],
    },
    "background 16 bit": {
        "frames": {**SMALL, "full_scale": 32768.0},
        "scale": {"kind": "db"},
        "background": {"kind": "percentile", "seconds": 0.02, "least": 1.0},
    },
    "stack": {"post": [{"kind": "stack", "count": 3, "stride": 2}]},
    "stack with gaps": {
        "post": [{"kind": "stack", "count": 2, "stride": 5}, {"kind": "standardise", "mean": 0, "std": 2}]
    },
}
LENGTH = 4000


def spec_of(name):
    if name in PRESETS:
        return parse(PRESETS[name])
    return parse({"rate": RATE, "frames": SMALL, "bands": MEL, "scale": {"kind": "ln"}, **SPECS[name]})


def sound(kind, length=LENGTH):
    """float32, full scale ±1."""
    rng, t = np.random.default_rng(7), np.arange(length)
    noise = rng.standard_normal(length)
    return {
        "noise": 0.1 * noise,
        "full scale": np.clip(10 * noise, -1, 1),
        "quiet": 1e-4 * noise,
        "offset": 0.5 + 0.01 * noise,
        "silence": 0 * noise,
        "denormal": 1e-40 * noise,
        "tone": np.sin(2 * np.pi * 0.0613 * t) + 10 ** (-96 / 20) * noise,
    }[kind].astype(np.float32)


def unit(spec):
    """One neper in the unit of the features."""
    return {"Log10": 1 / np.log(10), "Decibel": 10 / np.log(10)}.get(type(spec.scale).__name__, 1.0)


def check(spec, kind, got, tolerance):
    """Features agree to `tolerance` nepers; uncompressed ones to as much of the largest."""
    want = features(spec, sound(kind))
    assert got.shape == want.shape
    if isinstance(spec.scale, Linear):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(np.abs(want).max(), 1e-30))
        return
    # Stages pass errors on: a standardisation multiplies them, sums over bands, frames or steps add them up.
    first = spec.post[0] if spec.post else None
    gain = 1 / np.min(first.std) if isinstance(first, Standardise) else 1.0
    sums = 3 * np.sqrt(spec.band_count) if isinstance(first, Mfcc | NoiseFloor) else 1.0
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=tolerance * unit(spec) * gain * sums)


def step(spec):
    """Nepers by which a tracked floor moves: on a level of its own rounding decides when it does."""
    floors = [stage for stage in [*spec.post, spec.background] if isinstance(stage, NoiseFloor)]
    return max((2 * stage.speed * spec.frames.hop / spec.rate for stage in floors), default=0.0)


@pytest.mark.parametrize("width", [1, None])
@pytest.mark.parametrize("name", SPECS)
def test_every_option_equals_its_definition(name, width):
    spec = spec_of(name)
    front = FrontEnd(spec, width=width)
    for kind in ("noise", "full scale", "quiet"):
        check(spec, kind, front.transform(sound(kind)), 3e-5)
    for kind in ("silence", "denormal"):
        check(spec, kind, front.transform(sound(kind)), 3e-5 + step(spec))


@pytest.mark.long
@pytest.mark.parametrize("size", [4096, 8192])
def test_large_transforms_equal_their_definition(size):
    data = {"rate": 48000, "frames": {"window": size - 100, "hop": 1000}, "bands": {"kind": "mel", "count": 64}}
    spec = parse({**data, "scale": {"kind": "ln"}})
    front = FrontEnd(spec)
    x = sound("noise", 20_000)
    np.testing.assert_allclose(front.transform(x), features(spec, x), atol=3e-5)


@pytest.mark.parametrize("name", ["both", "dc"])
def test_an_offset_is_removed_to_the_precision_of_its_own_size(name):
    # 0.5 of offset under 0.01 of noise costs 34 dB of float32's range, no more.
    spec = spec_of(name)
    check(spec, "offset", FrontEnd(spec).transform(sound("offset")), 2e-3)


@pytest.mark.parametrize("width", [1, None])
@pytest.mark.parametrize("name", ["hann", "fft 2048", "fft 400"])
def test_a_full_scale_tone_over_noise_at_minus_96_db_stays_within_float32(name, width):
    # Rounding of the tone is as loud as −130 dB in every bin: 4 % of the noise there.
    spec = spec_of(name)
    check(spec, "tone", FrontEnd(spec, width=width).transform(sound("tone")), 4e-2)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_equal_their_definition(name):
    # Kaldi's low bands lie 60 dB below its high ones.
    spec = spec_of(name)
    check(spec, "noise", FrontEnd(spec).transform(sound("noise")), 1e-4)
