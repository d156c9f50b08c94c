"""The front end as a stage: whole recordings by `transform`, streams by `push`, the same bits from both."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edge.blocks import AudioBlock, FeatureBlock, Float32
from edge.frontend import stages
from edge.frontend.buffer import Samples
from edge.frontend.extractor import Extractor
from edge.frontend.spec import FrontEndSpec
from edge.frontend.stages import State

log = logging.getLogger(__name__)

_REPLACED = "front end: %d samples were not finite or beyond any sound and became 0, in %s"


class FrontEnd:
    """Computes a spec's features.

        samples   |────────────────window────────────────|
                  |──hop──|────────────────window────────────────|
        frame     k       k + 1

    Frame ``k`` begins at sample ``k · hop`` of the epoch (or is centred there). After a reset in mid-epoch the grid
    stays where it was: samples before the next grid point are dropped.

    Samples that are NaN, infinite or absurdly large become 0; `replaced` counts them, and the log says so once a piece.

    Parameters
    ----------
    spec
        What to compute; checked on entry. Its kernel is compiled here, or read from numba's cache.
    channels
        Channels of the sound, each with features and a past of its own. One channel's samples are ``[N]``, its frames
        ``[T, F]``; several are ``[N, C]`` and ``[T, C, F]``.
    width
        Lanes of a vector, 1 for the plain kernel; see `Extractor`.

    Raises
    ------
    SpecError
        Where the spec cannot be computed.
    """

    def __init__(self, spec: FrontEndSpec, channels: int = 1, width: int | None = None) -> None:
        self.spec = spec.check()
        self._channels = [_Channel(spec, width) for _ in range(channels)]
        self._only = self._channels[0] if channels == 1 else None
        self._rate, self._hop = spec.rate, spec.hop
        self.reset("", 0)

    @property
    def channels(self) -> int:
        """Channels of the sound."""
        return len(self._channels)

    @property
    def count(self) -> int:
        """Features per frame and channel."""
        return self.spec.count

    @property
    def width(self) -> int:
        """Lanes of a vector; 1 where the plain kernel works."""
        return int(self._channels[0].extractor.width)

    @property
    def replaced(self) -> int:
        """Samples replaced by 0 since construction: NaN, infinite, or beyond any sound."""
        return sum(int(channel.extractor.replaced) for channel in self._channels)

    @property
    def silence(self) -> Float32:
        """The first frame of digital silence, ``[F]``."""
        frames = self._channels[0].transform(np.zeros(self.spec.reach, np.float32), self._tail(0, self.spec.reach), 1)
        return np.asarray(frames[0])

    def transform(self, samples: Samples, threads: int | None = None) -> Float32:
        """All frames of a whole recording, ``[T, F]`` or ``[T, C, F]``; a stream in progress is left alone.

        Parameters
        ----------
        samples
            float32 (full scale ±1) or int16 at the spec's rate.
        threads
            Threads that share the work, without the GIL; by default one per processor where there is enough of it.
        """
        columns, before = self._columns(samples), self.replaced
        tail = self._tail(0, len(columns[0]))
        frames = [channel.transform(x, tail, threads) for channel, x in zip(self._channels, columns, strict=True)]
        if self.replaced != before:
            log.warning(_REPLACED, self.replaced - before, "a recording")
        return self._joined(frames)

    def reset(self, epoch: str, start: int) -> None:
        """Forget all samples; the next block begins at sample `start` of `epoch`."""
        self._epoch, self._start, self._next = epoch, start, start
        self._warned, self._replaced = False, self.replaced
        for channel in self._channels:
            self._frame = channel.reset(start)

    def push(self, block: AudioBlock) -> FeatureBlock:
        """Frames that this block completes.

        Raises
        ------
        ValueError
            Where the block does not join the one before: call `flush` and `reset` at a gap.
        """
        if block.start != self._next or block.epoch != self._epoch or block.rate != self._rate:
            raise ValueError(
                f"front end: expected sample {self._next} of epoch {self._epoch!r} at {self._rate} Hz, "
                f"got {block.start} of {block.epoch!r} at {block.rate} Hz: reset at a gap"
            )
        samples = block.samples
        if self._only and type(samples) is np.ndarray and samples.ndim == 1:  # the short way: a hop's time counts
            frames, replaced = self._only.push(samples), self._only.extractor.replaced
        else:
            columns = zip(self._channels, self._columns(samples), strict=True)
            frames = self._joined([channel.push(x) for channel, x in columns])
            replaced = self.replaced
        if replaced != self._replaced and not self._warned:
            self._warned = True
            log.warning(_REPLACED, replaced - self._replaced, f"the block at sample {block.start}")
        self._next += len(samples)
        return self._block(frames)

    def flush(self) -> FeatureBlock:
        """Frames that only the end completes: those that reach into the silence behind it, or beyond the last frame."""
        tail = self._tail(self._start, self._next - self._start)
        return self._block(self._joined([channel.flush(tail) for channel in self._channels]))

    def state(self) -> State:
        """All that the next frames depend on, as arrays by name; `restore` takes it, in another process too."""
        grid = np.array([self._start, self._next, self._frame], np.int64)
        state: State = {"epoch": np.array(self._epoch), "grid": grid}
        for i, channel in enumerate(self._channels):
            state |= {f"{i}.{name}": array for name, array in channel.state().items()}
        return state

    def restore(self, state: State) -> None:
        """Go on where `state` was taken, from a front end of the same spec and channels.

        Raises
        ------
        ValueError
            Where the state is another spec's.
        """
        expected, got = sorted(self.state()), sorted(state)
        if expected != got:
            raise ValueError(f"front end: expected a state of {expected}, got {got}: restore needs the same spec")
        for i, channel in enumerate(self._channels):
            channel.restore(_below(f"{i}.", state))
        self._epoch = str(state["epoch"])
        self._start, self._next, self._frame = (int(number) for number in state["grid"])

    def _tail(self, start: int, length: int) -> int:
        """Samples of silence behind `length` ones, so that the last centred frame lies at most on their end."""
        frames = self.spec.frames
        if not frames.centred:
            return 0
        last = (start + length) // frames.hop * frames.hop - start
        return max(0, last - frames.lead + frames.window - length)

    def _columns(self, samples: Samples) -> list[Samples]:
        shape, channels = np.shape(samples), self.channels
        if len(shape) != (1 if channels == 1 else 2) or shape[1:] not in ((), (channels,)):
            wanted = "[N]" if channels == 1 else f"[N, {channels}]"
            raise ValueError(f"front end: expected samples of shape {wanted}, got {list(shape)}")
        x: Any = np.asarray(samples)
        return [x] if channels == 1 else [np.ascontiguousarray(x[:, i]) for i in range(channels)]

    def _block(self, frames: Float32) -> FeatureBlock:
        first = self._frame
        self._frame = first + len(frames)
        return FeatureBlock(self._epoch, first, self._hop, self._rate, frames)

    def _joined(self, frames: list[Float32]) -> Float32:
        return frames[0] if len(frames) == 1 else np.stack(frames, axis=1)


class _Channel:
    """One channel: the extractor, then the post stages."""

    def __init__(self, spec: FrontEndSpec, width: int | None) -> None:
        self.spec = spec
        self.extractor = Extractor(spec.extracted, width)
        self._stages = _chain(spec)

    def reset(self, start: int) -> int:
        """The next sample has index `start`; the number of the first frame."""
        frames = self.spec.frames
        number = -(-start // frames.hop)
        # Before the piece lies silence, as before a recording.
        self.extractor.reset(number * frames.hop - start - frames.lead)
        for stage in self._stages:
            number = stage.reset(number)
        return number

    def push(self, samples: Samples) -> Float32:
        frames = self.extractor.push(samples)
        if not self._stages:
            return frames.copy()
        for stage in self._stages:
            frames = stage.push(frames)
        return frames

    def flush(self, tail: int) -> Float32:
        return _ended(self._stages, self.extractor.push(np.zeros(tail, np.float32)).copy())

    def transform(self, samples: Samples, tail: int, threads: int | None) -> Float32:
        frames = self.extractor.transform(samples, -self.spec.frames.lead, tail, threads)
        return _ended(_chain(self.spec), frames)

    def state(self) -> State:
        parts = [self.extractor.state(), *(stage.state() for stage in self._stages)]
        return {f"{i}.{name}": array for i, part in enumerate(parts) for name, array in part.items()}

    def restore(self, state: State) -> None:
        self.extractor.restore(_below("0.", state))
        for i, stage in enumerate(self._stages, 1):
            stage.restore(_below(f"{i}.", state))


def _chain(spec: FrontEndSpec) -> list[stages.Stage]:
    """All behind the kernel."""
    if spec.background is None:
        return stages.build(spec)
    from edge.frontend import background  # brings the plain kernel with it, which few need

    return background.build(spec) + stages.build(spec)


def _ended(chain: list[stages.Stage], frames: Float32) -> Float32:
    """The last frames through stages, each giving what it held back."""
    for stage in chain:
        frames = stage.push(frames)
        rest = stage.flush()
        if rest is not None:
            frames = np.concatenate([frames, rest])
    return frames


def _below(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


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
