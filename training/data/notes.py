"""Notes: where sound stands out of its recording, and where one turns into another without a pause.

level     ▁▁▁▄▄▄▄▇▇▇▇▁▁▁▁▁▂▂▂▂▁▁     of the strongest bands, above what the recording mostly has: a gate
change    ▁▁▁▁▁▁▁█▁▁▁▁▁▁▁▁▁▁▁▁▁▁     between the spectra before and behind a frame: a cut (Foote, ICME 2000)
notes        └──┘└──┘     └──┘       two that touch, and one by itself
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.data.activity import runs

Bool = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Stretch(NamedTuple):
    """Frames of a note: ``start ≤ t < stop``."""

    start: int
    stop: int


def change(above: Floats, reach: int) -> Floats:
    """How unlike the spectra on both sides of each frame are, 0 (alike) to 1, float64 ``[T]``.

    One less the cosine between the sums of `reach` frames before it and of as many from it on; 0 where either is empty.

    Parameters
    ----------
    above
        ``[T, F]``, at least 0: decibels above the floor.
    reach
        Frames, at least 1.
    """
    total = np.concatenate([np.zeros((1, above.shape[1])), np.cumsum(above, 0)])
    t = np.arange(len(above))
    before = total[t] - total[np.maximum(t - reach, 0)]
    behind = total[np.minimum(t + reach, len(above))] - total[t]
    sizes = np.linalg.norm(before, axis=1) * np.linalg.norm(behind, axis=1)
    alike = np.einsum("tf,tf->t", before, behind) / np.where(sizes > 0, sizes, 1.0)
    return np.where(sizes > 0, np.clip(1.0 - alike, 0.0, 1.0), 0.0)


def notes(loud: Bool, changes: Floats, least: float, shortest: int) -> list[Stretch]:
    """Cut runs of loud frames where the spectrum changes most.

    Parameters
    ----------
    loud, changes
        ``[T]``.
    least
        Change at a cut.
    shortest
        Frames of a note; shorter runs are none, and between two cuts lie as many.
    """
    cuts = _peaks(changes, least, shortest)
    return [Stretch(*pair) for run in runs(loud) for pair in pairwise(_edges(*run, cuts, shortest))]


def _peaks(values: Floats, least: float, apart: int) -> list[int]:
    """Frames whose value is at least `least` and the highest of all that are at most `apart` away."""
    found: list[int] = []
    for t in np.flatnonzero(values >= least).tolist():
        highest = values[t] == values[max(0, t - apart) : t + apart + 1].max()
        if highest and (not found or t - found[-1] > apart):
            found.append(t)
    return found


def _edges(start: int, stop: int, cuts: Sequence[int], shortest: int) -> list[int]:
    """Where the notes of a run begin, and where the last one stops; none of a run that is too short."""
    if stop - start < shortest:
        return []
    return [start, *(t for t in cuts if start + shortest <= t <= stop - shortest), stop]
