"""A step to TFLite, layer by layer, in the layout that the states already have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor

from export.flatbuffer import Writer
from export.step import Step, StepFunction, Tensors
from training.layers.conv import CausalConv
from training.layers.streaming import Dropout, Residual, Sequential, StreamLayer


def write(step: Step, path: Path) -> None:
    """Export `step` to `path`.

    Raises
    ------
    TypeError
        A layer has no translation.
    """
    writer = Writer()
    model, chunk = step.model, step.chunk
    bands = model.body.layers[0].bands
    features = writer.input("features", [1, chunk, bands])
    past = {name: writer.input(f"past.{name}", shape) for name, shape in step.shapes.items()}
    after: dict[str, int] = {}
    y = _layer(writer, model.body, writer.reshape(features, [1, chunk, bands, 1]), past, after)
    embedding = writer.reshape(y, [1, chunk, writer.shape(y)[3]], "embedding")
    logits = writer.dense(embedding, _array(model.classify.weight), _array(model.classify.bias))
    outputs = {"scores": writer.sigmoid(logits, "scores"), "embedding": embedding}
    writer.save(path, outputs | {f"next.{name}": after[name] for name in step.shapes})


def runner(path: Path) -> StepFunction:
    """Return a function that runs the file on one thread, arrays by name."""
    signature = Interpreter(model_path=str(path), num_threads=1).get_signature_runner()

    def run(feeds: Tensors) -> Tensors:
        return {name: np.array(value) for name, value in signature(**feeds).items()}

    return run


def _layer(writer: Writer, layer: StreamLayer, x: int, past: dict[str, int], after: dict[str, int]) -> int:
    match layer:
        case Sequential():
            for inner in layer.layers:
                x = _layer(writer, inner, x, past, after)
            return x
        case Residual():
            return writer.add(x, _layer(writer, layer.body, x, past, after))
        case CausalConv():
            return _convolution(writer, layer, x, past, after)
        case Dropout():
            return x
    raise TypeError(f"layer `{layer.path}`: no TFLite translation for {type(layer).__name__}")


def _convolution(writer: Writer, layer: CausalConv, x: int, past: dict[str, int], after: dict[str, int]) -> int:
    _, chunk, bands, channels = writer.shape(x)
    if layer.past:
        x = writer.concatenate([past[layer.path], x], axis=1)
        size = [1, layer.past, bands, channels]
        after[layer.path] = writer.slice(x, [0, chunk, 0, 0], size, f"next.{layer.path}")
    if layer.pad:
        x = writer.pad(x, [(0, 0), (0, 0), (layer.pad, layer.pad), (0, 0)])
    conv = layer.conv
    return writer.convolve(
        x,
        _array(conv.weight),
        _array(conv.bias),
        stride=conv.stride[1],
        dilation=conv.dilation[0],
        relu=layer.activation,
        depthwise=conv.groups > 1,
    )


def _array(value: Tensor) -> np.ndarray:
    return np.ascontiguousarray(value.detach().numpy())
