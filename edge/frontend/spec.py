"""The front-end spec: what a model hears, as data, with a hash that pins it.

A spec is a tagged pipeline, written in a card's ``[frontend]`` table::

    rate = 16000
    frames = { window = 512, hop = 320 }
    bands  = { kind = "mel", count = 64, low = 50.0, high = 8000.0 }
    scale  = { kind = "ln", floor = 1e-10 }
    post   = [ { kind = "standardise", mean = -8.0, std = 4.0 } ]

A ``post`` stage takes the frames of the one before: PCEN, MFCC, deltas, running mean, noise floor, stacking, in any
order that makes sense.

The spec's hash is ``fe1:`` + sha256 of its canonical JSON: sorted keys, defaults omitted, floats by ``repr``. Defaults
are frozen for ever: a change of their meaning needs a new prefix.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Literal, TypeAlias

import msgspec

from edge.errors import SpecError

LARGEST, SMALLEST = 8192, 64
# Full scale times this factor is no sound any more; squares of sums of it still fit a float32.
HEADROOM = 2.0**40


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all tables: unknown keys are refused, defaults are not written."""


class Frames(Table, frozen=True):
    """Framing: window and hop in samples.

    Attributes
    ----------
    window
        Length of the analysis window, samples.
    hop
        Distance of frame starts, samples.
    fft
        Transform length, 64 to 8192; powers of two are fast. 0 means the smallest of these that holds the window.
    taper
        ``hann`` and ``hamming`` are periodic (DFT-even), ``-symmetric`` ones begin and end alike; ``povey`` is Kaldi's
        symmetric Hann to the power 0.85.
    centred
        Frame ``k`` is centred on sample ``k · hop`` (zeros before the start and behind the end): a lookahead of
        half a window. Otherwise it begins there, and only whole windows count.
    remove_dc
        Subtract each frame's mean.
    preemphasis
        Then ``y[i] = x[i] − preemphasis · x[i − 1]`` within the frame, its first sample standing for the one before.
    full_scale
        What a full-scale sample counts as: 1, or 32768 where a model was trained on 16-bit numbers.
    """

    window: int
    hop: int
    fft: int = 0
    taper: Literal["hann", "hann-symmetric", "hamming", "hamming-symmetric", "povey", "rectangular"] = "hann"
    centred: bool = False
    remove_dc: bool = False
    preemphasis: float = 0.0
    full_scale: float = 1.0

    @property
    def size(self) -> int:
        """Transform length, samples."""
        return self.fft or max(SMALLEST, 1 << (self.window - 1).bit_length())

    @property
    def lead(self) -> int:
        """Samples by which a frame begins before its grid point; a short window is centred in the transform."""
        return self.size // 2 - (self.size - self.window) // 2 if self.centred else 0


class Mel(Table, frozen=True, tag_field="kind", tag="mel"):
    """Triangular bands, evenly spaced on a mel scale; `high` = 0 means half the rate.

    Attributes
    ----------
    scale
        ``slaney``: linear to 1 kHz, logarithmic above; ``htk``: 2595 · log10(1 + f / 700).
    norm
        ``slaney``: by half the width in Hz; ``area``: weights of a band sum to 1; ``none``: peaks are 1.
    spectrum
        What the bands sum.
    slopes
        Triangles have straight sides over ``hz`` (Slaney, librosa) or over ``mel`` (HTK, Kaldi, VGGish).
    """

    count: int
    low: float = 0.0
    high: float = 0.0
    scale: Literal["slaney", "htk"] = "slaney"
    norm: Literal["slaney", "area", "none"] = "slaney"
    spectrum: Literal["power", "magnitude"] = "power"
    slopes: Literal["hz", "mel"] = "hz"


class LinearBands(Table, frozen=True, tag_field="kind", tag="linear"):
    """Triangular bands, evenly spaced in Hz; `high` = 0 means half the rate."""

    count: int
    low: float = 0.0
    high: float = 0.0
    norm: Literal["slaney", "area", "none"] = "none"
    spectrum: Literal["power", "magnitude"] = "power"


class Spectrum(Table, frozen=True, tag_field="kind", tag="spectrum"):
    """All ``fft / 2 + 1`` bins, linear in frequency."""

    spectrum: Literal["power", "magnitude"] = "power"


class Highpass(Table, frozen=True):
    """A second-order high-pass before everything else, as what it does to the power of a bin (card 28).

    Bands weigh each bin by |H(f)|² of the digital filter: no samples are filtered, nothing is carried, and the features
    are those of filtered samples as far as a window is long beside the filter's ringing. `q` = 0.707 is Butterworth's.
    """

    hz: float
    q: float = 0.707


class Linear(Table, frozen=True, tag_field="kind", tag="linear"):
    """No compression."""


class Ln(Table, frozen=True, tag_field="kind", tag="ln"):
    """ln(max(x, floor) + add)."""

    floor: float = 1e-10
    add: float = 0.0


class Log10(Table, frozen=True, tag_field="kind", tag="log10"):
    """log10(max(x, floor) + add)."""

    floor: float = 1e-10
    add: float = 0.0


class Decibel(Table, frozen=True, tag_field="kind", tag="db"):
    """10 · log10(max(x, floor) / reference); a clip's own maximum cannot be a streaming reference."""

    floor: float = 1e-10
    reference: float | Literal["max"] = 1.0


class Standardise(Table, frozen=True, tag_field="kind", tag="standardise"):
    """(x − mean) / std, one number for all features or one per feature."""

    mean: float | list[float]
    std: float | list[float]


class FrameStandardise(Table, frozen=True, tag_field="kind", tag="frame-standardise"):
    """(x − mean) / (std + `least`) over the features of each frame: a spectrum's shape without its level (card 21).

    With logarithms a louder sound gives the same features, down to the scale's floor.
    """

    least: float = 1e-3


class Pcen(Table, frozen=True, tag_field="kind", tag="pcen"):
    """Per-channel energy normalisation of uncompressed bands, in place of a logarithm (librosa's formula).

    M[t] = (1 − b) · M[t − 1] + b · x[t], M = 1 before the first frame, and
    y = (x / (eps + M)^gain + bias)^power − bias^power, with b = (√(1 + 4T²) − 1) / 2T² for T = `seconds` in frames.
    """

    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5
    seconds: float = 0.4
    eps: float = 1e-6


class Mfcc(Table, frozen=True, tag_field="kind", tag="mfcc"):
    """The first `count` coefficients of the orthonormal DCT-II over features, liftered.

    Coefficient i is multiplied by 1 + lifter / 2 · sin(π (i + origin) / lifter); Kaldi's origin is 0, librosa's 1.
    """

    count: int = 20
    lifter: float = 0.0
    origin: Literal[0, 1] = 0


class Delta(Table, frozen=True, tag_field="kind", tag="delta"):
    """Features, then their slopes (order 1), then the slopes' slopes (order 2): regression over ± `window` frames.

    d[t] = Σ n · (x[t + n] − x[t − n]) / 2 Σ n², a lookahead of ``order · window`` frames. Ends repeat the last frame.
    """

    order: Literal[1, 2] = 1
    window: int = 2


class RunningMean(Table, frozen=True, tag_field="kind", tag="running-mean"):
    """x − the mean of the features so far, the past fading with time constant `seconds`."""

    seconds: float = 3.0


class NoiseFloor(Table, frozen=True, tag_field="kind", tag="noise-floor"):
    """Features above a running quantile of their past: differences of logarithms, quotients of uncompressed bands.

    The floor begins at the first frame. Each frame below it lowers it by ``speed · (1 − quantile)`` and each one above
    it raises it by ``speed · quantile``, in nepers per second: it settles where a share `quantile` lies below.
    """

    quantile: float = 0.1
    speed: float = 3.0


class BinFloor(NoiseFloor, frozen=True, tag_field="kind", tag="running"):
    """The running floor of `NoiseFloor` for magnitudes of bins; `least` is the smallest magnitude that counts.

    By default that is what rounding to 16 bits leaves in a bin: after digital silence a floor should not lie at zero.
    """

    least: float = 1e-4


class BinPercentile(Table, frozen=True, tag_field="kind", tag="percentile"):
    """The exact percentile of card 10: each bin over the `quantile` of its last `seconds`, by linear interpolation.

    The card takes it over the whole clip, which a stream cannot know; with `seconds` as long as the clip, its last
    frame is the card's. It keeps all those frames: `BinFloor` needs one number a bin.
    """

    quantile: float = 0.1
    seconds: float = 10.0
    least: float = 1e-4


class Enhance(Table, frozen=True, tag_field="kind", tag="enhance"):
    """Magnitudes of bins, steady noise in them lowered at most to `floor_db` (card 32); see `edge.frontend.enhance`.

    `least` is the smallest magnitude that counts.
    """

    floor_db: float = -25.0
    least: float = 1e-10


class Stack(Table, frozen=True, tag_field="kind", tag="stack"):
    """`count` consecutive frames side by side, a new one every `stride` frames; only whole stacks count."""

    count: int
    stride: int = 1


Bands: TypeAlias = Mel | LinearBands | Spectrum
Scale: TypeAlias = Linear | Ln | Log10 | Decibel
Background: TypeAlias = BinFloor | BinPercentile | Enhance
Post: TypeAlias = Standardise | FrameStandardise | Pcen | Mfcc | Delta | RunningMean | NoiseFloor | Stack


class FrontEndSpec(Table, frozen=True):
    """How sound becomes features.

    Attributes
    ----------
    rate
        Samples per second that the front end works at.
    frames, bands, scale, post
        The pipeline, in this order.
    resampler
        soxr quality used where the source's rate differs.
    background
        What is done to magnitudes of bins before they are summed into bands: a level of their past that they are
        divided by, or a gain; nothing by default.
    highpass
        What bands weigh bins by besides their triangles; all alike by default.

    Raises
    ------
    SpecError
        From `check`, naming the field.
    """

    rate: int
    frames: Frames
    bands: Bands
    scale: Scale = Linear()
    post: list[Post] = []
    resampler: Literal["HQ", "VHQ", "MQ"] = "HQ"
    background: Background | None = None
    highpass: Highpass | None = None

    @property
    def hop(self) -> int:
        """Samples from one frame given out to the next, at `rate`."""
        return self.frames.hop * math.prod(stage.stride for stage in self.post if isinstance(stage, Stack))

    @property
    def has_bands(self) -> bool:
        """Whether bins are summed into bands."""
        return not isinstance(self.bands, Spectrum)

    @property
    def band_count(self) -> int:
        """Features per frame before all post stages."""
        return self.frames.size // 2 + 1 if isinstance(self.bands, Spectrum) else self.bands.count

    @property
    def count(self) -> int:
        """Features per frame."""
        return self.counts[-1]

    @property
    def counts(self) -> list[int]:
        """Features per frame before the first post stage, behind it, behind the second and so on."""
        counts = [self.band_count]
        for stage in self.post:
            match stage:
                case Mfcc(count):
                    counts.append(count)
                case Delta(order):
                    counts.append(counts[-1] * (order + 1))
                case Stack(count):
                    counts.append(counts[-1] * count)
                case _:
                    counts.append(counts[-1])
        return counts

    @property
    def extracted(self) -> FrontEndSpec:
        """What the kernel computes: all before the post stages; magnitudes of bins where a background is removed."""
        if self.background is None:
            return self
        return FrontEndSpec(self.rate, self.frames, Spectrum("magnitude"))

    @property
    def lookahead(self) -> int:
        """Samples behind frame ``k``'s grid point ``k · hop`` that a centred frame and deltas wait for.

        A frame that is not centred waits for its window besides: see `reach`.
        """
        total = self.frames.window - self.frames.lead if self.frames.centred else 0
        hop = self.frames.hop
        for stage in self.post:
            if isinstance(stage, Delta):
                total += stage.order * stage.window * hop
            if isinstance(stage, Stack):
                total += (stage.count - 1) * hop
                hop *= stage.stride
        return total

    @property
    def reach(self) -> int:
        """Frame ``k`` is complete when samples up to ``k · hop + reach`` have come; no later one matters to it."""
        return self.lookahead + (0 if self.frames.centred else self.frames.window)

    @property
    def hash(self) -> str:
        """``fe1:`` and the sha256 of the canonical JSON."""
        text = json.dumps(msgspec.to_builtins(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return "fe1:" + hashlib.sha256(text.encode()).hexdigest()

    def check(self) -> FrontEndSpec:
        """Return the spec itself if it can be computed."""
        _expect(1_000 <= self.rate <= 768_000, "rate", "1000 to 768000 Hz", self.rate)
        self._check_frames()
        self._check_bands()
        self._check_scale()
        self._check_background()
        self._check_highpass()
        for i, stage in enumerate(self.post):
            self._check_stage(stage, i)
        return self

    def _check_frames(self) -> None:
        f = self.frames
        _expect(2 <= f.window <= f.size, "frames.window", f"2 to fft = {f.size} samples", f.window)
        _expect(1 <= f.hop <= 1_000_000, "frames.hop", "1 sample or more", f.hop)
        _expect(SMALLEST <= f.size <= LARGEST, "frames.fft", f"{SMALLEST} to {LARGEST} samples", f.size)
        _expect(0 <= f.preemphasis <= 1, "frames.preemphasis", "0 to 1", f.preemphasis)
        _expect(0 < f.full_scale <= 2.0**32, "frames.full_scale", "above 0, at most 2^32", f.full_scale)

    def _check_bands(self) -> None:
        if isinstance(self.bands, Spectrum):
            return
        high = self.bands.high or self.rate / 2
        _expect(1 <= self.bands.count <= 1024, "bands.count", "1 to 1024", self.bands.count)
        ok = math.isfinite(high) and 0 <= self.bands.low < high <= self.rate / 2
        _expect(ok, "bands", f"0 ≤ low < high ≤ {self.rate / 2:g} Hz", (self.bands.low, high))

    def _check_scale(self) -> None:
        if isinstance(self.scale, Ln | Log10):
            ok = self.scale.floor >= 0 and self.scale.add >= 0 and 0 < self.scale.floor + self.scale.add < math.inf
            _expect(ok, "scale", "floor or add above 0, so that silence has a logarithm", self.scale)
        if isinstance(self.scale, Decibel):
            fixed = 'a fixed number (a stream never knows its maximum; a model\'s window may, with normalise = "peak")'
            reference = math.nan if self.scale.reference == "max" else self.scale.reference
            _expect(not math.isnan(reference), "scale.reference", fixed, self.scale.reference)
            ok = 0 < self.scale.floor < math.inf and 0 < reference < math.inf
            _expect(ok, "scale", "floor and reference above 0", self.scale)

    def _check_background(self) -> None:
        match self.background:
            case BinFloor(quantile, speed, least):
                ok = 0 < quantile < 1 and 0 < speed <= 1000
                expected = "quantile between 0 and 1, speed above 0 to 1000 nepers per second"
                _expect(ok, "background", expected, self.background)
                _expect(1e-20 <= least < math.inf, "background.least", "1e-20 or more", least)
            case BinPercentile(quantile, seconds, least):
                _expect(0 <= quantile <= 1, "background.quantile", "0 to 1", quantile)
                frames = seconds * self.rate / self.frames.hop
                _expect(1 <= frames <= 100_000, "background.seconds", "time of 1 to 100000 frames", seconds)
                _expect(1e-20 <= least < math.inf, "background.least", "1e-20 or more", least)

            case Enhance(floor_db, least):
                _expect(-100 <= floor_db <= 0, "background.floor_db", "-100 to 0 dB", floor_db)
                _expect(1e-20 <= least < math.inf, "background.least", "1e-20 or more", least)

    def _check_highpass(self) -> None:
        if self.highpass is None:
            return
        _expect(self.has_bands, "highpass", "absent where the features are bins", self.highpass)
        hz, q = self.highpass.hz, self.highpass.q
        _expect(0 < hz < self.rate / 2, "highpass.hz", f"above 0, below {self.rate / 2:g} Hz", hz)
        _expect(0.1 <= q <= 10, "highpass.q", "0.1 to 10", q)

    def _check_stage(self, stage: Post, i: int) -> None:
        where, count = f"post[{i}]", self.counts[i]
        match stage:
            case Standardise():
                _check_standardise(stage, where, count)
            case FrameStandardise(least):
                _expect(count > 1, where, "a stage of several features per frame", count)
                _expect(1e-6 <= least < math.inf, f"{where}.least", "1e-6 or more", least)
            case Pcen(gain, bias, power, seconds, eps):
                raw = i == 0 and isinstance(self.scale, Linear)
                _expect(
                    raw, where, 'pcen, first and with scale = "linear": it takes the place of a logarithm', self.scale
                )
                ok = 0 <= gain <= 1 and 0 < bias < math.inf and 0 < power <= 1 and 0 < seconds < math.inf
                _expect(ok, where, "gain 0 to 1, bias above 0, power above 0 to 1, seconds above 0", stage)
                _expect(1e-20 <= eps < math.inf, f"{where}.eps", "1e-20 or more", eps)
            case Mfcc(kept, lifter):
                _expect(1 <= kept <= count, f"{where}.count", f"1 to {count} coefficients", kept)
                _expect(0 <= lifter < math.inf, f"{where}.lifter", "0 or more", lifter)
            case Delta(_, window):
                _expect(1 <= window <= 100, f"{where}.window", "1 to 100 frames", window)
            case RunningMean(seconds):
                _expect(0 < seconds < math.inf, f"{where}.seconds", "above 0", seconds)
            case NoiseFloor(quantile, speed):
                ok = 0 < quantile < 1 and 0 < speed <= 1000
                _expect(ok, where, "quantile between 0 and 1, speed above 0 to 1000 nepers per second", stage)
                _expect(i == 0, where, "noise-floor first: it needs the scale's own unit", self.post[0])
            case Stack(frames, stride):
                ok = 1 <= frames <= 1000 and 1 <= stride <= 1000
                _expect(ok, where, "count and stride 1 to 1000", stage)
        _expect(self.counts[i + 1] <= 1_000_000, where, "at most 1000000 features per frame", self.counts[i + 1])


def _check_standardise(stage: Standardise, where: str, count: int) -> None:
    for name, value in (("mean", stage.mean), ("std", stage.std)):
        values = value if isinstance(value, list) else [value]
        ok = len(values) in (1, count) and all(math.isfinite(v) for v in values)
        _expect(ok, f"{where}.{name}", f"one finite number or {count} of them", len(values))
        _expect(name == "mean" or all(v > 0 for v in values), f"{where}.std", "above 0", value)


def _expect(ok: bool, where: str, expected: str, got: object) -> None:
    if not ok:
        raise SpecError(f"front end: `{where}` must be {expected}, got {got}")


def parse(data: object) -> FrontEndSpec:
    """Build and check a spec from parsed TOML or JSON.

    Raises
    ------
    SpecError
        Unknown keys, wrong types or impossible values, with the path of the field.
    """
    try:
        return msgspec.convert(data, FrontEndSpec).check()
    except msgspec.ValidationError as error:
        raise SpecError(f"front end: {error}") from None
