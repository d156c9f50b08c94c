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
    _strip(path)


def _strip(path: Path) -> None:
    """Take out what the exporter notes down for debugging: names of this machine's folders, line by line."""
    model = onnx.load(path)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    onnx.save(model, path)


def runner(path: Path) -> StepFunction:
    """Return a function that runs the file on one thread, arrays by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))
