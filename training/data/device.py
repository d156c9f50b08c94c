"""A microphone that is composed: what it makes of a recording, the same whenever it is asked.

recording ─▶ gain ─▶ high-pass, tilt, resonance, low-pass ─▶ echo of the housing ─▶ + own noise ─▶ own rate ─▶ ±1

Nothing is drawn but the echo, once for the device, and the noise, once for each recording; both by the device's seed.
"""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import soxr
from msgspec import Meta

from edge.errors import ConfigError
from training.augment.device import Microphone, record, reverberate, room
from training.data.dataset import Float32
from training.data.negatives import noise

BUILT_IN = Path(__file__).parents[1] / "benchmarks"

Hertz = Annotated[float, Meta(gt=0, le=192_000)]
Decibel = Annotated[float, Meta(ge=-60, le=60)]


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a microphone and its recorder do; without settings, nothing.

    Attributes
    ----------
    name
        As it stands in tables.
    gain
        dB.
    low, high
        Corners of the response, Hz: 3 dB down, 12 dB an octave beyond; None: there is none.
    resonance, peak
        Hz, and dB there; an octave wide.
    tilt
        dB an octave, 0 dB at 1 kHz.
    echo, direct
        Seconds in which reflections of the housing fall by 60 dB, and dB by which the direct sound is above them; 0
        seconds: there are none.
    noise, colour
        RMS of its own noise, dB re full scale, and how that falls, dB an octave (0 white, -3 pink); None: none.
    rate
        Sample rate of the recorder, Hz: nothing above its half is kept; None: all is.
    seed
        Of echo and noise.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    gain: Decibel = 0.0
    low: Hertz | None = None
    high: Hertz | None = None
    resonance: Hertz = 1000.0
    peak: Decibel = 0.0
    tilt: Annotated[float, Meta(ge=-12, le=12)] = 0.0
    echo: Annotated[float, Meta(ge=0, le=10)] = 0.0
    direct: Decibel = 10.0
    noise: Annotated[float, Meta(ge=-150, le=0)] | None = None
    colour: Annotated[float, Meta(ge=-12, le=12)] = 0.0
    rate: Annotated[int, Meta(ge=2000, le=192_000)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 0

    def hear(self, samples: Float32, rate: int, name: str) -> Float32:
        """Return a recording as this device would have made it.

        Parameters
        ----------
        samples
            float32 ``[N]``, full scale ±1.
        rate
            Hz.
        name
            Of the recording: another one has other noise.

        Returns
        -------
        array
            float32 ``[N]``, at the same rate.
        """
        heard = samples * np.float32(10 ** (self.gain / 20))
        if self.low or self.high or self.peak or self.tilt:
            response = Microphone(self.low or 0.0, self.high or np.inf, self.resonance, self.peak, self.tilt)
            heard = record(heard, rate, response)
        if self.echo:
            heard = reverberate(heard, room(rate, self.echo, self.direct, np.random.default_rng([self.seed, 0])))
        if self.noise is not None:
            rng = np.random.default_rng([self.seed, 1, zlib.crc32(name.encode())])
            hiss = noise(len(heard), rate, rng, self.colour).astype(np.float64)
            heard = heard + hiss * 10 ** (self.noise / 20) / np.sqrt(np.mean(hiss**2))
        if self.rate is not None and self.rate < rate:
            heard = _as_long(soxr.resample(soxr.resample(heard, rate, self.rate), self.rate, rate), len(samples))
        return np.clip(heard, -1.0, 1.0).astype(np.float32)


def load(source: str | Path) -> tuple[Device, ...]:
    """Return the devices of a JSON file ``{"devices": [{"name": …}, …]}``, or of a list that ships.

    Raises
    ------
    ConfigError
        No such file or list, no JSON, settings that do not fit, or a name that stands there twice.
    """
    path = Path(source) if Path(source).is_file() else BUILT_IN / f"{source}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in BUILT_IN.glob("*.json")))
        raise ConfigError(f"--devices: expected a file or one of {known}, got {str(source)!r}")
    try:
        devices = msgspec.json.decode(path.read_bytes(), type=_File).devices
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--devices: {path}: {error}") from None
    twice = [name for name, count in Counter(device.name for device in devices).items() if count > 1]
    if twice:
        raise ConfigError(f"--devices: {path}: expected devices of different names, got {twice[0]!r} twice")
    return devices


class _File(msgspec.Struct, frozen=True):
    """What is read of a file of devices; one that a composed set has says more."""

    devices: Annotated[tuple[Device, ...], Meta(min_length=1)]


def plain(device: Device) -> dict[str, Any]:
    """Return a device as it stands in a file."""
    return dict(msgspec.to_builtins(device))


def _as_long(samples: Float32, length: int) -> Float32:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
