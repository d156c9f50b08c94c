"""A step to ONNX: static shapes, all weights inside the file."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import onnxruntime
import torch

from export.step import Step, StepFunction


def write(step: Step, path: Path) -> None:
    """Export `step` to `path`."""
    bands = step.model.body.layers[0].bands
    example = (torch.zeros(1, step.chunk, bands), *(torch.zeros(shape) for shape in step.shapes.values()))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's notes about its own future
        torch.onnx.export(
            step,
            example,
            path,
            input_names=step.inputs,
            output_names=step.outputs,
            dynamo=True,
            external_data=False,
            optimize=True,
        )


def runner(path: Path) -> StepFunction:
    """Return a function that runs the file on one thread, arrays by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))
