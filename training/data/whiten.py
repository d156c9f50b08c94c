"""PCA and whitening: what stands between VGGish and the bytes of AudioSet's embeddings (card C).

x ─▶ x − mean ─▶ onto the principal axes ─▶ ÷ deviation ─▶ every number of mean 0 and variance 1, none tells of another
                                                      └──▶ clipped to ±2, 8 bits: `training.data.embeddings.quantise`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
LEAST = 1e-4  # share of the largest variance; axes below it are noise, and are not blown up to 1


@dataclass(frozen=True, eq=False)
class Whitening:
    """An affine map of embeddings ``[…, D]``.

    Attributes
    ----------
    mean
        ``[D]``.
    matrix
        ``[D, D]``, a principal axis divided by its deviation in each row, the largest first.
    """

    mean: Float32
    matrix: Float32

    @classmethod
    def fit(cls, rows: Float32) -> Whitening:
        """Measure embeddings ``[N, D]``.

        Raises
        ------
        ValueError
            Fewer than two, or all the same.
        """
        if len(rows) < 2 or not np.ptp(rows, axis=0).any():
            raise ValueError(f"whitening: expected two different embeddings or more, got {len(rows)}")
        mean = rows.mean(0, dtype=np.float64)
        variances, axes = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))
        variances, axes = variances[::-1], axes.T[::-1]
        axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]  # the same on every machine
        deviations = np.sqrt(np.maximum(variances, LEAST * variances[0]))
        return cls(mean.astype(np.float32), (axes / deviations[:, None]).astype(np.float32))

    def __call__(self, rows: Float32) -> Float32:
        """Whiten ``[…, D]``."""
        return (rows - self.mean) @ self.matrix.T
