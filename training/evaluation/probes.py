"""What must stay quiet: digital silence, white noise at many levels, and recordings that hold none of the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.dataset import Sound
from training.evaluation.heard import Heard
from training.evaluation.targets import Target
from training.metrics.alarms import upper_rate
from training.metrics.events import decode, sounds

Float32 = npt.NDArray[np.float32]
LEVELS_DB = (-60, -50, -40, -30, -20, -10)


def quiet(target: Target, background: Sequence[Heard]) -> dict[str, Any]:
    """Count events by label on 60 s of silence, 10 s of white noise per level, and background recordings.

    Returns
    -------
    dict
        ``silence_60s``; ``white_noise`` by level; where there is background ``background``, ``background_seconds``,
        ``background_per_hour`` and ``background_at_most_per_hour`` (95 %, Poisson).
    """

    def events(samples: Float32) -> dict[str, int]:
        block = target.scorer(samples)
        return _counted(sounds(decode(block, target.labels, target.rules), target.labels, block.rate), target.labels)

    out: dict[str, Any] = {
        "silence_60s": events(np.zeros(60 * target.rate, np.float32)),
        "white_noise": {f"{db} dB": events(white(db, target.rate)) for db in LEVELS_DB},
    }
    if background:
        raised = [e for h in background for e in h.events(target.labels, target.rules)]
        seconds = sum(h.seconds for h in background)
        out |= {
            "background": _counted(raised, target.labels),
            "background_seconds": round(seconds, 1),
            "background_per_hour": len(raised) * 3600 / seconds,
            "background_at_most_per_hour": upper_rate(len(raised), seconds),
        }
    return out


def white(db: float, rate: int, seconds: float = 10.0) -> Float32:
    """White Gaussian noise with an RMS of `db` dB re full scale, always the same."""
    noise = np.random.default_rng(7).standard_normal(int(seconds * rate)) * 10 ** (db / 20)
    return np.clip(noise, -1, 1).astype(np.float32)


def _counted(events: Sequence[Sound], labels: Sequence[str]) -> dict[str, int]:
    return dict(Counter(labels[e.label] for e in events).most_common())
