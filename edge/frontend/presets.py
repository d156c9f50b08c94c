"""Front ends that models in the world were trained with, by name.

    >>> from edge.frontend.presets import preset
    >>> preset("yamnet").count
    64

``librosa``         ``power_to_db(feature.melspectrogram(y))`` by default, without its ``top_db``
``kaldi``           ``compute-fbank-feats`` with 80 bins and no dither; 16-bit scale
``kaldi-mfcc``      ``compute-mfcc-feats`` with C0 instead of the energy, and Kaldi's deltas
``vggish``          also what card A's source used (Hershey et al.): 96 frames make its patch
``yamnet``          the same with another offset
``birdnet-stm32``   the magnitude spectrum in front of BirdNET-STM32; its card normalises each window to 0 … 1
``resnet-attention``, ``bottleneck-gap``, ``mmnet``   the systems of cards A, B and D

Standardisation by training statistics belongs to a model, not to a preset: add a ``standardise`` stage.
"""

from __future__ import annotations

from typing import Any

from edge.errors import SpecError
from edge.frontend.spec import FrontEndSpec, parse

_VGGISH: dict[str, Any] = {
    "rate": 16000,
    "frames": {"window": 400, "hop": 160},
    "bands": {
        "kind": "mel",
        "count": 64,
        "low": 125.0,
        "high": 7500.0,
        "scale": "htk",
        "norm": "none",
        "spectrum": "magnitude",
        "slopes": "mel",
    },
    "scale": {"kind": "ln", "floor": 0.0, "add": 0.01},
}
_KALDI_FRAMES = {
    "window": 400,
    "hop": 160,
    "taper": "povey",
    "remove_dc": True,
    "preemphasis": 0.97,
    "full_scale": 32768.0,
}
_KALDI_BANDS = {"kind": "mel", "low": 20.0, "scale": "htk", "norm": "none", "slopes": "mel"}
_EPSILON = 2.0**-23

PRESETS: dict[str, dict[str, Any]] = {
    "librosa": {
        "rate": 22050,
        "frames": {"window": 2048, "hop": 512, "centred": True},
        "bands": {"kind": "mel", "count": 128},
        "scale": {"kind": "db"},
    },
    "kaldi": {
        "rate": 16000,
        "frames": _KALDI_FRAMES,
        "bands": {**_KALDI_BANDS, "count": 80},
        "scale": {"kind": "ln", "floor": _EPSILON},
    },
    "kaldi-mfcc": {
        "rate": 16000,
        "frames": _KALDI_FRAMES,
        "bands": {**_KALDI_BANDS, "count": 23},
        "scale": {"kind": "ln", "floor": _EPSILON},
        "post": [{"kind": "mfcc", "count": 13, "lifter": 22.0}, {"kind": "delta", "order": 2}],
    },
    "vggish": _VGGISH,
    "yamnet": {**_VGGISH, "scale": {"kind": "ln", "floor": 0.0, "add": 0.001}},
    "birdnet-stm32": {
        "rate": 22050,
        "frames": {"window": 512, "hop": 258, "centred": True},
        "bands": {"kind": "spectrum", "spectrum": "magnitude"},
    },
    # Card A states 64 bands every 10 ms; the rest is the front end of Hershey et al., whose network it takes over.
    "resnet-attention": _VGGISH,
    # Card B: 25 ms, 10 ms, FFT 2048 at 44.1 kHz. Its log offset is not stated; librosa's floor stands in.
    "bottleneck-gap": {
        "rate": 44100,
        "frames": {"window": 1102, "hop": 441, "fft": 2048},
        "bands": {"kind": "mel", "count": 64},
        "scale": {"kind": "ln"},
    },
    # Card D: ln(1 + 10000 · power); amplitudes times 100 are powers times 10000.
    "mmnet": {
        "rate": 44100,
        "frames": {"window": 2048, "hop": 492, "full_scale": 100.0},
        "bands": {"kind": "mel", "count": 128, "high": 22000.0},
        "scale": {"kind": "ln", "floor": 0.0, "add": 1.0},
    },
}


def preset(name: str) -> FrontEndSpec:
    """The spec of a name in `PRESETS`.

    Raises
    ------
    SpecError
        Where there is no such name; the message lists them.
    """
    if name not in PRESETS:
        raise SpecError(f"front end: expected a preset of {', '.join(PRESETS)}, got {name!r}")
    return parse(PRESETS[name])
