"""Perceived time of presence: the share of the time in which a source is heard, not merely active (card 02).

A frame of 125 ms counts if the source emerges enough from everything else, Δ = L_source − L_rest:

    T(α)      share of frames with Δ > α, broadband                                         α = −31 dB
    T(α, β)   share of frames in which the mean Δ of those third octaves with Δ > α is > β   α = −6 dB, β = −5 dB

With separate tracks of the sources both are measured. A microphone hears one mixture, so for a class of a model they
are estimated: a class is *active* where its score reaches the threshold of its rule; the *rest* is, band by band, the
median of the frames of the minute in which it is not; the *source* is what is there beyond the rest. A class that is
active all the time is judged against the rest of the last minute in which it paused, and is heard throughout before
the first pause.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge.levels.design import Float64

Bools = npt.NDArray[np.bool_]

ALPHA_BROADBAND = -31.0  # dB
ALPHA, BETA = -6.0, -5.0  # dB
FLOOR = 1e-20  # mean square: −200 dB, for digital silence
PAUSE = 8  # frames without a class that are needed to know the rest


def decibels(mean_square: Float64 | float) -> Float64:
    """Level of mean squares, dB of full scale; silence is −200."""
    return 10 * np.log10(np.maximum(np.asarray(mean_square, np.float64), FLOOR))


def emerges_broadband(source: Float64, rest: Float64, alpha: float = ALPHA_BROADBAND) -> Bools:
    """Whether a source is heard over the rest in each frame.

    Parameters
    ----------
    source, rest
        Levels in dB, shape ``[T]``.
    alpha
        dB.
    """
    return np.asarray(source - rest > alpha, np.bool_)


def emerges(source: Float64, rest: Float64, alpha: float = ALPHA, beta: float = BETA) -> Bools:
    """Whether a source is heard over the rest in each frame, by third octaves.

    Parameters
    ----------
    source, rest
        Levels in dB, shape ``[T, B]``.
    alpha, beta
        dB. A frame none of whose bands passes `alpha` is not heard.
    """
    delta = source - rest
    passed = delta > alpha
    count = passed.sum(axis=1)
    mean = np.where(passed, delta, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.asarray((count > 0) & (mean > beta), np.bool_)


class Presence:
    """Presence of the classes of a stream, minute by minute.

    It remembers the rest that each class was last heard against.
    """

    def __init__(self) -> None:
        self._rest: dict[str, Float64] = {}
        self._overall: Float64 | None = None

    def minute(self, bands: Float64, active: Mapping[str, Bools]) -> dict[str, float]:
        """Share of the frames in which each class is heard.

        Parameters
        ----------
        bands
            Mean squares, shape ``[T, B]``.
        active
            By class, whether it is active in each frame ``[T]``; classes that never are may be left out.

        Returns
        -------
        dict
            By class of `active`, 0 … 1.
        """
        shares = {label: self._share(label, bands, frames) for label, frames in active.items()}
        self._overall = np.median(bands, axis=0)
        for label in [label for label in self._rest if label not in active]:
            del self._rest[label]  # it paused for the whole minute: the rest is what there was
        return shares

    def _share(self, label: str, bands: Float64, frames: Bools) -> float:
        if np.count_nonzero(~frames) >= PAUSE:
            self._rest[label] = np.median(bands[~frames], axis=0)
        rest = self._rest.get(label, self._overall)
        if rest is None:
            return float(frames.mean())
        self._rest[label] = rest
        beyond = bands - rest
        source = np.where(beyond > FLOOR, decibels(beyond), -np.inf)
        return float((frames & emerges(source, decibels(rest))).mean())
