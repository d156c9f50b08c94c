"""Public feature vectors of real hives: no sound, but means and deviations of MFCC and chroma, in NumPy files.

swarming-features/                               queenless-features/
  MFCCs_Features__Train__Swarming_train.npy        X_val.npy   y_val.npy     the vectors of training are not there
  … {MFCCs, Chroma} {Train, Val, Test}             X_test.npy  y_test.npy
    {Swarming, Noneswarming}

MFCC vectors are 40 means and 40 standard deviations, chroma vectors 12 and 12. The three parts of the swarming set were
recorded on different days; which hive and microphone a vector is of is told nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MFCC = 40


@dataclass(frozen=True)
class Vectors:
    """Feature vectors ``[N, F]`` and classes ``[N]``, 0 or 1."""

    x: Floats
    y: npt.NDArray[np.int64]

    def every(self, step: int) -> Vectors:
        """Return every `step`-th vector: neighbours are nearly the same."""
        return Vectors(self.x[::step], self.y[::step])

    def columns(self, chosen: slice) -> Vectors:
        """Return some of the features."""
        return Vectors(self.x[:, chosen], self.y)


def swarming(folder: Path, features: str) -> dict[str, Vectors]:
    """Return the parts ``train``, ``val`` and ``test``; class 1 is swarming.

    Parameters
    ----------
    folder
        The set's.
    features
        ``MFCCs`` or ``Chroma``.

    Raises
    ------
    ValueError
        A file is missing or is no table of vectors.
    """
    return {part: _swarming(folder, features, part) for part in ("train", "val", "test")}


def queenless(folder: Path) -> dict[str, Vectors]:
    """Return the parts ``val`` and ``test``; class 1 is queenless.

    Raises
    ------
    ValueError
        A file is missing or is no table of vectors.
    """
    return {part: Vectors(_load(folder / f"X_{part}.npy"), _classes(folder / f"y_{part}.npy")) for part in PARTS}


PARTS = ("val", "test")


def _swarming(folder: Path, features: str, part: str) -> Vectors:
    x = [
        _load(folder / f"{features}_Features__{part.title()}__{state}_{part}.npy")
        for state in ("Noneswarming", "Swarming")
    ]
    return Vectors(np.concatenate(x), np.repeat([0, 1], [len(one) for one in x]))


def _load(path: Path) -> Floats:
    x = _read(path)
    if x.ndim != 2:
        raise ValueError(f"{path}: expected a table of vectors, got the shape {x.shape}")
    return x.astype(np.float64)


def _classes(path: Path) -> npt.NDArray[np.int64]:
    return _read(path).ravel().astype(np.int64)


def _read(path: Path) -> npt.NDArray[np.generic]:
    if not path.is_file():
        raise ValueError(f"expected feature vectors at {path}, got nothing there; check --data")
    found: npt.NDArray[np.generic] = np.load(path, allow_pickle=False)
    return found
