"""A graph to TFLite, written directly: no converter, no further gigabyte of packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export import translate_detectors, translate_slices  # noqa: F401 - they register translations
from export.flatbuffer import Writer
from export.step import CLOCK, Graph, Step, StepFunction, Tensors
from export.translate import Translator
from export.translate_heads import head


def write(graph: Graph, path: Path) -> None:
    """Export `graph` to `path`.

    Raises
    ------
    TypeError
        A layer has no translation: its name.
    """
    w, frames = Writer(), graph.chunk
    features = w.input("features", [1, frames, graph.bands])
    clock = tuple(w.input(name, [1], np.int64) for name in CLOCK) if graph.clocked else None
    past = {name: w.input(f"past.{name}", shape) for name, shape in graph.shapes.items()}
    translator = Translator(w, isinstance(graph, Step), clock, past)
    embedding = translator.layer(graph.body, w.reshape(features, [1, frames, graph.bands, 1]))
    scores, clip = head(translator, graph.head, embedding)
    outputs = {"scores": _rows(w, scores, "scores")}
    if clip is not None:
        outputs["clip"] = _rows(w, clip, "clip") if isinstance(graph, Step) else _row(w, clip, "clip")
    outputs["embedding"] = _rows(w, translator.channels(embedding, 0, graph.head.published), "embedding")
    w.save(path, outputs | {f"next.{name}": translator.after[name] for name in graph.shapes})


def runner(path: Path) -> StepFunction:
    """Return a function that runs the file on one thread, arrays by name."""
    signature = Interpreter(model_path=str(path), num_threads=1).get_signature_runner()

    def run(feeds: Tensors) -> Tensors:
        return {name: np.array(value) for name, value in signature(**feeds).items()}

    return run


def _rows(w: Writer, x: int, name: str) -> int:
    _, frames, _, channels = w.shape(x)
    return w.reshape(x, [1, frames, channels], name)


def _row(w: Writer, x: int, name: str) -> int:
    return w.reshape(x, [1, w.shape(x)[3]], name)
