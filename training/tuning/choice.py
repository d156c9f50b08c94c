"""What every tuning shares: the thresholds that it tries, which of many equally good ones it takes, and its result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.inference.card import Decode

ON = np.round(np.arange(0.04, 0.981, 0.02), 2)


@dataclass(frozen=True)
class Tuned:
    """New rules and what they rest on.

    Attributes
    ----------
    rules
        The rules given, with those of the tuned classes changed.
    notes
        Classes that stayed as they were, and why; bounds that could not be kept.
    """

    rules: Decode
    notes: tuple[str, ...]


def plateau(best: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Row and middle column of the longest stretch of true cells; the first of equal ones.

    >>> plateau(np.array([[True, False, True, False, False], [False, True, True, True, False]]))
    (1, 2)
    """
    chosen, length = (0, 0), 0
    for row, cells in enumerate(best):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(np.int8), [0]])))
        for start, stop in edges.reshape(-1, 2):
            if stop - start > length:
                chosen, length = (row, int(start + stop - 1) // 2), stop - start
    return chosen
