"""Scores of a model folder, through the front end and the engine that the device runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from edge.blocks import FeatureBlock
from edge.frontend.stream import FrontEnd
from edge.inference.model import Model
from training.probes import Float32, Scorer

FILES: list[tuple[Literal["onnx", "tflite"], Literal["float32", "int8"]]] = [
    ("onnx", "float32"),
    ("onnx", "int8"),
    ("tflite", "float32"),
    ("tflite", "int8"),
]


def of_model(model: Model) -> Scorer:
    """Return the scorer of a loaded model that hears features.

    Raises
    ------
    ValueError
        The model takes raw samples.
    """
    if model.spec is None:
        raise ValueError(f"{model.id}: expected a model with a front end, got one that takes raw samples")
    front_end, stream = FrontEnd(model.spec), model.stream()

    def scores(samples: Float32) -> Float32:
        frames = front_end.transform(samples)
        stream.reset("recording", 0)
        pushed = stream.push(FeatureBlock("recording", 0, model.spec.hop, model.spec.rate, frames)).scores.copy()
        return np.concatenate([pushed, stream.flush().scores])[: len(frames)]

    return scores


def load(folder: Path) -> list[tuple[str, Model]]:
    """Load every file of a model folder: ``onnx``, ``onnx int8``, … and the model that runs it."""
    card = Model.load(folder).card
    present = {(file.engine, file.precision) for file in card.files}
    return [
        (f"{engine}{' int8' * (precision == 'int8')}", Model.load(folder, engine, precision))
        for engine, precision in FILES
        if (engine, precision) in present
    ]
