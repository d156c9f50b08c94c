"""Post-training int8: weights per channel, activations by the smallest and largest value that real sound produced.

Inputs, outputs and states stay float32: a state that goes out with one scale and comes in with another would drift,
and residual sums keep their precision. Recurrent and dense layers and attention stay float32 as well. Which
convolutions compute in int8, and which only keep their weights so, `export.precision` measures.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_format
from onnx import helper, numpy_helper
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export import flatbuffer
from export.onnx import compact
from export.precision import Kind, per_channel
from export.step import Tensors

FLOAT = onnx_format.TensorProto.FLOAT
Border = tuple[np.ndarray, float, int]  # float values, and the scale and zero point that they get


def onnx(source: Path, target: Path, feeds: Sequence[Tensors], kinds: Mapping[str, Kind]) -> None:
    """Write an int8 (QDQ) copy of an ONNX file, calibrated on `feeds`: inputs by name, one dict per step.

    Raises
    ------
    ValueError
        The file lacks a convolution that `kinds` names.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)
        found = {node.input[1]: node.name for node in onnx_format.load(prepared).graph.node if node.op_type == "Conv"}
        weights = {path: f"{path}.conv.weight" for path in kinds}
        _same(source, set(weights.values()), set(found))
        quantize_static(
            prepared,
            target,
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu"],  # a ReLU behind a convolution becomes the lower end of its range
            nodes_to_exclude=[found[weights[path]] for path, kind in kinds.items() if kind != "int8"],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    model = onnx_format.load(target)
    for path, kind in kinds.items():
        if kind == "weights":
            _shrink(model.graph, weights[path])
    onnx_format.save(compact(model), target)


def _shrink(graph: Any, name: str) -> None:
    """Keep a weight as int8 and let the runtime multiply it out when it loads the file.

    A Cast and a Mul of constants are folded then; a DequantizeLinear would be computed in every step.
    """
    tensor = next(t for t in graph.initializer if t.name == name)
    values, scale = per_channel(numpy_helper.to_array(tensor))
    graph.initializer.remove(tensor)
    graph.initializer.extend(
        [
            numpy_helper.from_array(values, f"{name}.int8"),
            numpy_helper.from_array(scale.reshape(-1, *[1] * (values.ndim - 1)), f"{name}.scale"),
        ]
    )
    graph.node.insert(0, helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]))
    graph.node.insert(0, helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=FLOAT))


def tflite(source: Path, target: Path, feeds: Sequence[Tensors], kinds: Mapping[str, Kind]) -> None:
    """Write an int8 copy of a TFLite file, calibrated on `feeds`.

    Raises
    ------
    ValueError
        The file has other convolutions than `kinds` names.
    """
    from ai_edge_quantizer.quantizer import Quantizer

    found = flatbuffer.convolutions(flatbuffer.unpack(source.read_bytes()))
    _same(source, set(range(len(kinds))), set(range(len(found))))
    with _quiet():
        quantizer = Quantizer(str(source))
        for (name, operator), kind in zip(found, kinds.values(), strict=True):
            if kind == "int8":
                quantizer.add_static_config(f"^{name};?$", operator, activation_num_bits=8, weight_num_bits=8)
            elif kind == "weights":
                quantizer.add_weight_only_config(f"^{name};?$", operator, num_bits=8)
        computed = "int8" in kinds.values()
        quantizer.quantize(_extremes(source, feeds) if computed else None).export_model(str(target), overwrite=True)
    target.write_bytes(_finished(target.read_bytes()))
    target.chmod(source.stat().st_mode)  # the quantiser makes it executable


def _same(source: Path, expected: set[Any], got: set[Any]) -> None:
    if expected != got:
        raise ValueError(f"{source.name}: expected the convolutions {sorted(expected)}, got {sorted(got)}")


def saturations(path: Path, feeds: Sequence[Tensors]) -> tuple[int, int]:
    """Count the float values of an int8 file that lie outside of what int8 can hold where they become int8.

    Returns
    -------
    clipped, total
        Values over all steps.
    """
    clipped = total = 0
    for value, scale, zero in (_onnx_borders if path.suffix == ".onnx" else _tflite_borders)(path, feeds):
        whole = np.rint(value / scale) + zero
        low = zero == -128  # where nothing below zero can be held, that is a ReLU and no loss
        clipped += int(((whole > 127) | ((whole < -128) & (not low))).sum())
        total += value.size
    return clipped, total


def _tflite_borders(path: Path, feeds: Sequence[Tensors]) -> Iterator[Border]:
    borders = flatbuffer.borders(flatbuffer.unpack(path.read_bytes()))
    interpreter, inputs = _open(path)
    for feed in feeds:
        _invoke(interpreter, inputs, feed)
        for source, scale, zero in borders:
            yield interpreter.get_tensor(source), scale, zero


def _onnx_borders(path: Path, feeds: Sequence[Tensors]) -> Iterator[Border]:
    model = onnx_format.load(path)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    borders = {node.input[0]: (float(values[node.input[1]]), int(values[node.input[2]])) for node in nodes}
    told = {value.name for value in (*model.graph.input, *model.graph.output)}
    for name in borders.keys() - told:
        model.graph.output.append(helper.make_tensor_value_info(name, FLOAT, None))
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for feed in feeds:
        found = feed | dict(zip((o.name for o in session.get_outputs()), session.run(None, feed), strict=True))
        yield from ((found[name], *border) for name, border in borders.items())


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
    """True minimum and maximum of what is computed; the quantiser's own moving average would cut off loud moments.

    Constants are left to the quantiser: told one range for all of a weight, it would not look at the channels.
    """
    interpreter, inputs = _open(source)
    constants = flatbuffer.constants(flatbuffer.unpack(source.read_bytes()))
    tensors = [d for d in interpreter.get_tensor_details() if d["dtype"] == np.float32 and d["name"] not in constants]
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


def _finished(data: bytes) -> bytes:
    """Point signature outputs at the graph's outputs again, where the quantiser put a conversion between them.

    Tensors inside lose their names, which only the quantiser asked for.
    """
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    for output in model.signatureDefs[0].outputs:
        if output.tensorIndex not in graph.outputs:
            stem = graph.tensors[output.tensorIndex].name
            output.tensorIndex = next(int(i) for i in graph.outputs if graph.tensors[i].name.startswith(stem + b"_"))
    for i in set(range(len(graph.tensors))) - set(map(int, (*graph.inputs, *graph.outputs))):
        graph.tensors[i].name = b""
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
