"""Rules of states from validation data: from which score on one counts, how smooth, and how long it must hold.

truth   |-------- A --------|------ B ------|
told        |------- A ---------|--- B -----|       F1 of A and of B: overlap over the mean of time told and time true

The figure is the mean of the states' F1. A state must be right for as long as it lasts, so what is told late, at once
forgotten or between two states costs the time that it is wrong. First a median width, a shortest duration and one
threshold for all states are chosen, then each state's own threshold where that is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from edge.decode.chain import Chain, widths
from edge.decode.decoder import Decoder, frames_of, rule_of
from edge.inference.card import Decode, Rule
from training.evaluation.heard import Heard
from training.tuning.choice import ON, Tuned, plateau

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
SECONDS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # median widths, and shortest durations
BETTER = 1e-9


def tune_states(heard: Sequence[Heard], labels: Sequence[str], rules: Decode) -> Tuned:
    """Choose `on`, `median` and `min_duration` of states; a state's own `min_duration` stays.

    Parameters
    ----------
    heard
        Scored recordings with strong labels, or with one class, which then holds from beginning to end, or none. Others
        do not count.
    rules
        Where to start: of equally good settings the smoothest is not taken but the first to tell.

    Raises
    ------
    ValueError
        No recording of a state, scores on different grids, or a chain of states within states.
    """
    if rules.viterbi:
        raise ValueError("expected states without `viterbi`, which decides before they are compared; take it away")
    names = list(Decoder(labels, rules).rules)  # ignored labels have none
    known = [h for h in heard if h.item.strong is not None or len(h.item.weak or (0, 0)) < 2]
    truths = [_truth(h, [labels.index(name) for name in names]) for h in known]
    there = sorted({int(column) for truth in truths for column in truth[:, 0]})
    if not there:
        raise ValueError(f"expected recordings of states ({', '.join(names)}), one in each or with times, got none")
    if len({(h.block.hop, h.block.rate, h.block.span) for h in known}) > 1:
        raise ValueError("expected scores on one grid, got several; tune recordings of one model")
    grid, longest = known[0].block, max(h.seconds for h in known)

    def settings(own: float, frames: Callable[[float], int | None]) -> list[float]:
        """Those that differ on this grid, and that the recordings are long enough for."""
        tried = sorted({own, *(s for s in SECONDS if s <= longest)})
        return list({frames(s): s for s in reversed(tried)}.values())[::-1]

    medians = settings(rules.median, lambda s: widths(_with(rules, median=s), grid.hop / grid.rate).median)
    dwells = settings(rules.min_duration, lambda s: _shortest(_with(rules, min_duration=s), grid))
    prepared = {m: Prepared.of(known, truths, labels, names, _with(rules, median=m)) for m in {*medians, rules.median}}
    same = np.repeat(ON[:, None], len(names), axis=1)

    def curve(median: float, dwell: float, on: Float64) -> Float64:
        """The figure for each row of thresholds ``[S, C]``."""
        held = _with(rules, min_duration=dwell)
        own = [_shortest(rule_of(held, name), grid) for name in names]
        return prepared[median].f1(on, np.array(own))[:, there].mean(axis=1)

    tried = [(median, dwell) for median in medians for dwell in dwells]
    curves = np.stack([curve(median, dwell, same) for median, dwell in tried])
    row, column = plateau(curves >= curves.max() - BETTER)
    median, dwell = tried[row]
    on = np.full(len(names), ON[column])
    for state in there:
        own = np.repeat(on[None], len(ON), axis=0)
        own[:, state] = ON
        found = curve(median, dwell, own)
        if found.max() > curve(median, dwell, on[None])[0] + BETTER:
            on[state] = ON[plateau((found >= found.max() - BETTER)[None])[1]]
    before = curve(rules.median, rules.min_duration, np.array([[rule_of(rules, name).on for name in names]]))[0]
    notes = [
        f"{name}: no recording of it: it has the threshold of all" for k, name in enumerate(names) if k not in there
    ]
    notes.append(
        f"F1 of the time that states are told: {before:.3f} before, {curve(median, dwell, on[None])[0]:.3f} after"
    )
    if longest < SECONDS[-1]:
        notes.append(f"no recording is longer than {longest:.0f} s: longer medians and durations were not tried")
    new = _with(rules, on=float(ON[column]), median=median, min_duration=dwell)
    return Tuned(_own(new, dict(zip(names, on.tolist(), strict=True))), tuple(notes))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Recordings behind one another: in each frame the highest class and its score, and the stretches that are true.

    Attributes
    ----------
    highest, score
        ``[T]``.
    truth
        Class, onset and offset in seconds ``[R, 3]``.
    bounds
        Of each recording its first frame, its first row of `truth` and the number of its first score; a last row has
        the ends: ``[N + 1, 3]``.
    seconds
        Length of each recording ``[N]``.
    grid
        Hop, span and rate of the scores.
    classes
        How many states there are.
    """

    highest: Int64
    score: Float64
    truth: Float64
    bounds: Int64
    seconds: Float64
    grid: tuple[int, int, int]
    classes: int

    @classmethod
    def of(
        cls,
        heard: Sequence[Heard],
        truths: Sequence[Float64],
        labels: Sequence[str],
        names: Sequence[str],
        rules: Decode,
    ) -> Prepared:
        """Smooth the scores as `rules` say."""
        columns, block = [labels.index(name) for name in names], heard[0].block
        smooth = [_smoothed(h.block, columns, rules) for h in heard]
        rows = np.concatenate(smooth)
        highest = np.argmax(rows, axis=1)
        frames = np.cumsum([0, *map(len, smooth)])
        stretches = np.cumsum([0, *map(len, truths)])
        first = [*(h.block.first_frame for h in heard), 0]
        return cls(
            highest,
            np.take_along_axis(rows, highest[:, None], 1)[:, 0].astype(np.float64),
            np.concatenate(truths),
            np.stack([frames, stretches, np.array(first)], axis=1),
            np.array([h.seconds for h in heard]),
            (block.hop, block.span, block.rate),
            len(names),
        )

    def f1(self, on: Float64, shortest: Int64) -> Float64:
        """F1 of each state's time ``[S, C]`` by thresholds ``[S, C]`` and dwells in frames ``[C]``."""
        times = np.zeros((len(on), self.classes, 2))
        _tell(self.highest, self.score, self.truth, self.bounds, self.seconds, self.grid,
              on.astype(np.float32).astype(np.float64), shortest, times)  # fmt: skip
        true = np.bincount(self.truth[:, 0].astype(int), self.truth[:, 2] - self.truth[:, 1], self.classes)
        return 2 * times[..., 1] / np.maximum(times[..., 0] + true, 1e-12)


@numba.njit(cache=True, nogil=True)
def _tell(highest, score, truth, bounds, seconds, grid, on, shortest, times):
    """Add to ``times [S, C, 2]`` how long each state is told, and rightly so: `edge.decode.states` in one loop."""
    for s in range(len(on)):
        for k in range(len(seconds)):
            now = rival = -1
            onset = stop = begin = end = count = 0
            for t in range(bounds[k, 0], bounds[k + 1, 0] + 1):
                last = t == bounds[k + 1, 0]
                if not last:
                    column = highest[t]
                    if not score[t] >= on[s, column]:
                        continue
                    if column == now:
                        stop, rival = t + 1, -1
                        continue
                    if column == rival:
                        end, count = t + 1, count + 1
                    else:
                        rival, begin, end, count = column, t, t + 1, 1
                    if count < shortest[column]:
                        continue
                if now >= 0:
                    _add(times[s, now], now, onset, stop, k, truth, bounds, seconds[k], grid)
                now, onset, stop, rival = rival, begin, end, -1


@numba.njit(cache=True, nogil=True)
def _add(time, state, onset, stop, k, truth, bounds, seconds, grid):
    """Add what frames `onset` to `stop` of a state are worth, in seconds."""
    hop, span, rate = grid
    shift = bounds[k, 2] - bounds[k, 0]
    start = (onset + shift) * hop / rate
    until = min(((stop - 1 + shift) * hop + span) / rate, seconds)
    time[0] += max(0.0, until - start)
    for r in range(bounds[k, 1], bounds[k + 1, 1]):
        if truth[r, 0] == state:
            time[1] += max(0.0, min(until, truth[r, 2]) - max(start, truth[r, 1]))


def _truth(heard: Heard, columns: Sequence[int]) -> Float64:
    """Class, onset and offset of what holds, in the order of `columns`."""
    item = heard.item
    known = (
        [(sound.label, sound.onset, sound.offset) for sound in item.strong]
        if item.strong is not None
        else [(label, 0.0, heard.seconds) for label in item.weak or ()]
    )
    rows = [(columns.index(label), onset, offset) for label, onset, offset in known if label in columns]
    return np.array(rows, np.float64).reshape(-1, 3)


def _smoothed(block: ScoreBlock, columns: Sequence[int], rules: Decode) -> npt.NDArray[np.float32]:
    chain = Chain([rules] * len(columns), block.hop / block.rate)
    clips = None if block.clip is None else block.clip[:, columns]
    return np.concatenate([chain.push(block.scores[:, columns].astype(np.float32), clips), chain.flush()])


def _shortest(rule: Decode, grid: ScoreBlock) -> int:
    return frames_of(rule, grid.hop, grid.rate, grid.span).shortest


def _with(rules: Decode, **changes: float) -> Decode:
    return msgspec.structs.replace(rules, **changes)


def _own(rules: Decode, on: dict[str, float]) -> Decode:
    """The rules with each state's threshold where it is another one than that of all, or stood there before."""
    labels = dict(rules.labels)
    for name, value in on.items():
        own = labels.get(name, Rule())
        if own.on is not None or value != rules.on:
            labels[name] = msgspec.structs.replace(own, on=value)
    off = min([rules.off, rules.on, *on.values()])  # says nothing of states, but no card may have it above `on`
    return msgspec.structs.replace(rules, labels=labels, off=off)
