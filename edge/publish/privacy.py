"""Which samples no clip may hold: those near a private sound, and those that no model has judged.

    raw score of the class      ______########________________________    # at or above the threshold
    masked              ........<ahead>######<--hold-->...............
    judged              |------------------------------------>|           what lies behind is not known yet
    may be kept         |yes|<--------- no --------->|yes|<ahead>|

The gate sees every raw score of every model of its stream, before any decision. It fails safe: a score that is not a
number, a stretch that no model was given and the sound just before and behind it count as private.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.blocks import ScoreBlock
from edge.config.clips import Privacy
from edge.errors import ConfigError
from edge.ids import slug
from edge.resample import convert

Span = tuple[int, int]  # first sample and the one behind the last


@dataclass(slots=True)
class Watch:
    """One model's private columns and what they have told, in source samples."""

    columns: list[int]
    judged: int = 0
    spans: list[Span] = field(default_factory=list)


class Gate:
    """The privacy gate of one stream.

    Parameters
    ----------
    privacy
        What is private.
    models
        Labels of each of the stream's models.

    Raises
    ------
    ConfigError
        A private label that none of the models knows: the gate could never close.
    """

    def __init__(self, privacy: Privacy, models: Iterable[Sequence[str]]) -> None:
        self.privacy = privacy
        models = [tuple(labels) for labels in models]
        known = {slug(label) for labels in models for label in labels}
        private = {slug(label) for label in privacy.labels}
        for label in privacy.labels:
            if slug(label) not in known:
                raise ConfigError(
                    f"clips.privacy.labels: expected labels of the stream's models, got {label!r}; add a model that "
                    f"knows it, or choose among: {', '.join(sorted(known))}"
                )
        columns = {labels: [i for i, label in enumerate(labels) if slug(label) in private] for labels in models}
        self._watches = {labels: Watch(found) for labels, found in columns.items() if found}
        self._rate = 1

    def __bool__(self) -> bool:
        """Whether anything is private here."""
        return bool(self._watches)

    def is_private(self, label: str | None) -> bool:
        """Whether a label is one of the private ones."""
        return slug(label) in map(slug, self.privacy.labels)

    def begin(self, rate: int, joined: bool) -> None:
        """Forget the past: samples from 0 at `rate` Hz come next; `joined` where unjudged sound went just before."""
        self._rate = rate
        for watch in self._watches.values():
            watch.judged = 0
            watch.spans = [(-1, 0)] if joined else []

    def push(self, block: ScoreBlock, labels: Sequence[str]) -> None:
        """Learn raw scores ``[T, C]`` of the model whose columns `labels` name."""
        watch = self._watches.get(tuple(labels))
        if watch is None or not len(block.scores):
            return
        first = self._source(block.first_frame * block.hop, block.rate)
        if first > watch.judged:
            self._add(watch, watch.judged, first)
        quiet = block.scores[:, watch.columns].max(axis=1) < self.privacy.threshold  # False for what is no number
        for frame in np.flatnonzero(~quiet).tolist():
            start = (block.first_frame + frame) * block.hop
            stop = self._source(start + max(block.span, block.hop), block.rate, up=True)
            self._add(watch, self._source(start, block.rate), stop)
        watch.judged = self._source((block.first_frame + len(block.scores)) * block.hop, block.rate)

    def decided(self, stop: int) -> bool:
        """Whether every private class was looked for as far behind `stop` as the look-ahead says."""
        ahead = round(self.privacy.look_ahead * self._rate)
        return all(watch.judged >= stop + ahead for watch in self._watches.values())

    def masked(self, start: int, stop: int) -> list[Span]:
        """Spans of `start` … `stop` that must not be kept, in order, apart from each other."""
        ahead, hold = round(self.privacy.look_ahead * self._rate), round(self.privacy.hold * self._rate)
        found = []
        for watch in self._watches.values():
            found += [(first - ahead, last + hold) for first, last in watch.spans]
            found.append((watch.judged - ahead, stop))
        return union((max(first, start), min(last, stop)) for first, last in found)

    def forget(self, before: int) -> None:
        """Drop what concerns no sample from `before` on."""
        hold = round(self.privacy.hold * self._rate)
        for watch in self._watches.values():
            watch.spans = [span for span in watch.spans if span[1] + hold > before]

    def _add(self, watch: Watch, first: int, last: int) -> None:
        if watch.spans and first <= watch.spans[-1][1]:
            watch.spans[-1] = (min(first, watch.spans[-1][0]), max(last, watch.spans[-1][1]))
        else:
            watch.spans.append((first, last))

    def _source(self, sample: int, rate: int, up: bool = False) -> int:
        return convert(sample, rate, self._rate, up)


def union(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, empty ones left out, touching ones joined.

    >>> union([(5, 9), (0, 2), (8, 12), (3, 3)])
    [(0, 2), (5, 12)]
    """
    joined: list[Span] = []
    for first, last in sorted(span for span in spans if span[0] < span[1]):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
