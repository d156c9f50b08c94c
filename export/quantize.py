"""Post-training int8: weights per channel, activations by the smallest and largest value that real sound produced.

Only convolutions compute in int8. Inputs, outputs and states stay float32: a state that goes out with one scale and
comes in with another would drift, and the residual sums keep their precision. Recurrent and dense layers and attention
stay float32 as well, and so do the first convolutions, up to `FLOAT_SHARE` of all their weights: few channels over many
bands, where int8 costs most and saves least (the default model's mean error falls to half).
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export import flatbuffer
from export.step import Tensors

FLOAT_SHARE = 0.03


def onnx(source: Path, target: Path, feeds: Sequence[Tensors]) -> None:
    """Write an int8 (QDQ) copy of an ONNX file, calibrated on `feeds`: inputs by name, one dict per step."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)
        graph = onnx_format.load(prepared).graph
        weights = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
        convolutions = {node.name: weights.get(node.input[1], 0) for node in graph.node if node.op_type == "Conv"}
        quantize_static(
            prepared,
            target,
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_first(convolutions),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


def tflite(source: Path, target: Path, feeds: Sequence[Tensors]) -> None:
    """Write an int8 copy of a TFLite file, calibrated on `feeds`."""
    from ai_edge_quantizer.quantizer import Quantizer

    with _quiet():
        quantizer = Quantizer(str(source))
        convolutions = flatbuffer.convolutions(flatbuffer.unpack(source.read_bytes()))
        float_ones = _first({name: weights for name, _, weights in convolutions})
        for name, operator, _ in convolutions:
            if name not in float_ones:
                quantizer.add_static_config(f"^{name};?$", operator, activation_num_bits=8, weight_num_bits=8)
        quantizer.quantize(_extremes(source, feeds)).export_model(str(target), overwrite=True)
    target.write_bytes(_repair_signature(target.read_bytes()))
    target.chmod(source.stat().st_mode)  # the quantiser makes it executable


def _first(convolutions: Mapping[str, int]) -> list[str]:
    """Names of the first convolutions that together hold at most `FLOAT_SHARE` of the weights, given by name."""
    names, left = [], FLOAT_SHARE * sum(convolutions.values())
    for name, weights in convolutions.items():
        left -= weights
        if left < 0:
            break
        names.append(name)
    return names


def saturations(path: Path, feeds: Sequence[Tensors]) -> tuple[int, int]:
    """Count the float values of an int8 TFLite file that lie outside of what int8 can hold where they become int8.

    Returns
    -------
    clipped, total
        Values over all steps.
    """
    graph = flatbuffer.unpack(path.read_bytes())
    borders = flatbuffer.borders(graph)
    interpreter, inputs = _open(path)
    clipped = total = 0
    for feed in feeds:
        _invoke(interpreter, inputs, feed)
        for source, scale, zero in borders:
            value = np.rint(interpreter.get_tensor(source) / scale) + zero
            clipped += int(((value < -128) | (value > 127)).sum())
            total += value.size
    return clipped, total


def _open(source: Path) -> tuple[Any, dict[str, int]]:
    """An interpreter that shows the tensors inside, and its inputs by the signature's names."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_path=str(source),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,  # a delegate would hide them
        num_threads=1,
    )
    interpreter.allocate_tensors()
    details = interpreter.get_signature_runner().get_input_details()
    return interpreter, {name: detail["index"] for name, detail in details.items()}


def _invoke(interpreter: Any, inputs: dict[str, int], feed: Tensors) -> None:
    for name, value in feed.items():
        interpreter.set_tensor(inputs[name], value)
    interpreter.invoke()


def _extremes(source: Path, feeds: Sequence[Tensors]) -> dict[str, dict[str, np.ndarray]]:
    """True minimum and maximum of every tensor; the quantiser's own moving average would cut off loud moments."""
    interpreter, inputs = _open(source)
    tensors = [d for d in interpreter.get_tensor_details() if d["dtype"] == np.float32]
    low, high = {d["name"]: np.inf for d in tensors}, {d["name"]: -np.inf for d in tensors}
    for feed in feeds:
        _invoke(interpreter, inputs, feed)
        for tensor in tensors:
            value, name = interpreter.get_tensor(tensor["index"]), tensor["name"]
            low[name], high[name] = min(low[name], value.min()), max(high[name], value.max())
    shapes = {d["name"]: (1,) * len(d["shape"]) for d in tensors}
    return {
        name: {"min": np.full(shape, low[name], np.float32), "max": np.full(shape, high[name], np.float32)}
        for name, shape in shapes.items()
    }


def _repair_signature(data: bytes) -> bytes:
    """Point signature outputs at the graph's outputs again, where the quantiser put a conversion between them."""
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    for output in model.signatureDefs[0].outputs:
        if output.tensorIndex not in graph.outputs:
            stem = graph.tensors[output.tensorIndex].name
            output.tensorIndex = next(int(i) for i in graph.outputs if graph.tensors[i].name.startswith(stem + b"_"))
    return flatbuffer.pack(model)


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Tensors]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Tensors | None:
        return next(self.feeds, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantisers' progress prints and warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
