"""Scores in, detections out: smoothing, then double threshold, merge gap and minimum duration per class, or states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import structs

from edge.blocks import Float32, ScoreBlock
from edge.decode.chain import Chain, Widths, widths
from edge.decode.states import States
from edge.decode.threshold import Frames, Span, Thresholds
from edge.inference.card import Decode, Rule

PAUSE = "gate"  # the reason of a flush where sound is left out on purpose: states outlast it


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
    """Classes that are smoothed alike, and so share a lookahead."""

    classes: list[int]
    chain: Chain
    machine: Thresholds | States


class Decoder:
    """Decides, for every class on its own or between states, where events begin and end.

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
        self.rules = {name: rule_of(rules, name) for name in self.labels if name not in rules.ignore}
        self._texts: dict[str, str] = {}
        self._grid = (0, 0, 0)
        self._groups: list[_Group] = []
        self._states, self._paused, self._epoch = rules.states, False, ""
        self.reset("")

    def reset(self, epoch: str) -> None:
        """Forget the past; the next block is the first one of a piece of `epoch`. States outlast a pause in it."""
        lasting = self._paused and epoch == self._epoch
        self._epoch = epoch
        self._first: int | None = None
        self._next = 0
        for group in self._groups:
            group.chain.reset()
            if not lasting:
                group.machine.reset()

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
            clips = None if block.clip is None else block.clip[:, group.classes]
            smooth = group.chain.push(block.scores[:, group.classes], clips)
            decided += self._decide(group, smooth, max(self._first, first - group.chain.ahead))
        return _in_order(decided)

    def flush(self, reason: str) -> list[Detection]:
        """Decide what the end decides, and end open events for `reason`; a state goes on where that is a gate."""
        self._paused = self._states and reason == PAUSE
        decided: list[tuple[int, int, Detection]] = []
        for group in self._groups:
            if self._first is not None:  # else nothing came since the last flush
                smooth = group.chain.flush()
                decided += self._decide(group, smooth, self._next - len(smooth))
            for column, span in () if self._paused else group.machine.finish():
                index = group.classes[column]
                decided.append((self._next + group.chain.ahead, index, self._detection("end", index, span, reason)))
        self._first = None
        return _in_order(decided)

    def _bind(self, hop: int, rate: int, span: int) -> None:
        """Turn seconds into frames once the grid of the scores is known."""
        if (hop, rate, span) == self._grid:
            return
        self._grid = (hop, rate, span)
        self._texts = {name: _text(rule, hop / rate) for name, rule in self.rules.items()}
        alike: dict[Widths, list[str]] = {}
        for name, rule in self.rules.items():
            alike.setdefault(widths(rule, hop / rate), []).append(name)
        self._groups = []
        for names in alike.values():
            rules = [self.rules[name] for name in names]
            frames = [frames_of(rule, hop, rate, span) for rule in rules]
            self._groups.append(
                _Group(
                    [self.labels.index(name) for name in names],
                    Chain(rules, hop / rate),
                    States(frames) if self._states else Thresholds(frames),
                )
            )

    def _decide(self, group: _Group, smooth: Float32, first: int) -> list[tuple[int, int, Detection]]:
        decided = []
        for step in group.machine.push(smooth, first):
            index = group.classes[step.column]
            found = self._detection(step.kind, index, step.span, "offset" if step.kind == "end" else None)
            decided.append((step.t + group.chain.ahead, 0 if self._states else index, found))
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


def rule_of(rules: Decode, name: str) -> Decode:
    """The rule of one class: its overrides over the defaults."""
    given = {key: value for key, value in structs.asdict(rules.labels.get(name, Rule())).items() if value is not None}
    rule = structs.replace(rules, **given, ignore=[], labels={})
    return structs.replace(rule, off=min(rule.off, rule.on))


def lookahead(rule: Decode, frame: float) -> float:
    """Seconds by which a class's rule runs behind its scores, which come every `frame` seconds."""
    return widths(rule, frame).ahead * frame


def _text(rule: Decode, frame: float) -> str:
    """The rule in words; what smooths beside a median is said where it is used, and then the lookahead of all."""
    parts = [f"states on {rule.on:g}" if rule.states else f"on {rule.on:g} off {rule.off:g}"]
    if rule.clip_events:
        ahead = f"lookahead {lookahead(rule, frame):.3g}s"
        held = [f"min {rule.min_duration:g}s", *_held(rule)]
        return " ".join([*parts, f"clips of {rule.clip_ahead:g}s", *held, ahead])
    parts += [f"clip {rule.clip_on:g} within {rule.clip_ahead:g}s"] if rule.clip_on else []
    parts += [f"rescale {rule.rescale:g}s"] if rule.rescale else []
    parts += [f"mean {rule.mean:g}s"] if rule.mean else []
    if path := rule.viterbi:
        parts.append(f"viterbi {path.event:g}s/{path.pause:g}s lag {path.lag:g}s")
    told = [f"lookahead {lookahead(rule, frame):.3g}s"] if len(parts) > 1 else []
    parts.append(f"median {rule.median:g}s min {rule.min_duration:g}s")
    parts += _held(rule)
    return " ".join([*parts, *told])


def _held(rule: Decode) -> list[str]:
    """What joins events and parts them, which states have not."""
    if rule.states:
        return []
    return [f"merge {rule.merge_gap:g}s", *([f"dip {rule.dip:g}"] if rule.dip else [])]


def frames_of(rule: Decode, hop: int, rate: int, span: int) -> Frames:
    """Seconds → frames: at least the minimum duration, at most the merge gap; overlapping windows bridge their own."""
    shortest = -(-round(rule.min_duration * rate - span) // hop) + 1
    on, off = np.float32(rule.on), np.float32(rule.off)  # as precise as scores are: 0.7 reaches 0.7
    bridge = (int(rule.merge_gap * rate + 1e-6) + span - hop) // hop
    return Frames(float(on), float(off), max(1, shortest), bridge, rule.dip)
