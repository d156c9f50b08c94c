"""The front end as a stage: whole recordings by `transform`, streams by `push`, the same bits from both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.blocks import AudioBlock, FeatureBlock, Float32
from edge.frontend import filterbank, kernels
from edge.frontend.spec import Decibel, FrontEndSpec, Linear, Ln, Log10


class FrontEnd:
    """Computes a spec's features.

        samples   |────────────────window────────────────|
                  |──hop──|────────────────window────────────────|
        frame     k       k + 1

    Frame ``k`` begins at sample ``k · hop`` of the epoch (or is centred there). After a reset in mid-epoch the grid
    stays where it was: samples before the next grid point are dropped.

    Parameters
    ----------
    spec
        What to compute; checked on entry.

    Raises
    ------
    SpecError
        Where the spec cannot be computed.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self.spec = spec.check()
        self._plan = _plan(spec)
        frames = spec.frames
        # A centred frame begins this many samples before its grid point (librosa centres the window in the transform).
        self._lead = frames.size // 2 - (frames.size - frames.window) // 2 if frames.centred else 0
        self.reset("", 0)

    @property
    def count(self) -> int:
        """Features per frame."""
        return self.spec.count

    @property
    def silence(self) -> Float32:
        """The frame of digital silence, ``[F]``."""
        return self._frames(np.zeros(self.spec.frames.window, np.float32)).reshape(-1)

    def transform(self, samples: Float32) -> Float32:
        """All frames of a whole recording, ``[T, F]``.

        Parameters
        ----------
        samples
            float32 ``[N]`` at the spec's rate, full scale ±1.
        """
        x = np.ascontiguousarray(samples, np.float32)
        if self.spec.frames.centred:
            x = np.concatenate([np.zeros(self._lead, np.float32), x, self._tail(len(x))])
        return self._frames(x)

    def reset(self, epoch: str, start: int) -> None:
        """Forget all samples; the next block begins at sample `start` of `epoch`."""
        self._epoch, self._next = epoch, start
        self._frame = -(-start // self.spec.hop)
        self._skip = self._frame * self.spec.hop - start - self._lead
        # Before the piece lies silence, as before a recording.
        self._buffer = np.zeros(max(0, -self._skip), np.float32)
        self._skip = max(0, self._skip)
        self._start = start

    def push(self, block: AudioBlock) -> FeatureBlock:
        """Frames that this block completes.

        Raises
        ------
        ValueError
            Where the block does not join the one before: call `flush` and `reset` at a gap.
        """
        if (block.epoch, block.start, block.rate) != (self._epoch, self._next, self.spec.rate):
            raise ValueError(
                f"front end: expected sample {self._next} of epoch {self._epoch!r} at {self.spec.rate} Hz, "
                f"got {block.start} of {block.epoch!r} at {block.rate} Hz: reset at a gap"
            )
        self._next = block.stop
        return self._take(block.samples)

    def flush(self) -> FeatureBlock:
        """Frames that only the end completes: of a centred spec those that reach into the silence behind it."""
        return self._take(self._tail(self._next - self._start) if self.spec.frames.centred else np.zeros(0, np.float32))

    def _tail(self, length: int) -> Float32:
        """Silence behind `length` samples, so that the last frame is centred at most on their end."""
        last = (self._start + length) // self.spec.hop * self.spec.hop - self._start
        return np.zeros(max(0, last - self._lead + self.spec.frames.window - length), np.float32)

    def _take(self, samples: Float32) -> FeatureBlock:
        if self._skip:
            dropped = min(self._skip, len(samples))
            self._skip, samples = self._skip - dropped, samples[dropped:]
        x = np.concatenate([self._buffer, samples]) if len(self._buffer) else np.ascontiguousarray(samples, np.float32)
        frames = self._frames(x)
        self._buffer = x[len(frames) * self.spec.hop :].copy()
        if len(frames) and self.spec.hop > self.spec.frames.window and len(frames) * self.spec.hop > len(x):
            self._skip = len(frames) * self.spec.hop - len(x)  # the next frame begins beyond these samples
        block = FeatureBlock(self._epoch, self._frame, self.spec.hop, self.spec.rate, frames)
        self._frame += len(frames)
        return block

    def _frames(self, x: Float32) -> Float32:
        count = max(0, (len(x) - self.spec.frames.window) // self.spec.hop + 1)
        out = np.empty((count, self.spec.count), np.float32)
        kernels.features(x, self._plan, out)
        return out


class Waveform:
    """The front end of models that take raw samples: one "frame" a sample, hop 1."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.count = 1
        self.silence = np.zeros(1, np.float32)
        self.reset("", 0)

    def transform(self, samples: Float32) -> Float32:
        """Samples as frames ``[N, 1]``."""
        return np.ascontiguousarray(samples, np.float32)[:, None]

    def reset(self, epoch: str, start: int) -> None:
        """The next block begins at sample `start` of `epoch`."""
        self._epoch, self._next = epoch, start

    def push(self, block: AudioBlock) -> FeatureBlock:
        """Samples as frames ``[N, 1]``."""
        self._next = block.stop
        return FeatureBlock(block.epoch, block.start, 1, self.rate, self.transform(block.samples))

    def flush(self) -> FeatureBlock:
        """Nothing is held back."""
        return FeatureBlock(self._epoch, self._next, 1, self.rate, np.zeros((0, 1), np.float32))


def _plan(spec: FrontEndSpec) -> kernels.Plan:
    """Tables and scratch of a spec."""
    m = spec.frames.size // 2
    angle = 2 * np.pi * np.arange(m) / m
    spans, weights = _sparse(filterbank.bank(spec))
    scale, floor, add, factor = _compression(spec)
    gain, shift = filterbank.affine(spec)
    return kernels.Plan(
        hop=spec.hop,
        taper=filterbank.taper(spec.frames.taper, spec.frames.window).astype(np.float32),
        table=np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32),
        split=np.stack([np.cos(angle / 2), -np.sin(angle / 2)]).astype(np.float32),
        magnitude=spec.bands.spectrum == "magnitude",
        spans=spans,
        weights=weights,
        scale=scale,
        constants=(np.float32(floor), np.float32(add), np.float32(factor)),
        gain=gain.astype(np.float32),
        shift=shift.astype(np.float32),
        work=np.zeros((4, m), np.float32),
        power=np.zeros(m + 1, np.float32),
    )


def _sparse(bank: filterbank.Float64) -> tuple[npt.NDArray[np.int64], Float32]:
    """Rows of a band matrix as (first bin, bins, first weight) and their weights one after another."""
    spans = np.zeros((len(bank), 3), np.int64)
    weights = [np.zeros(0, np.float32)]
    used = 0
    for row, weight in enumerate(bank):
        bins = np.nonzero(weight)[0]
        if len(bins):
            weights.append(weight[bins[0] : bins[-1] + 1].astype(np.float32))
            spans[row] = bins[0], len(weights[-1]), used
            used += len(weights[-1])
    return spans, np.concatenate(weights)


def _compression(spec: FrontEndSpec) -> tuple[int, float, float, float]:
    """Kernel code of the scale, and its floor, add and factor."""
    match spec.scale:
        case Ln(floor, add):
            return kernels.LN, floor, add, 1.0
        case Log10(floor, add):
            return kernels.LOG10, floor, add, 1.0
        case Decibel(floor, _):
            return kernels.LOG10, floor, 0.0, 10.0
        case Linear():
            return kernels.LINEAR, 0.0, 0.0, 1.0
