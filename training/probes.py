"""What must stay quiet: digital silence, white noise at many levels, and soundscapes that training never saw.

Each probe takes a scorer, ``samples float32 [N] -> scores float32 [T, C]``, so that a network in training and a
deployed model folder are asked the same questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from training.data import soundscapes
from training.metrics.events import count, detect

Float32 = npt.NDArray[np.float32]
Scorer = Callable[[Float32], Float32]
LEVELS_DB = (-60, -50, -40, -30, -20, -10)


def quiet(scorer: Scorer, labels: Sequence[str], rules: Decode, spec: FrontEndSpec, data: Path) -> dict[str, object]:
    """Count events by label on 60 s of silence, 10 s of white noise per level, and the held-out soundscapes."""

    def events(samples: Float32) -> Counter[str]:
        return Counter(count(detect(scorer(samples), labels, rules, spec)))

    held_out = soundscapes.load(data, spec.rate, held_out=True)
    return {
        "silence_60s": dict(events(np.zeros(60 * spec.rate, np.float32))),
        "white_noise": {f"{db} dB": dict(events(white(db, spec.rate))) for db in LEVELS_DB},
        "soundscapes": dict(sum((events(s.samples) for s in held_out), Counter())),
        "soundscapes_seconds": round(sum(len(s.samples) for s in held_out) / spec.rate),
    }


def white(db: float, rate: int, seconds: float = 10.0) -> Float32:
    """White Gaussian noise with an RMS of `db` dB re full scale, always the same."""
    noise = np.random.default_rng(7).standard_normal(int(seconds * rate)) * 10 ** (db / 20)
    return np.clip(noise, -1, 1).astype(np.float32)
