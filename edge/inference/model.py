"""A model folder, loaded: one engine, any number of streams."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from edge.blocks import Float32
from edge.errors import CardError, EngineError
from edge.frontend.spec import FrontEndSpec
from edge.inference import check, layer, store
from edge.inference.card import Card, ModelFile, Stateful
from edge.inference.engine import Engine, EngineName
from edge.inference.graph import Shared
from edge.inference.hardware import CPU_ONLY, Hardware
from edge.inference.runtimes import INSTALL, available, open_engine
from edge.inference.scorer import Scorer
from edge.inference.stateful import StatefulScorer
from edge.inference.window import WindowScorer

log = logging.getLogger(__name__)
Precision = Literal["float32", "int8"]


class Model:
    """A card and the engine that runs one of its files.

    Parameters
    ----------
    card
        A validated card.
    engine
        A graph that fits it.
    weights
        A last layer ``[C, D + 1]`` that corrects its scores.

    Examples
    --------
    >>> scorer = Model.load("esc10-s").stream()          # doctest: +SKIP
    >>> scores = scorer.push(features)                   # doctest: +SKIP
    """

    def __init__(self, card: Card, engine: Engine, weights: Float32 | None = None) -> None:
        self.card, self.weights = card, weights
        self.labels: list[str] = check.label_names(card)
        self._shared = Shared(card, engine, weights)

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        engine: EngineName | None = None,
        precision: Precision | None = None,
        hardware: Hardware = CPU_ONLY,
    ) -> Model:
        """Load a model by name or folder.

        Without wishes the float32 file is taken, through LiteRT where the model and the installation have it.

        Parameters
        ----------
        name_or_folder
            A built-in or installed model, or a folder with a ``card.toml``.
        engine, precision
            Take only such a file.
        hardware
            Where to compute.

        Raises
        ------
        CardError
            The model is unknown, its card is wrong, or it has no such file.
        EngineError
            No installed runtime can run it.
        """
        folder = store.find(name_or_folder)
        card = store.load_card(folder)
        check.check_card(card, f"{folder.name}/{check.CARD}")
        file = choose(card, engine, precision)
        check.check_file(file, folder)
        if card.output.layer is not None:
            check.check_file(card.output.layer, folder)
        weights = layer.load(card, folder)
        opened = open_engine(file.engine, folder / file.name, check.shapes(card), hardware)
        check.check_graph(card, opened, f"{folder.name}/{file.name}", weights)
        return cls(card, opened, weights)

    @property
    def id(self) -> str:
        """``name@version``, as events carry it."""
        return f"{self.card.name}@{self.card.version}"

    @property
    def spec(self) -> FrontEndSpec | None:
        """The front end it is fed by; None for a waveform model."""
        return self.card.frontend

    @property
    def engine_name(self) -> str:
        """``onnx`` or ``tflite``."""
        return self._shared.engine.name

    @cached_property
    def silence(self) -> Float32:
        """What the model is fed for digital silence, ``[F]``."""
        if self.card.frontend is None:
            return np.zeros(1, np.float32)
        from edge.frontend.stream import FrontEnd  # brings numba, which a waveform model does not need

        return FrontEnd(self.card.frontend).silence

    def stream(self, silence: Float32 | None = None) -> Scorer:
        """A scorer with a state of its own.

        Parameters
        ----------
        silence
            The feature row of digital silence, ``[F]``; computed by the front end when a flush needs it.
        """
        row = silence if silence is not None else lambda: self.silence
        kind = StatefulScorer if isinstance(self.card.stream, Stateful) else WindowScorer
        return kind(self.card, self._shared, row)


def choose(card: Card, engine: EngineName | None = None, precision: Precision | None = None) -> ModelFile:
    """Pick the file to run: the wishes first, then float32 before int8, then TFLite before ONNX, if installed.

    Raises
    ------
    CardError
        The card names no such file.
    EngineError
        No runtime for such a file is installed.
    """
    wished = [f for f in card.files if engine in (None, f.engine) and precision in (None, f.precision)]
    if not wished:
        there = ", ".join(f"{f.engine} {f.precision}" for f in card.files)
        asked = " ".join(filter(None, (engine, precision)))
        raise CardError(f"model {card.name}: expected one of its files ({there}), got a wish for {asked}")
    ranked = sorted(wished, key=lambda f: (f.precision != "float32", f.engine != "tflite"))
    for file in ranked:
        if available(file.engine):
            return file
        log.warning("model %s: no runtime for %s is installed (%s)", card.name, file.name, INSTALL[file.engine])
    raise EngineError(f"model {card.name}: no runtime for {ranked[0].name} is installed: {INSTALL[ranked[0].engine]}")
