"""The front-end spec: what a model hears, as data, with a hash that pins it.

A spec is a tagged pipeline, written in a card's ``[frontend]`` table::

    rate = 16000
    frames = { window = 512, hop = 320 }
    bands  = { kind = "mel", count = 64, low = 50.0, high = 8000.0 }
    scale  = { kind = "ln", floor = 1e-10 }
    post   = [ { kind = "standardise", mean = -8.0, std = 4.0 } ]

Its hash is ``fe1:`` + sha256 of its canonical JSON: sorted keys, defaults omitted, floats by ``repr``. Defaults are
frozen for ever: a change of their meaning needs a new prefix.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Literal

import msgspec

from edge.errors import SpecError

FFT_SIZES = tuple(2**k for k in range(6, 14))


class Frames(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Framing: window and hop in samples.

    Attributes
    ----------
    window
        Length of the analysis window, samples.
    hop
        Distance of frame starts, samples.
    fft
        Transform length, a power of two from 64 to 8192; 0 means the smallest one that holds the window.
    taper
        ``hann`` is periodic (DFT-even), ``hann-symmetric`` ends in two zeros.
    centred
        Frame ``k`` is centred on sample ``k · hop`` (zeros before the start and behind the end): a lookahead of
        ``fft / 2``. Otherwise it begins there, and only whole windows count.
    """

    window: int
    hop: int
    fft: int = 0
    taper: Literal["hann", "hann-symmetric", "hamming", "rectangular"] = "hann"
    centred: bool = False

    @property
    def size(self) -> int:
        """Transform length, samples."""
        return self.fft or max(64, 1 << (self.window - 1).bit_length())


class Mel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="mel"):
    """Triangular bands, evenly spaced on a mel scale; `high` = 0 means half the rate."""

    count: int
    low: float = 0.0
    high: float = 0.0
    scale: Literal["slaney", "htk"] = "slaney"
    norm: Literal["slaney", "none"] = "slaney"
    spectrum: Literal["power", "magnitude"] = "power"


class Spectrum(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="spectrum"
):
    """All ``fft / 2 + 1`` bins, linear in frequency."""

    spectrum: Literal["power", "magnitude"] = "power"


class Linear(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="linear"
):
    """No compression."""


class Ln(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="ln"):
    """ln(max(x, floor) + add)."""

    floor: float = 1e-10
    add: float = 0.0


class Log10(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="log10"):
    """log10(max(x, floor) + add)."""

    floor: float = 1e-10
    add: float = 0.0


class Decibel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="db"):
    """10 · log10(max(x, floor) / reference); a clip's own maximum cannot be a streaming reference."""

    floor: float = 1e-10
    reference: float = 1.0


class Standardise(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="standardise"
):
    """(x − mean) / std, one number for all bands or one per band."""

    mean: float | list[float]
    std: float | list[float]


class FrontEndSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How sound becomes features.

    Attributes
    ----------
    rate
        Samples per second that the front end works at.
    frames, bands, scale, post
        The pipeline, in this order.
    resampler
        soxr quality used where the source's rate differs.

    Raises
    ------
    SpecError
        From `check`, naming the field.
    """

    rate: int
    frames: Frames
    bands: Mel | Spectrum
    scale: Linear | Ln | Log10 | Decibel = Linear()
    post: list[Standardise] = []
    resampler: Literal["HQ", "VHQ", "MQ"] = "HQ"

    @property
    def hop(self) -> int:
        """Samples from frame to frame at `rate`."""
        return self.frames.hop

    @property
    def count(self) -> int:
        """Features per frame."""
        return self.bands.count if isinstance(self.bands, Mel) else self.frames.size // 2 + 1

    @property
    def hash(self) -> str:
        """``fe1:`` and the sha256 of the canonical JSON."""
        text = json.dumps(msgspec.to_builtins(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return "fe1:" + hashlib.sha256(text.encode()).hexdigest()

    def check(self) -> FrontEndSpec:
        """Return the spec itself if it can be computed."""
        f = self.frames
        _expect(1_000 <= self.rate <= 768_000, "rate", "1000 to 768000 Hz", self.rate)
        _expect(1 <= f.window <= f.size, "frames.window", f"1 to fft = {f.size} samples", f.window)
        _expect(1 <= f.hop <= 1_000_000, "frames.hop", "1 sample or more", f.hop)
        _expect(f.size in FFT_SIZES, "frames.fft", "a power of two from 64 to 8192", f.size)
        if isinstance(self.bands, Mel):
            high = self.bands.high or self.rate / 2
            _expect(1 <= self.bands.count <= 1024, "bands.count", "1 to 1024", self.bands.count)
            ok = math.isfinite(high) and 0 <= self.bands.low < high <= self.rate / 2
            _expect(ok, "bands", f"0 ≤ low < high ≤ {self.rate / 2:g} Hz", (self.bands.low, high))
        if isinstance(self.scale, Ln | Log10):
            ok = self.scale.floor >= 0 and self.scale.add >= 0 and 0 < self.scale.floor + self.scale.add < math.inf
            _expect(ok, "scale", "floor or add above 0, so that silence has a logarithm", self.scale)
        if isinstance(self.scale, Decibel):
            ok = 0 < self.scale.floor < math.inf and 0 < self.scale.reference < math.inf
            _expect(ok, "scale", "floor and reference above 0", self.scale)
        for i, stage in enumerate(self.post):
            for name, value in (("mean", stage.mean), ("std", stage.std)):
                values = value if isinstance(value, list) else [value]
                ok = len(values) in (1, self.count) and all(math.isfinite(v) for v in values)
                _expect(ok, f"post[{i}].{name}", f"one finite number or {self.count} of them", len(values))
                _expect(name == "mean" or all(v > 0 for v in values), f"post[{i}].std", "above 0", value)
        return self


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
