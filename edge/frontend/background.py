"""Background normalisation of bins, before they are summed into bands (card 10).

    magnitudes |X| ──▶ ÷ level of the background, bin by bin ──▶ bands ──▶ scale ──▶ post stages

A tone that stands in a fan's hum stands out of it in its bin; summed into a band first, it would be lost. Dividing by a
level of the past makes the features independent of any fixed gain per bin: of the microphone, of the room.

Where a spec asks for it, the kernel stops at the magnitudes of bins, and the bands are made here, by the plain
kernel's own code.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.blocks import Float32
from edge.frontend import kernels, stages
from edge.frontend.buffer import jit
from edge.frontend.spec import BinFloor, BinPercentile, Enhance, FrontEndSpec


def build(spec: FrontEndSpec) -> list[stages.Stage]:
    """The stages between the kernel of ``spec.extracted`` and the spec's post stages."""
    if spec.background is None:
        return []
    bins, seconds_per_frame = spec.frames.size // 2 + 1, spec.frames.hop / spec.rate
    level: stages.Stage
    match spec.background:
        case BinPercentile():
            level = PercentileStage(spec.background, bins, seconds_per_frame)
        case Enhance():
            from edge.frontend.enhance import EnhanceStage  # compiles what few need

            level = EnhanceStage(spec.background, bins, seconds_per_frame)
        case BinFloor():
            level = stages.NoiseFloorStage(spec.background, bins, seconds_per_frame, None, spec.background.least)
    return [level, BandsStage(spec)]


class PercentileStage(stages.Stage):
    """Bins over a percentile of their last frames, this one among them, by linear interpolation.

    Each bin keeps its last L magnitudes twice: in order of time, and in order of size. A new one takes the oldest one's
    place in both; in order of size, what lies between the two moves by one.

    Parameters
    ----------
    stage
        What to compute.
    count
        Bins.
    seconds_per_frame
        Time from frame to frame.
    """

    def __init__(self, stage: BinPercentile, count: int, seconds_per_frame: float) -> None:
        super().__init__(count)
        length = max(1, round(stage.seconds / seconds_per_frame))
        self._quantile, self._least = stage.quantile, np.float32(stage.least)
        self._recent, self._sorted = (np.zeros((count, length), np.float32) for _ in range(2))
        self._seen: npt.NDArray[np.int64] = np.zeros(2, np.int64)  # frames held, and where the next one goes

    def reset(self, first: int) -> int:
        """No past."""
        self._seen[:] = 0
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        out = np.empty_like(frames)
        _percentile(frames, self._recent, self._sorted, self._seen, self._quantile, self._least, out)
        return out

    def state(self) -> stages.State:
        """Frames held, oldest first: ``[T, bins]``."""
        held, following = self._seen
        order = (np.arange(held) + following - held) % self._recent.shape[1]
        return {"recent": self._recent.T[order]}

    def restore(self, state: stages.State) -> None:
        """Take over the frames."""
        recent = np.asarray(state["recent"], np.float32)
        length = self._recent.shape[1]
        if recent.ndim != 2 or recent.shape[1] != self.count or len(recent) > length:
            raise ValueError(
                f"front end: expected at most {length} recent frames of {self.count} bins, got {recent.shape}"
            )
        self._recent[:, : len(recent)] = recent.T
        self._sorted[:, : len(recent)] = np.sort(recent.T, axis=1)
        self._seen[:] = len(recent), len(recent) % length


class BandsStage(stages.Stage):
    """Bands of magnitudes, compressed, with the spec's leading standardisations: the end of the plain kernel.

    Parameters
    ----------
    spec
        The whole spec.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__(spec.frames.size // 2 + 1)
        self._power, self._bank, self._bands = spec.bands.spectrum == "power", kernels.bank(spec), spec.band_count

    def push(self, frames: Float32) -> Float32:
        """Features, ``[T, bands]``."""
        out = np.empty((len(frames), self._bands), np.float32)
        kernels.sums(frames * frames if self._power else frames, self._bank, out)
        return out


@jit
def _percentile(frames, recent, ordered, seen, quantile, least, out):  # type: ignore[no-untyped-def]
    length = recent.shape[1]
    for t in range(out.shape[0]):
        held, place = seen[0], seen[1]
        count = min(held + 1, length)
        rank = quantile * (count - 1)
        below = int(rank)
        above, part = min(below + 1, count - 1), np.float32(rank - below)
        for f in range(out.shape[1]):
            x, row = max(frames[t, f], least), ordered[f]
            gap = np.searchsorted(row[:held], recent[f, place]) if held == length else held
            while gap > 0 and row[gap - 1] > x:
                row[gap] = row[gap - 1]
                gap -= 1
            while gap < count - 1 and row[gap + 1] < x:
                row[gap] = row[gap + 1]
                gap += 1
            row[gap] = x
            recent[f, place] = x
            level = row[below] + part * (row[above] - row[below])
            out[t, f] = x / level
        seen[0], seen[1] = count, (place + 1) % length
