"""Scores in, detections out: median, double threshold, merge gap and minimum duration per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.blocks import Float32, ScoreBlock
from edge.decode.smoothing import Median
from edge.decode.threshold import Frames, Hysteresis, Span
from edge.inference.card import Decode, Rule


@dataclass(frozen=True, slots=True)
class Detection:
    """A decision: an event of a class began or ended.

    `onset` and `offset` count samples at the score block's rate; `offset` is None for a begin. `peak` and `mean` are of
    the smoothed score so far.
    """

    type: Literal["begin", "end"]
    label: str
    onset: int
    offset: int | None
    peak: float
    mean: float
    rule: str
    reason: str | None = None


@dataclass(slots=True)
class _Group:
    """Classes that share a median width, and so a lookahead."""

    classes: list[int]
    median: Median
    machines: list[Hysteresis]
    off: Float32


class Decoder:
    """Decides, for every class on its own, where events begin and end.

    The order of detections is that of the frames that decide them, then that of the labels, so that it does not depend
    on how the scores were cut into blocks.

    Parameters
    ----------
    labels
        Class names in the order of the scores.
    rules
        Thresholds, and durations in seconds; `rules.labels` overrides by name, `rules.ignore` never makes events.
    """

    def __init__(self, labels: Sequence[str], rules: Decode) -> None:
        self.labels = list(labels)
        self.rules = {name: _rule(rules, name) for name in self.labels if name not in rules.ignore}
        self._texts = {name: _text(rule) for name, rule in self.rules.items()}
        self._grid = (0, 0, 0)
        self._groups: list[_Group] = []
        self.reset("")

    def reset(self, epoch: str) -> None:
        """Forget the past; the next block is the first one of a piece of `epoch`."""
        self._epoch = epoch
        self._first: int | None = None
        self._next = 0
        for group in self._groups:
            group.median.reset()
            for machine in group.machines:
                machine.reset()

    def push(self, block: ScoreBlock) -> list[Detection]:
        """Detections that these scores decide.

        Raises
        ------
        ValueError
            Where the block does not join the one before: call `flush` and `reset` at a gap.
        """
        if not len(block.scores):
            return []
        self._bind(block.hop, block.rate, block.span)
        if self._first is None:
            self._first = self._next = block.first_frame
        if (block.epoch, block.first_frame) != (self._epoch, self._next):
            raise ValueError(
                f"decoder: expected score {self._next} of epoch {self._epoch!r}, "
                f"got {block.first_frame} of {block.epoch!r}: reset at a gap"
            )
        first, self._next = self._next, self._next + len(block.scores)
        decided: list[tuple[int, int, Detection]] = []
        for group in self._groups:
            smooth = group.median.push(block.scores[:, group.classes])
            decided += self._decide(group, smooth, max(self._first, first - group.median.half))
        return _in_order(decided)

    def flush(self, reason: str) -> list[Detection]:
        """Decide what the end decides, and end open events for `reason`."""
        decided: list[tuple[int, int, Detection]] = []
        for group in self._groups:
            smooth = group.median.flush()
            decided += self._decide(group, smooth, self._next - len(smooth))
            for index, machine in zip(group.classes, group.machines, strict=True):
                span = machine.finish()
                if span:
                    decided.append((self._next + group.median.half, index, self._detection("end", index, span, reason)))
        return _in_order(decided)

    def _bind(self, hop: int, rate: int, span: int) -> None:
        """Turn seconds into frames once the grid of the scores is known."""
        if (hop, rate, span) == self._grid:
            return
        self._grid = (hop, rate, span)
        by_width: dict[int, list[str]] = {}
        for name, rule in self.rules.items():
            by_width.setdefault(_median_width(rule, hop / rate), []).append(name)
        self._groups = []
        for width, names in by_width.items():
            frames = [_frames(self.rules[name], hop, rate, span) for name in names]
            self._groups.append(
                _Group(
                    [self.labels.index(name) for name in names],
                    Median(width, len(names)),
                    [Hysteresis(rule) for rule in frames],
                    np.array([rule.off for rule in frames], np.float32),
                )
            )

    def _decide(self, group: _Group, smooth: Float32, first: int) -> list[tuple[int, int, Detection]]:
        decided = []
        for column in range(smooth.shape[1]):
            machine = group.machines[column]
            scores = smooth[:, column]
            # Most classes are silent most of the time: they cost one comparison per block.
            if machine.idle and not (scores >= group.off[column]).any():
                continue
            for t, score in enumerate(scores.tolist(), first):
                step = machine.step(t, score)
                if step:
                    index = group.classes[column]
                    reason = "offset" if step[0] == "end" else None
                    decided.append((t + group.median.half, index, self._detection(step[0], index, step[1], reason)))
        return decided

    def _detection(self, kind: str, index: int, span: Span, reason: str | None) -> Detection:
        hop, _, reach = self._grid
        name = self.labels[index]
        return Detection(
            type="begin" if kind == "begin" else "end",
            label=name,
            onset=span.onset * hop,
            offset=None if kind == "begin" else (span.stop - 1) * hop + reach,
            peak=round(span.peak, 4),
            mean=round(span.mean, 4),
            rule=self._texts[name],
            reason=reason,
        )


def _in_order(decided: list[tuple[int, int, Detection]]) -> list[Detection]:
    return [detection for _, _, detection in sorted(decided, key=lambda entry: entry[:2])]


def _rule(rules: Decode, name: str) -> Decode:
    """The rule of one class: its overrides over the defaults."""
    over = rules.labels.get(name, Rule())

    def pick(given: float | None, default: float) -> float:
        return default if given is None else given

    return Decode(
        on=pick(over.on, rules.on),
        off=min(pick(over.off, rules.off), pick(over.on, rules.on)),
        median=pick(over.median, rules.median),
        min_duration=pick(over.min_duration, rules.min_duration),
        merge_gap=pick(over.merge_gap, rules.merge_gap),
    )


def _text(rule: Decode) -> str:
    return (
        f"on {rule.on:g} off {rule.off:g} median {rule.median:g}s min {rule.min_duration:g}s merge {rule.merge_gap:g}s"
    )


def _median_width(rule: Decode, seconds_per_frame: float) -> int:
    """The odd number of frames nearest to the rule's median."""
    return 2 * round((rule.median / seconds_per_frame - 1) / 2) + 1 if rule.median > seconds_per_frame else 1


def _frames(rule: Decode, hop: int, rate: int, span: int) -> Frames:
    """Seconds → frames: at least the minimum duration, at most the merge gap; overlapping windows bridge their own."""
    shortest = -(-round(rule.min_duration * rate - span) // hop) + 1
    on, off = np.float32(rule.on), np.float32(rule.off)  # as precise as scores are: 0.7 reaches 0.7
    return Frames(float(on), float(off), max(1, shortest), (int(rule.merge_gap * rate + 1e-6) + span - hop) // hop)
