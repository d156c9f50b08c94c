"""Samples of items, kept in memory up to a limit; what does not fit is read again from the cache of decoded files."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from training.data.dataset import Item

Float32 = npt.NDArray[np.float32]
LIMIT = 1 << 30  # bytes


class Shelf:
    """Reads items at one rate.

    Parameters
    ----------
    rate
        Hz.
    limit
        Bytes that are kept; the first items that are asked for stay.
    """

    def __init__(self, rate: int, limit: int = LIMIT) -> None:
        self.rate, self._room = rate, limit
        self._kept: dict[tuple[str, float, float | None], Float32] = {}
        self._lock = threading.Lock()

    def __call__(self, item: Item) -> Float32:
        """Mono samples, float32 ``[N]``; not to be written to.

        Raises
        ------
        ValueError
            The file cannot be read.
        """
        key = (str(item.path), item.start, item.stop)
        if key in self._kept:
            return self._kept[key]
        samples = item.samples(self.rate)
        samples.flags.writeable = False
        with self._lock:
            if samples.nbytes <= self._room and key not in self._kept:
                self._room -= samples.nbytes
                self._kept[key] = samples
        return samples
