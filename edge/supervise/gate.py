"""Gates: sound is passed on while something holds, with what came just before it, so that models are warm.

    loudness    . . . # # . . . . . . . . # . . .        # loud frames of 0.1 s on the absolute grid of the epoch
    gate        c c c o o o o o o c c c c o o o o        open for `hold` behind the last loud one
    passed on   < - - - - - - - - | < - - - - - -        from `pre_roll` before the opening on

Decisions fall on a grid of the epoch's own, so they do not depend on how sound was cut into blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from edge.blocks import AudioBlock, Float32

FRAMES_PER_S = 10
CLOSED = None  # what stands in the output where a gate closes


class Gate:
    """Passes blocks on while it is open.

    Parameters
    ----------
    rate
        Samples per second.
    wanted
        Whether a frame ``(samples, index of the first one, epoch)`` opens it.
    hold, pre_roll
        Seconds.

    Attributes
    ----------
    open
        How it stands after the last block.
    """

    def __init__(
        self, rate: int, wanted: Callable[[Float32, int, str], bool], hold: float = 0.0, pre_roll: float = 0.0
    ) -> None:
        self.open = False
        self._size = max(rate // FRAMES_PER_S, 1)
        self._wanted = wanted
        self._hold, self._reach = round(hold * rate), round(pre_roll * rate)
        self._until = 0
        self._past: deque[AudioBlock] = deque()
        self._rest: AudioBlock | None = None

    def push(self, block: AudioBlock) -> Iterator[AudioBlock | None]:
        """Give what may be heard, None where the gate closes. Lost sound breaks the grid off: `reset` first."""
        if self._rest is not None:
            block = replace(self._rest, samples=np.concatenate([self._rest.samples, block.samples]))
            self._rest = None
        stop = block.stop // self._size * self._size  # the last whole frame ends here
        at = 0
        runs: list[AudioBlock] = []
        while block.start + at < stop:
            end = (block.start + at) // self._size * self._size + self._size - block.start
            yield from self._frame(cut(block, at, end), runs)
            at = end
        yield from joined(runs)
        if at < len(block.samples):
            self._rest = cut(block, at, len(block.samples))

    def flush(self) -> Iterator[AudioBlock | None]:
        """Give the rest before a loss or the end, where the gate is open."""
        rest, self._rest = self._rest, None
        if rest is not None and self.open:
            yield rest

    def reset(self) -> None:
        """Samples were lost: what came before them is no pre-roll any more, and the gate is closed."""
        self._rest, self.open, self._until = None, False, 0
        self._past.clear()

    def _frame(self, frame: AudioBlock, runs: list[AudioBlock]) -> Iterator[AudioBlock | None]:
        """Decide on one frame; open frames gather in `runs`."""
        if self._wanted(frame.samples, frame.start, frame.epoch):
            self._until = frame.stop + self._hold
            if not self.open:
                self.open = True
                runs.extend(self._past)
                self._past.clear()
        elif self.open and frame.start >= self._until:
            self.open = False
            yield from joined(runs)
            yield CLOSED
        if self.open:
            runs.append(frame)
        else:
            self._keep(frame)

    def _keep(self, frame: AudioBlock) -> None:
        self._past.append(frame)
        while self._past and self._past[0].stop <= frame.stop - self._reach:
            self._past.popleft()


def joined(runs: list[AudioBlock]) -> Iterator[AudioBlock]:
    """One block of all that joins; empties `runs`."""
    if runs:
        yield replace(runs[0], samples=np.concatenate([block.samples for block in runs]))
        runs.clear()


def cut(block: AudioBlock, start: int, stop: int) -> AudioBlock:
    """Samples `start` to `stop` of a block, as a block."""
    return replace(block, start=block.start + start, samples=block.samples[start:stop], gap=0)


def louder_than(dbfs: float) -> Callable[[Float32, int, str], bool]:
    """Whether the RMS of a frame reaches `dbfs`."""
    least = 10 ** (dbfs / 10)

    def loud(samples: Float32, _index: int, _epoch: str) -> bool:
        return float(np.dot(samples, samples)) >= least * len(samples)

    return loud
