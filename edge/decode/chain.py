"""What scores go through before the thresholds: as far as a rule gives it, in this order, each with its lookahead.

scores ─▶ clip gate ─▶ rescale ─▶ moving average ─▶ Viterbi ─▶ median ─▶ thresholds
waits    clip_ahead       0          mean / 2         lag     median / 2       seconds

clip scores ─▶ clip votes ─▶ thresholds        with `clip_events`: frame scores and all smoothing are left out
waits          clip_ahead
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from edge.blocks import Float32
from edge.decode.clipgate import ClipGate
from edge.decode.clipvotes import ClipVotes
from edge.decode.smoothing import Mean, Median, Rescale
from edge.decode.viterbi import TwoState
from edge.inference.card import Decode


class Widths(NamedTuple):
    """A rule's smoothing in frames; None where it has no such stage. Classes that share it are smoothed together."""

    votes: int | None
    clip: int | None
    rescale: int | None
    mean: int | None
    lag: int | None
    median: int | None

    @property
    def ahead(self) -> int:
        """Frames that the thresholds wait for: the lookahead of all stages together."""
        return (
            (self.votes or 1) - 1 + (self.clip or 0) + (self.mean or 1) // 2 + (self.lag or 0) + (self.median or 1) // 2
        )


def widths(rule: Decode, frame: float) -> Widths:
    """Turn a rule's seconds into frames of `frame` seconds."""
    if rule.clip_events:
        return Widths(max(1, round(rule.clip_ahead / frame)), None, None, None, None, None)
    return Widths(
        None,
        round(rule.clip_ahead / frame) if rule.clip_on else None,
        max(1, round(rule.rescale / frame)) if rule.rescale else None,
        _odd(rule.mean, frame),
        round(rule.viterbi.lag / frame) if rule.viterbi else None,
        _odd(rule.median, frame),
    )


class Chain:
    """The stages of one or more columns of scores, in blocks.

    Parameters
    ----------
    rules
        Of each column, with equal `widths`.
    frame
        Seconds from score to score.
    """

    def __init__(self, rules: Sequence[Decode], frame: float) -> None:
        self.widths = widths(rules[0], frame)
        votes, clip, rescale, mean, lag, median = self.widths
        self._columns = columns = len(rules)
        self._clips: ClipGate | ClipVotes | None = None
        if votes:
            self._clips = ClipVotes(votes, columns)
        elif clip is not None:
            self._clips = ClipGate(_column(rule.clip_on for rule in rules), clip)
        self._stages: list[_Stage] = []
        if rescale:
            self._stages.append(Rescale(rescale, columns))
        if mean:
            self._stages.append(Mean(mean, columns))
        if lag is not None:
            self._stages.append(_two_state(rules, frame, lag))
        if median:
            self._stages.append(Median(median, columns))

    @property
    def ahead(self) -> int:
        """Frames that an output frame waits for."""
        return self.widths.ahead

    def reset(self) -> None:
        """Forget the past."""
        if self._clips:
            self._clips.reset()
        for stage in self._stages:
            stage.reset()

    def push(self, scores: Float32, clips: Float32 | None = None) -> Float32:
        """Smoothed frames ``[T', C]`` that these ``[T, C]`` complete; gate and votes ask for their clip scores as well.

        Raises
        ------
        ValueError
            A gate or votes, and no clip score for each frame.
        """
        if self._clips:
            if clips is None or len(clips) != len(scores):
                rule = "clip_events" if self.widths.votes else "clip_on"
                raise ValueError(f"decoder: `{rule}` needs a clip score for each of {len(scores)} frames, got none")
            scores = self._clips.push(scores, clips)
        for stage in self._stages:
            scores = stage.push(scores)
        return scores

    def flush(self) -> Float32:
        """The frames that are still owed at the end of a piece."""
        owed = self._clips.flush() if self._clips else np.zeros((0, self._columns), np.float32)
        for stage in self._stages:
            owed = np.concatenate([stage.push(owed), stage.flush()])
        return owed


class _Stage(Protocol):
    """Scores in, scores out, late by a fixed number of frames."""

    def reset(self) -> None: ...
    def push(self, scores: Float32, /) -> Float32: ...
    def flush(self) -> Float32: ...


def _two_state(rules: Sequence[Decode], frame: float, lag: int) -> TwoState:
    durations = [rule.viterbi for rule in rules if rule.viterbi]
    leave = np.array([[min(0.5, frame / max(s, frame)) for s in (d.event, d.pause)] for d in durations])
    on, off = (_column(getattr(rule, name) for rule in rules) for name in ("on", "off"))
    return TwoState(on, off, leave[:, 0], leave[:, 1], lag)


def _column(values: Iterable[float]) -> Float32:
    return np.array(list(values), np.float32)


def _odd(seconds: float, frame: float) -> int | None:
    """The odd number of frames nearest to a width; None for one frame, which changes nothing."""
    return 2 * round((seconds / frame - 1) / 2) + 1 if seconds > frame else None
