"""From source samples to the scores of one model: resampler → front end → scorer."""

from __future__ import annotations

from typing import Protocol

from edge.blocks import AudioBlock, ScoreBlock
from edge.frontend.stream import FrontEnd, Waveform
from edge.inference.model import Model
from edge.resample import Resampler


class Listens(Protocol):
    """What a pipeline asks for scores: `Listener`, or several of them as one (`edge.ensemble`).

    Attributes
    ----------
    rate
        Samples per second on which its scores count.
    """

    rate: int

    def reset(self, epoch: str, start: int) -> None:
        """Forget the past; source sample `start` of `epoch` comes next."""

    def push(self, block: AudioBlock) -> list[ScoreBlock]:
        """Scores that these samples complete; no block is empty."""

    def flush(self) -> list[ScoreBlock]:
        """Scores still owed at the end of a piece; `reset` begins the next one."""


class Listener:
    """One model, listening to one stream.

    Parameters
    ----------
    model
        The loaded model; several listeners may share it.
    source_rate
        Samples per second of what is pushed.
    padded
        Whether silence may fill up a last window; see `edge.inference.scorer.Scorer.flush`.

    Attributes
    ----------
    hop, span
        Of its scores, in samples at `rate`.
    """

    def __init__(self, model: Model, source_rate: int, padded: bool = True) -> None:
        self.rate = model.card.input.rate
        self._padded = padded
        self._resampler = Resampler(source_rate, self.rate, model.spec.resampler if model.spec else "HQ")
        self._front = FrontEnd(model.spec) if model.spec else Waveform(self.rate)
        self._scorer = model.stream()
        self.hop, self.span = self._scorer.score_hop, self._scorer.span

    def reset(self, epoch: str, start: int) -> None:
        """As the protocol says."""
        self._resampler.reset(epoch, start)
        model_start = self._resampler.next
        self._front.reset(epoch, model_start)
        hop = self._front.spec.hop if isinstance(self._front, FrontEnd) else 1
        self._scorer.reset(epoch, -(-model_start // hop))

    def push(self, block: AudioBlock) -> list[ScoreBlock]:
        """As the protocol says."""
        return self._hear(self._resampler.push(block))

    def flush(self) -> list[ScoreBlock]:
        """As the protocol says."""
        found = self._hear(self._resampler.flush())
        found += [self._scorer.push(self._front.flush()), self._scorer.flush(self._padded)]
        return [block for block in found if len(block.scores)]

    def _hear(self, block: AudioBlock) -> list[ScoreBlock]:
        features = self._front.push(block)
        scores = [self._scorer.push(features)] if len(features.frames) else []
        return [block for block in scores if len(block.scores)]
