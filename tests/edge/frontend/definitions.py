"""Every option of a spec as its definition says, float64, one frame at a time, much less efficiently."""

import numpy as np

from edge.frontend.filterbank import bank, taper
from edge.frontend.spec import Linear


def features(spec, x):
    """All frames ``[T, F]`` of samples ``[N]``, post stages included."""
    frames = np.array([compress(spec, bank(spec) @ level(spec, frame)) for frame in framed(spec, x)])
    seconds = spec.frames.hop / spec.rate
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


def level(spec, frame):
    f = spec.frames
    frame = frame * f.full_scale
    if f.remove_dc:
        frame = frame - frame.mean()
    frame = frame - f.preemphasis * np.concatenate([frame[:1], frame[:-1]])
    n, k = np.arange(f.window), np.arange(f.size // 2 + 1)[:, None]
    magnitude = np.abs(np.exp(-2j * np.pi * (n * k % f.size) / f.size) @ (frame * taper(f.taper, f.window)))
    return magnitude if spec.bands.spectrum == "magnitude" else magnitude**2


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


STAGES = {
    "Standardise": standardise,
    "Pcen": pcen,
    "Mfcc": mfcc,
    "Delta": delta,
    "RunningMean": running_mean,
    "NoiseFloor": noise_floor,
    "Stack": stack,
}
