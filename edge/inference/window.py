"""Models that look at a whole window: it slides over the frames by `hop`, from the start of the epoch.

Clip scores, one row per window: row ``k`` speaks of the window that begins at frame ``k · hop``::

    frames   0         hop       2·hop
    row 0    |------- length -------|
    row 1              |------- length -------|

Frame scores, R rows spread evenly over each window: of overlapping windows only the rows of the newest hop are kept,
for they come as early as they can; the first window after a reset has no forerunner and keeps all::

    window 0   [0 1 2 3 4 5]
    window 1       [. . . . 6 7]
    window 2           [. . . . 8 9]

At a flush one last window is padded with silence, if no window was given yet or if at least half a hop of real frames
would stay unheard; of its frame scores those are kept at least half of which is real.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.blocks import Float32
from edge.errors import CardError
from edge.inference.card import Card, Window
from edge.inference.graph import Shared
from edge.inference.scorer import Scorer


class WindowScorer(Scorer):
    """A sliding window, normalised by itself where the card says so."""

    def __init__(self, card: Card, shared: Shared, silence: Float32 | Callable[[], Float32]) -> None:
        if not isinstance(card.stream, Window):
            raise CardError(f"{card.name}: `stream.mode` must be window, got stateful")
        super().__init__(card, shared, silence)
        self._normalise = card.stream.normalise
        self.length, self.hop = card.stream.length, card.stream.hop
        self.grid = self.hop
        framewise = card.output.kind == "frame"
        self._per_hop = self.graph.rows * self.hop // self.length if framewise else 1
        self.score_hop = self.hop * self._feature_hop // self._per_hop
        self.span = self.score_hop if framewise else self.length * self._feature_hop
        self._window = np.zeros(self.graph.frames.shape, np.float32)

    @property
    def _buffer(self) -> Float32:
        return self._window

    def _run(self) -> tuple[int, int]:
        normalise(self._window, self._normalise, out=self.graph.frames)
        self.graph.run()
        rows = self.graph.rows
        first = rows - self._per_hop if self._steps else 0
        if self._fill == self.length:
            return first, rows
        real = (2 * self._fill * rows + self.length) // (2 * self.length)
        return first, max(real, 0 if self._steps else 1)

    def _owed(self, padded: bool) -> int:
        if not padded:
            return 0
        overlap = max(0, self.length - self.hop) if self._steps else 0
        unheard = self._fill - overlap
        least = min(self.hop, self.length) / 2 if self._steps else 1
        return int(unheard >= least)


def normalise(window: Float32, kind: str, out: Float32) -> None:
    """Normalise a window by itself: ``none``, ``peak`` (÷ largest magnitude) or ``minmax`` (to 0 … 1).

    A window that is all one value has no range: it becomes zeros (``minmax``), or stays as it is where it is zero
    (``peak``).
    """
    low, high = float(window.min()), float(window.max())
    if kind == "minmax":
        np.subtract(window, np.float32(low), out=out)
        high -= low
    elif kind == "peak":
        np.copyto(out, window)
        high = max(-low, high)
    else:
        np.copyto(out, window)
        return
    if high > 0:
        np.divide(out, np.float32(high), out=out)
