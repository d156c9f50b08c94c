"""From the source's rate to the model's, as a stream.

Source sample s and model sample s · rate / source_rate are the same instant. With g = gcd(rate, source_rate) the two
grids meet at every source_rate / g source samples, and only there a piece may begin::

    source 48 kHz   |  .  .  |  .  .  |  .  .  |        after a loss up to ^ the source samples
    model  16 kHz   |        |        |        |            ^             before the next | are dropped

so that the grid stays absolute: what comes out after a gap equals what offline resampling of that piece gives.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np

from edge.blocks import AudioBlock, Float32


def convert(index: int, from_rate: int, to_rate: int, up: bool = False) -> int:
    """Return the sample index at `to_rate` of the same instant, rounded down, or up where `up`; exact integers."""
    return -(-index * to_rate // from_rate) if up else index * to_rate // from_rate


class Resampler:
    """soxr's streaming resampler on an absolute grid; bit-identical for any chunking.

    Parameters
    ----------
    source_rate, rate
        Samples per second in and out. Equal rates pass blocks through untouched.
    quality
        soxr's: ``MQ``, ``HQ``, ``VHQ``.
    """

    def __init__(self, source_rate: int, rate: int, quality: str = "HQ") -> None:
        self.source_rate = source_rate
        self.rate = rate
        self._grid = source_rate // gcd(source_rate, rate)
        self._stream: Any = None
        if source_rate != rate:
            import soxr

            self._stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality=quality)
        self._epoch: str | None = None
        self._next = 0  # the source sample expected
        self._drop = 0  # source samples until the grids meet
        self._out = 0  # the model sample that comes out next

    @property
    def next(self) -> int:
        """Index at `rate` of the sample that comes out next."""
        return self._out

    def to_source(self, sample: int, up: bool = False) -> int:
        """Source sample at the instant of model sample `sample`, rounded down, or up where `up`."""
        return convert(sample, self.rate, self.source_rate, up)

    def reset(self, epoch: str, start: int) -> None:
        """Forget the past; source sample `start` of `epoch` comes next."""
        self._epoch = epoch
        self._next = start
        self._drop = -start % self._grid
        self._out = convert(start + self._drop, self.source_rate, self.rate)
        if self._stream is not None:
            self._stream.clear()

    def push(self, block: AudioBlock) -> AudioBlock:
        """Return what `block` completes, at the model's rate; it may be empty. A gap is handed on in model samples.

        The first block after construction or `flush` resets by itself.

        Raises
        ------
        ValueError
            Where the block does not join the one before: `flush` and, if wanted, `reset` must come first.
        """
        if self._epoch is None:
            self.reset(block.epoch, block.start)
        if (block.epoch, block.start, block.rate) != (self._epoch, self._next, self.source_rate):
            raise ValueError(
                f"resampler: expected sample {self._next} of epoch {self._epoch} at {self.source_rate} Hz, "
                f"got {block.start} of {block.epoch} at {block.rate} Hz; flush before a gap"
            )
        self._next = block.stop
        if self._stream is None:
            return block
        skip = min(self._drop, len(block.samples))
        self._drop -= skip
        samples = self._stream.resample_chunk(block.samples[skip:])
        return self._emit(samples, convert(block.gap, self.source_rate, self.rate, up=True), block.exact)

    def flush(self) -> AudioBlock:
        """Return the end of the piece, as at the end of a clip."""
        epoch = self._epoch
        samples = np.empty(0, np.float32)
        if self._stream is not None and epoch is not None:
            samples = self._stream.resample_chunk(samples, last=True)
        elif self._stream is None:
            self._out = self._next
        block = self._emit(samples, 0, True)
        self._epoch = None
        return block

    def _emit(self, samples: Float32, gap: int, exact: bool) -> AudioBlock:
        block = AudioBlock(self._epoch or "", self._out, self.rate, samples, gap, exact)
        self._out = block.stop
        return block
