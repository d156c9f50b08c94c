"""A graph to ONNX: static shapes, all weights inside the file."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch

from export.step import Graph, StepFunction


def write(graph: Graph, path: Path) -> None:
    """Export `graph` to `path`."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's notes about its own future
        torch.onnx.export(
            graph,
            graph.example(),
            path,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamo=True,
            external_data=False,
            optimize=True,
        )
    onnx.save(compact(onnx.load(path), weights=True), path)


def compact(model: onnx.ModelProto, weights: bool = False) -> onnx.ModelProto:
    """Take out what no runtime asks for: debugging notes (folders of this machine among them), shapes, long names.

    With `weights` the initializers and nodes keep their names, by which the quantiser finds them.
    """
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    del graph.value_info[:]
    kept = {value.name for value in (*graph.input, *graph.output)} | {""}  # "" is an input left out
    kept |= {tensor.name for tensor in graph.initializer} if weights else set()
    short: dict[str, str] = {}
    for node in graph.node:
        if not weights:
            node.ClearField("name")
        for names in (node.input, node.output):
            names[:] = [n if n in kept else short.setdefault(n, f"t{len(short)}") for n in names]
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
    return model


def runner(path: Path) -> StepFunction:
    """Return a function that runs the file on one thread, arrays by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))
