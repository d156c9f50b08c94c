"""What is done to features: post stages with their state, frame after frame.

    bands ──▶ PCEN | MFCC | deltas | standardise | running mean | noise floor | stack ──▶ …

Every stage takes and gives blocks of frames, ``push(frames [T, F]) → [T', F']``, gives what it held back at `flush`,
and carries its past in float32 arrays by name. A frame's numbers come from the same operations in the same order,
however frames are grouped into blocks, so that any chunking gives the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.blocks import Float32
from edge.frontend import filterbank
from edge.frontend.buffer import jit
from edge.frontend.spec import (
    Decibel,
    Delta,
    FrameStandardise,
    FrontEndSpec,
    Linear,
    Log10,
    Mfcc,
    NoiseFloor,
    Pcen,
    Post,
    RunningMean,
    Stack,
    Standardise,
)

State = dict[str, npt.NDArray[Any]]

FAINT = np.float32(1e-30)  # below it a smoothed energy is 0: denormal numbers are slow, and nobody hears them


class Stage:
    """A stage of one channel; this one passes frames on as they are.

    Parameters
    ----------
    count
        Features per frame that come in.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def reset(self, first: int) -> int:
        """Forget the past; the next frame in has number `first`. Returns the number of the next frame out."""
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames that these frames complete."""
        return frames

    def flush(self) -> Float32 | None:
        """Frames held back that only the end completes."""
        return None

    def state(self) -> State:
        """Everything carried from push to push, by name; arrays are copies."""
        return {}

    def restore(self, state: State) -> None:
        """Go on where `state` was taken."""


class StandardiseStage(Stage):
    """(x − mean) / std."""

    def __init__(self, stage: Standardise, count: int) -> None:
        super().__init__(count)
        std = np.asarray(stage.std, np.float64)
        self._gain = (1 / std).astype(np.float32)
        self._shift = (-np.asarray(stage.mean, np.float64) / std).astype(np.float32)

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        return frames * self._gain + self._shift


class FrameStandardiseStage(Stage):
    """(x − mean) / (std + least) of each frame by itself."""

    def __init__(self, stage: FrameStandardise, count: int) -> None:
        super().__init__(count)
        self._least = np.float32(stage.least)

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        out = np.empty_like(frames)
        _frame_standardise(frames, self._least, out)
        return out


class MfccStage(Stage):
    """Cosine transform over features: a plain sum in order, for a library's product may group frames by block size."""

    def __init__(self, stage: Mfcc, count: int) -> None:
        super().__init__(count)
        self._basis = filterbank.cosine_transform(stage, count).astype(np.float32)

    def push(self, frames: Float32) -> Float32:
        """Coefficients, ``[T, stage.count]``."""
        out = np.zeros((len(frames), self._basis.shape[1]), np.float32)
        _project(frames, self._basis, out)
        return out


class _Carrying(Stage):
    """A stage whose past is some named float32 arrays."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._past: dict[str, Float32] = {}

    def state(self) -> State:
        """Copies of the arrays."""
        return {name: array.copy() for name, array in self._past.items()}

    def restore(self, state: State) -> None:
        """Take the arrays over; shapes must agree."""
        for name, array in self._past.items():
            if state[name].shape != array.shape:
                raise ValueError(f"front end: expected state {name!r} of shape {array.shape}, got {state[name].shape}")
            array[...] = state[name]


class PcenStage(_Carrying):
    """Per-channel energy normalisation; carries the smoothed energy of each band."""

    def __init__(self, stage: Pcen, count: int, seconds_per_frame: float) -> None:
        super().__init__(count)
        frames = stage.seconds / seconds_per_frame
        smoothing = (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
        numbers = (smoothing, stage.eps, -stage.gain, stage.bias, stage.power, stage.bias**stage.power)
        self._numbers = np.array(numbers, np.float32)
        self._past = {"smooth": np.ones(count, np.float32)}

    def reset(self, first: int) -> int:
        """As if energies had been 1, librosa's steady state."""
        self._past["smooth"][:] = 1
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        out = np.empty_like(frames)
        _pcen(frames, self._past["smooth"], self._numbers, out)
        return out


class RunningMeanStage(_Carrying):
    """x − mean so far: frame t has weight max(1 / (t + 1), b), so the mean is plain at first and fades later."""

    def __init__(self, stage: RunningMean, count: int, seconds_per_frame: float) -> None:
        super().__init__(count)
        self._least = np.float32(1 - math.exp(-seconds_per_frame / stage.seconds))
        self._past = {"mean": np.zeros(count, np.float32), "seen": np.zeros(1, np.float32)}

    def reset(self, first: int) -> int:
        """No past."""
        self._past["mean"][:], self._past["seen"][:] = 0, 0
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        out = np.empty_like(frames)
        _running_mean(frames, self._past["mean"], self._past["seen"], self._least, out)
        return out


class NoiseFloorStage(_Carrying):
    """Features over a quantile of their past, tracked by small steps: up by q, down by 1 − q.

    Logarithms move by addition, uncompressed bands by multiplication: both are the same steps in nepers, and both make
    the result independent of a fixed gain per band.
    """

    def __init__(
        self, stage: NoiseFloor, count: int, seconds_per_frame: float, unit: float | None, least: float = 1e-20
    ) -> None:
        super().__init__(count)
        self._least = np.float32(least)
        step = stage.speed * seconds_per_frame
        up, down = step * stage.quantile, -step * (1 - stage.quantile)
        self._ratio = unit is None
        steps = [math.exp(up), math.exp(down)] if unit is None else [up * unit, down * unit]
        self._steps = np.array(steps, np.float32)
        self._past = {"floor": np.zeros(count, np.float32), "seen": np.zeros(1, np.float32)}

    def reset(self, first: int) -> int:
        """The floor begins at the next frame."""
        self._past["floor"][:], self._past["seen"][:] = 0, 0
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        out = np.empty_like(frames)
        _noise_floor(frames, self._past["floor"], self._past["seen"], self._steps, self._ratio, self._least, out)
        return out


class DeltaStage(Stage):
    """Slopes by regression; holds back ``order · window`` frames, and at the end repeats the last one.

    Weights of order 2 are those of order 1 convolved with themselves: both look at the features, not at each other, so
    that ends repeat features.
    """

    def __init__(self, stage: Delta, count: int) -> None:
        super().__init__(count)
        n = np.arange(-stage.window, stage.window + 1)
        slope = n / np.sum(n**2)
        weights = [np.ones(1), slope, np.convolve(slope, slope)]
        self._ahead = stage.order * stage.window
        self._weights = np.zeros((stage.order, 2 * self._ahead + 1), np.float32)
        for i, row in enumerate(weights[1 : stage.order + 1]):
            margin = self._ahead - len(row) // 2
            self._weights[i, margin : margin + len(row)] = row
        self.reset(0)

    def reset(self, first: int) -> int:
        """No past: the first frame will be repeated before itself."""
        self._recent = np.empty((0, self.count), np.float32)
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames ``[T', F · (order + 1)]``, `lookahead` frames late."""
        if not len(self._recent) and len(frames):
            self._recent = np.repeat(frames[:1], self._ahead, axis=0)
        joined = np.concatenate([self._recent, frames])
        out = np.zeros((max(0, len(joined) - 2 * self._ahead), self.count * (len(self._weights) + 1)), np.float32)
        _delta(joined, self._weights, self._ahead, out)
        self._recent = joined[len(out) :]
        return out

    def flush(self) -> Float32 | None:
        """The last frames, as if the last one had gone on."""
        return self.push(np.repeat(self._recent[-1:], self._ahead, axis=0)) if len(self._recent) else None

    def state(self) -> State:
        """The frames held back and as many before."""
        return {"recent": self._recent.copy()}

    def restore(self, state: State) -> None:
        """Take over the frames."""
        if state["recent"].shape[1:] != (self.count,) or len(state["recent"]) > 2 * self._ahead:
            raise ValueError(
                f"front end: expected at most {2 * self._ahead} recent frames of {self.count}, "
                f"got {state['recent'].shape}"
            )
        self._recent = np.array(state["recent"], np.float32)


class StackStage(Stage):
    """`count` frames side by side, every `stride` frames; on the grid of frame numbers."""

    def __init__(self, stage: Stack, count: int) -> None:
        super().__init__(count)
        self._length, self._stride = stage.count, stage.stride
        self.reset(0)

    def reset(self, first: int) -> int:
        """Frames before the next grid point are dropped."""
        number = -(-first // self._stride)
        self._skip = number * self._stride - first
        self._recent = np.empty((0, self.count), np.float32)
        return number

    def push(self, frames: Float32) -> Float32:
        """Whole stacks, ``[T', F · count]``."""
        dropped = min(self._skip, len(frames))
        self._skip -= dropped
        joined = np.concatenate([self._recent, frames[dropped:]])
        total = max(0, (len(joined) - self._length) // self._stride + 1)
        starts = np.arange(total)[:, None] * self._stride + np.arange(self._length)
        begun = total * self._stride
        self._skip += max(0, begun - len(joined))
        self._recent = joined[begun:]
        return np.asarray(joined[starts]).reshape(total, self._length * self.count)

    def state(self) -> State:
        """Frames of the stack begun, and how many to drop before one begins."""
        return {"recent": self._recent.copy(), "skip": np.array(self._skip, np.int64)}

    def restore(self, state: State) -> None:
        """Take over both."""
        if state["recent"].shape[1:] != (self.count,):
            raise ValueError(f"front end: expected recent frames of {self.count}, got {state['recent'].shape}")
        self._recent, self._skip = np.array(state["recent"], np.float32), int(state["skip"])


def build(spec: FrontEndSpec) -> list[Stage]:
    """The stages of a spec that its kernel has not done already."""
    hop, stages = spec.frames.hop, []
    first = filterbank.folded(spec)
    for stage, count in zip(spec.post[first:], spec.counts[first:], strict=False):
        stages.append(_stage(stage, count, hop / spec.rate, spec))
        hop *= stage.stride if isinstance(stage, Stack) else 1
    return stages


def _stage(stage: Post, count: int, seconds_per_frame: float, spec: FrontEndSpec) -> Stage:
    built: Stage
    match stage:
        case Standardise():
            built = StandardiseStage(stage, count)
        case FrameStandardise():
            built = FrameStandardiseStage(stage, count)
        case Pcen():
            built = PcenStage(stage, count, seconds_per_frame)
        case Mfcc():
            built = MfccStage(stage, count)
        case Delta():
            built = DeltaStage(stage, count)
        case RunningMean():
            built = RunningMeanStage(stage, count, seconds_per_frame)
        case NoiseFloor():
            built = NoiseFloorStage(stage, count, seconds_per_frame, _neper(spec))
        case Stack():
            built = StackStage(stage, count)
    return built


def _neper(spec: FrontEndSpec) -> float | None:
    """One neper in the unit of the scale; none where bands are uncompressed."""
    match spec.scale:
        case Linear():
            return None
        case Log10():
            return 1 / math.log(10)
        case Decibel():
            return 10 / math.log(10)
        case _:
            return 1.0


@jit
def _project(frames, basis, out):  # type: ignore[no-untyped-def]
    """``out += frames @ basis``, each sum in order of features."""
    for t in range(out.shape[0]):
        row = out[t]
        for f in range(basis.shape[0]):
            x, weights = frames[t, f], basis[f]
            for c in range(row.size):
                row[c] += x * weights[c]


@jit
def _frame_standardise(frames, least, out):  # type: ignore[no-untyped-def]
    for t in range(out.shape[0]):
        row, total, squares = frames[t], np.float32(0), np.float32(0)
        for f in range(row.size):
            total += row[f]
        mean = total / np.float32(row.size)
        for f in range(row.size):
            squares += (row[f] - mean) ** 2
        scale = np.float32(1) / (np.sqrt(squares / np.float32(row.size)) + least)
        for f in range(row.size):
            out[t, f] = (row[f] - mean) * scale


@jit
def _pcen(frames, smooth, numbers, out):  # type: ignore[no-untyped-def]
    b, eps, gain, bias, power, offset = numbers
    one = np.float32(1)
    for t in range(out.shape[0]):
        for f in range(smooth.size):
            x = frames[t, f]
            level = (one - b) * smooth[f] + b * x
            smooth[f] = level if level > FAINT else np.float32(0)
            scaled = x * math.exp(gain * math.log(eps + smooth[f]))
            out[t, f] = offset * math.expm1(power * math.log1p(scaled / bias))  # exact for faint sounds too


@jit
def _running_mean(frames, mean, seen, least, out):  # type: ignore[no-untyped-def]
    for t in range(out.shape[0]):
        weight = max(np.float32(1) / (seen[0] + np.float32(1)), least)
        # Beyond some thousand frames the weight no longer depends on the number: it need not grow for ever.
        seen[0] = min(seen[0] + np.float32(1), np.float32(1e6))
        for f in range(mean.size):
            mean[f] += weight * (frames[t, f] - mean[f])
            out[t, f] = frames[t, f] - mean[f]


@jit
def _noise_floor(frames, floor, seen, steps, ratio, least, out):  # type: ignore[no-untyped-def]
    up, down = steps
    for t in range(out.shape[0]):
        for f in range(floor.size):
            x = frames[t, f]
            if ratio:
                x = max(x, least)
                level = floor[f] * (up if x > floor[f] else down) if seen[0] else x
                floor[f] = max(level, least)
                out[t, f] = x / floor[f]
            else:
                floor[f] = floor[f] + (up if x > floor[f] else down) if seen[0] else x
                out[t, f] = x - floor[f]
        seen[0] = 1


@jit
def _delta(joined, weights, ahead, out):  # type: ignore[no-untyped-def]
    """``out[t]`` looks at ``joined[t : t + 2 · ahead + 1]``."""
    count = joined.shape[1]
    for t in range(out.shape[0]):
        row = out[t]
        for f in range(count):
            row[f] = joined[t + ahead, f]
        for order in range(weights.shape[0]):
            target = row[(order + 1) * count : (order + 2) * count]
            for i in range(weights.shape[1]):
                source, weight = joined[t + i], weights[order, i]
                for f in range(count):
                    target[f] += weight * source[f]
