"""Small models made in the test: ONNX by onnx.helper, TFLite by its schema, and cards for both."""

import hashlib
import json
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edge.frontend.spec import parse

FRONTEND = {"rate": 8000, "frames": {"window": 64, "hop": 32}, "bands": {"kind": "mel", "count": 3}}
TYPES = {np.float32: TensorProto.FLOAT, np.int64: TensorProto.INT64}


def toml(value):
    """A TOML value; tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else json.dumps(value)


def write_card(folder, **fields):
    """Write ``card.toml`` for the model files that lie in the folder."""
    kinds = {".onnx": "onnx", ".tflite": "tflite"}
    files = [
        {
            "name": path.name,
            "engine": kinds[path.suffix],
            "precision": "int8" if ".int8." in path.name else "float32",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.iterdir())
        if path.suffix in kinds
    ]
    card = {"format": 1, "name": folder.name, "version": "1", "licence": "CC0-1.0", "files": files, **fields}
    if "frontend" in card and "frontend_hash" not in card:
        card["frontend_hash"] = parse(card["frontend"]).hash
    text = "\n".join(f"{key} = {toml(value)}" for key, value in card.items() if value is not None)
    (folder / "card.toml").write_text(text + "\n", "utf-8")
    return folder


def write_onnx(path, inputs, outputs, nodes, constants=None, **model):
    """Write an ONNX model; inputs and outputs are name: (dtype, shape), nodes (op, inputs, outputs, attributes)."""

    def info(entries):
        return [helper.make_tensor_value_info(n, TYPES[t], shape) for n, (t, shape) in entries.items()]

    graph = helper.make_graph(
        [helper.make_node(op, i, o, **(a[0] if a else {})) for op, i, o, *a in nodes],
        "test",
        info(inputs),
        info(outputs),
        [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), *model.get("opsets", ())]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def write_tflite(path, tensors, ops, inputs, outputs, signature=True):
    """Write a TFLite model; tensors are name: (dtype, shape, data or None, scale, zero), ops (op, inputs, outputs)."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description, model.buffers, model.operatorCodes = 3, b"test", [schema.BufferT()], []
    graph.name, graph.tensors, graph.operators = b"main", [], []
    index = {name: i for i, name in enumerate(tensors)}
    for name, (dtype, shape, data, scale, zero) in tensors.items():
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name.encode(), list(shape), 0
        tensor.type = {"float32": 0, "int32": 2, "int8": 9}[dtype]
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(data, dtype).tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
    for op, ins, outs in ops:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = [index[i] for i in ins], [index[o] for o in outs]
        options = {"MEAN": "Reducer", "FULLY_CONNECTED": "FullyConnected", "ADD": "Add", "MUL": "Mul"}.get(op)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            operator.builtinOptions = getattr(schema, f"{options}OptionsT")()
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [index[n] for n in inputs.values()], [index[n] for n in outputs.values()]
    model.subgraphs = [graph]
    if signature:
        model.signatureDefs = [_signature(index, inputs, outputs)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    Path(path).write_bytes(builder.Output())
    return path


def _signature(index, inputs, outputs):
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    for field, names in (("inputs", inputs), ("outputs", outputs)):
        entries = []
        for outside, inside in names.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = outside.encode(), index[inside]
            entries.append(entry)
        setattr(signature, field, entries)
    return signature


WEIGHTS = np.array([[1.0, -2.0, 0.5], [0.25, 1.0, -1.0]], np.float32)
BIAS = np.array([0.1, -0.2], np.float32)


def window_onnx(path, length=4):
    """sigmoid(W · mean over time + b) of ``[1, length, 3]``."""
    return write_onnx(
        path,
        {"x": (np.float32, [1, length, 3])},
        {"y": (np.float32, [1, 2])},
        [
            ("ReduceMean", ["x"], ["m"], {"axes": [1], "keepdims": 0}),
            ("Gemm", ["m", "w", "b"], ["z"], {"transB": 1}),
            ("Sigmoid", ["z"], ["y"]),
        ],
        {"w": WEIGHTS, "b": BIAS},
    )


def window_tflite(path, length=4):
    """The same function as `window_onnx`."""
    return write_tflite(
        path,
        {
            "in": ("float32", [1, length, 3], None, 0, 0),
            "axes": ("int32", [1], [1], 0, 0),
            "m": ("float32", [1, 3], None, 0, 0),
            "w": ("float32", [2, 3], WEIGHTS, 0, 0),
            "b": ("float32", [2], BIAS, 0, 0),
            "z": ("float32", [1, 2], None, 0, 0),
            "out": ("float32", [1, 2], None, 0, 0),
        },
        [("MEAN", ["in", "axes"], ["m"]), ("FULLY_CONNECTED", ["m", "w", "b"], ["z"]), ("LOGISTIC", ["z"], ["out"])],
        {"x": "in"},
        {"y": "out"},
    )


def window_folder(folder, length=4, hop=2, kinds=("onnx", "tflite"), normalise="none", **fields):
    """A model folder with the window function in both formats."""
    folder.mkdir(exist_ok=True)
    if "onnx" in kinds:
        window_onnx(folder / "model.onnx", length)
    if "tflite" in kinds:
        window_tflite(folder / "model.tflite", length)
    card = {
        "labels": ["hum", "buzz"],
        "input": {"rate": 8000, "tensor": "x"},
        "frontend": FRONTEND,
        "stream": {"mode": "window", "length": length, "hop": hop, "normalise": normalise},
        "output": {"scores": "y", "kind": "clip"},
    }
    return write_card(folder, **{**card, **fields})


def reference_window(window):
    """What the window graphs compute, in numpy."""
    return 1 / (1 + np.exp(-(window.mean(axis=0) @ WEIGHTS.T + BIAS)))


def lookahead_folder(folder, chunk=4, **fields):
    """Frame scores of x[t] + x[t + 1], one frame late, zeros behind the end: state, position and end in one graph."""
    folder.mkdir(exist_ok=True)
    write_onnx(
        folder / "model.onnx",
        {
            "frames": (np.float32, [1, chunk, 3]),
            "past.x": (np.float32, [1, 1, 3]),
            "pos": (np.int64, []),
            "end": (np.int64, []),
        },
        {"scores": (np.float32, [1, chunk, 3]), "next.x": (np.float32, [1, 1, 3])},
        [
            ("Add", ["pos", "steps"], ["index"]),
            ("Less", ["index", "end"], ["real"]),
            ("Where", ["real", "frames", "zero"], ["x"]),
            ("Concat", ["past.x", "x"], ["all"], {"axis": 1}),
            ("Slice", ["all", "i0", "i-1", "i1"], ["now"]),
            ("Slice", ["all", "i1", "iN", "i1"], ["soon"]),
            ("Add", ["now", "soon"], ["scores"]),
            ("Slice", ["all", "i-1", "iN", "i1"], ["next.x"]),
        ],
        {
            "steps": np.arange(chunk, dtype=np.int64).reshape(1, chunk, 1),
            "zero": np.float32(0),
            "i0": np.array([0], np.int64),
            "i1": np.array([1], np.int64),
            "i-1": np.array([-1], np.int64),
            "iN": np.array([chunk + 1], np.int64),
        },
    )
    state = {"input": "past.x", "output": "next.x", "shape": [1, 1, 3]}
    card = {
        "labels": ["a", "b", "c"],
        "input": {"rate": 8000, "tensor": "frames"},
        "frontend": FRONTEND,
        "stream": {
            "mode": "stateful",
            "chunk": chunk,
            "delay": 1,
            "states": [state],
            "position": "pos",
            "end": "end",
        },
        "output": {"scores": "scores", "activation": "sigmoid"},
    }
    # A state of one frame behind a slice of `all`: rows run one frame late, so the first says nothing.
    return write_card(folder, **{**card, **fields})


@pytest.fixture(scope="session")
def make():
    """Everything that builds a model for a test."""

    class Make:
        frontend = FRONTEND
        card = staticmethod(write_card)
        onnx = staticmethod(write_onnx)
        tflite = staticmethod(write_tflite)
        window_onnx = staticmethod(window_onnx)
        window_tflite = staticmethod(window_tflite)
        window = staticmethod(window_folder)
        reference_window = staticmethod(reference_window)
        lookahead = staticmethod(lookahead_folder)

    return Make
