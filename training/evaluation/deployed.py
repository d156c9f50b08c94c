"""Scores of a model folder, through the front end and the engine that the device runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.blocks import AudioBlock, ScoreBlock
from edge.frontend.stream import FrontEnd, Waveform
from edge.inference import store
from edge.inference.model import Model

Float32 = npt.NDArray[np.float32]
FILES: list[tuple[Literal["onnx", "tflite"], Literal["float32", "int8"]]] = [
    ("onnx", "float32"),
    ("onnx", "int8"),
    ("tflite", "float32"),
    ("tflite", "int8"),
]
BLOCK = 0.1  # seconds: about what a microphone gives at once; the scores do not depend on it


def of_model(model: Model) -> Callable[[Float32], ScoreBlock]:
    """Return the scorer of a loaded model: samples in blocks through the front end and the stream of a device.

    ``clip`` holds the running clip scores where the model pools.
    """
    rate = model.card.input.rate
    front_end = FrontEnd(model.spec) if model.spec else Waveform(rate)
    stream, size = model.stream(), round(BLOCK * rate)

    def scores(samples: Float32) -> ScoreBlock:
        front_end.reset("recording", 0)
        stream.reset("recording", 0)
        blocks = [
            stream.push(front_end.push(AudioBlock("recording", at, rate, samples[at : at + size])))
            for at in range(0, len(samples), size)
        ]
        return joined([*blocks, stream.push(front_end.flush()), stream.flush()])

    return scores


def joined(blocks: list[ScoreBlock]) -> ScoreBlock:
    """Return the blocks of one piece as one."""
    first = blocks[0]
    clips = [b.clip for b in blocks if b.clip is not None]
    return ScoreBlock(
        first.epoch,
        first.first_frame,
        first.hop,
        first.rate,
        np.concatenate([b.scores for b in blocks]),
        first.span,
        clip=np.concatenate(clips) if clips else None,
    )


def load(folder: Path) -> list[tuple[str, Model]]:
    """Load every file of a model folder: ``onnx``, ``onnx int8``, … and the model that runs it."""
    present = {(file.engine, file.precision) for file in store.load_card(folder).files}
    return [
        (f"{engine}{' int8' * (precision == 'int8')}", Model.load(folder, engine, precision))
        for engine, precision in FILES
        if (engine, precision) in present
    ]
