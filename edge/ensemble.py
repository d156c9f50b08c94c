"""Several models that listen to one stream as one: their scores are fused before anything is decided.

samples ─┬▶ listener 0 ─┐
         ├▶ listener 1 ─┼▶ fusion ─▶ scores
         └▶ listener 2 ─┘
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.blocks import AudioBlock, ScoreBlock
from edge.decode.fusion import Fusion, Grid
from edge.errors import ConfigError
from edge.inference.model import Model
from edge.listener import Listener


class Ensemble:
    """Listens as a `Listener` does, with several models of the same classes.

    Parameters
    ----------
    models
        The loaded models.
    source_rate
        Samples per second of what is pushed.
    weights
        Of each model's scores, see `edge.decode.fusion.Fusion`.
    on_scores
        Called with a model's place and each block of its own scores.

    Attributes
    ----------
    rate
        Samples per second on which the fused scores count.
    """

    def __init__(
        self,
        models: Sequence[Model],
        source_rate: int,
        weights: Sequence[float] = (),
        on_scores: Callable[[int, ScoreBlock], None] = lambda *_: None,
    ) -> None:
        self._listeners = [Listener(model, source_rate) for model in models]
        self._fusion = Fusion([Grid(one.hop, one.rate, one.span) for one in self._listeners], weights)
        self._on_scores = on_scores
        self.rate = self._fusion.grid.rate

    def reset(self, epoch: str, start: int) -> None:
        """Forget the past; source sample `start` of `epoch` comes next."""
        for listener in self._listeners:
            listener.reset(epoch, start)
        self._fusion.reset(epoch)

    def push(self, block: AudioBlock) -> list[ScoreBlock]:
        """Scores that these samples complete."""
        return self._fused([listener.push(block) for listener in self._listeners], final=False)

    def flush(self) -> list[ScoreBlock]:
        """Scores still owed at the end of a piece."""
        return self._fused([listener.flush() for listener in self._listeners], final=True)

    def _fused(self, told: Sequence[Sequence[ScoreBlock]], final: bool) -> list[ScoreBlock]:
        for number, blocks in enumerate(told):
            for block in blocks:
                self._on_scores(number, block)
                self._fusion.push(number, block)
        whole = self._fusion.take(final)
        return [whole] if whole else []


def check_alike(models: Sequence[Model]) -> None:
    """Say what keeps models from being fused.

    Raises
    ------
    ConfigError
        Their classes differ, or the first one's rules ask for clip scores that another one does not give.
    """
    first = models[0]
    for other in models[1:]:
        if other.labels != first.labels:
            raise ConfigError(
                f"expected models of the same classes in the same order to fuse, got {_shown(first.labels)} of "
                f"{first.id} and {_shown(other.labels)} of {other.id}; give the other one a stream of its own"
            )
    rules = first.card.decode
    gated = rules.clip_on > 0 or any(rule.clip_on for rule in rules.labels.values())
    without = next((model for model in models if not model.card.output.clip), None)
    if gated and without:
        raise ConfigError(
            f"expected clip scores of every model to fuse, for `clip_on` in the rules of {first.id}, got {without.id} "
            "without; put a model first whose rules do without"
        )


def _shown(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
