"""Writes TFLite files directly: tensors, operators and a signature as LiteRT's own schema has them.

Signals are NHWC: ``[1, time, frequency, channels]``. Every method adds one operator and returns its output's index.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

Operator = schema.BuiltinOperator
Options = schema.BuiltinOptions
_TYPES = {np.dtype("float32"): schema.TensorType.FLOAT32, np.dtype("int32"): schema.TensorType.INT32}


class Writer:
    """Collects one subgraph."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.description = 3, b"wheatear"
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []  # buffer 0 means no data
        self.graph = schema.SubGraphT()
        self.graph.name = b"step"
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.model.subgraphs = [self.graph]
        self._codes: dict[int, int] = {}

    def shape(self, tensor: int) -> list[int]:
        """Shape of a tensor."""
        return list(self.graph.tensors[tensor].shape)

    def input(self, name: str, shape: Sequence[int]) -> int:
        """Declare an input."""
        tensor = self._tensor(shape, name=name)
        self.graph.inputs.append(tensor)
        return tensor

    def concatenate(self, tensors: Sequence[int], axis: int, name: str = "") -> int:
        """Join along an axis."""
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = self.shape(tensors[0])
        shape[axis] = sum(self.shape(t)[axis] for t in tensors)
        return self._operator(Operator.CONCATENATION, tensors, shape, Options.ConcatenationOptions, options, name)

    def slice(self, x: int, begin: Sequence[int], size: Sequence[int], name: str = "") -> int:
        """Cut a block."""
        ends = [self._constant(np.asarray(v, np.int32)) for v in (begin, size)]
        return self._operator(Operator.SLICE, [x, *ends], size, Options.SliceOptions, schema.SliceOptionsT(), name)

    def reshape(self, x: int, shape: Sequence[int], name: str = "") -> int:
        """Same numbers, another shape."""
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        constant = self._constant(np.asarray(shape, np.int32))
        return self._operator(Operator.RESHAPE, [x, constant], shape, Options.ReshapeOptions, options, name)

    def pad(self, x: int, widths: Sequence[tuple[int, int]]) -> int:
        """Zeros before and behind each axis."""
        shape = [n + a + b for n, (a, b) in zip(self.shape(x), widths, strict=True)]
        constant = self._constant(np.asarray(widths, np.int32))
        return self._operator(Operator.PAD, [x, constant], shape, Options.PadOptions, schema.PadOptionsT())

    def convolve(
        self,
        x: int,
        weight: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        stride: int,
        dilation: int,
        relu: bool,
        depthwise: bool,
    ) -> int:
        """Unpadded convolution; `weight` as PyTorch has it, [out, in / groups, time, frequency]."""
        _, time, bands, _ = self.shape(x)
        out, _, height, width = weight.shape
        shape = [1, time - (height - 1) * dilation, (bands - width) // stride + 1, out]
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH, options.strideW = 1, stride
        options.dilationHFactor, options.dilationWFactor = dilation, 1
        options.padding = schema.Padding.VALID
        options.fusedActivationFunction = _relu(relu)
        if depthwise:
            options.depthMultiplier = 1
            code, kind, order = Operator.DEPTHWISE_CONV_2D, Options.DepthwiseConv2DOptions, (1, 2, 3, 0)
        else:
            code, kind, order = Operator.CONV_2D, Options.Conv2DOptions, (0, 2, 3, 1)
        inputs = [x, self._constant(weight.transpose(order)), self._constant(bias)]
        return self._operator(code, inputs, shape, kind, options)

    def dense(self, x: int, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> int:
        """Fully connected over the last axis; `weight` is [out, in]."""
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = True
        inputs = [x, self._constant(weight), self._constant(bias)]
        shape = [*self.shape(x)[:-1], len(weight)]
        return self._operator(Operator.FULLY_CONNECTED, inputs, shape, Options.FullyConnectedOptions, options)

    def add(self, a: int, b: int) -> int:
        """Elementwise sum."""
        return self._operator(Operator.ADD, [a, b], self.shape(a), Options.AddOptions, schema.AddOptionsT())

    def sigmoid(self, x: int, name: str = "") -> int:
        """1 / (1 + exp(-x))."""
        return self._operator(Operator.LOGISTIC, [x], self.shape(x), name=name)

    def save(self, path: Path, outputs: dict[str, int]) -> None:
        """Write the file with one signature whose names are the inputs' and `outputs`'."""
        self.graph.outputs = list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs = [_named(self.graph.tensors[i].name, i) for i in self.graph.inputs]
        signature.outputs = [_named(name.encode(), i) for name, i in outputs.items()]
        self.model.signatureDefs = [signature]
        path.write_bytes(pack(self.model))

    def _tensor(self, shape: Sequence[int], dtype: Any = np.float32, name: str = "", buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [int(n) for n in shape], _TYPES[np.dtype(dtype)], buffer
        tensor.name = (name or f"t{len(self.graph.tensors)}").encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _constant(self, values: npt.NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._tensor(values.shape, values.dtype, buffer=len(self.model.buffers) - 1)

    def _operator(
        self,
        code: int,
        inputs: Sequence[int],
        shape: Sequence[int],
        kind: int = Options.NONE,
        options: Any = None,
        name: str = "",
    ) -> int:
        if code not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            self._codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = self._codes[code], list(inputs)
        operator.outputs = [self._tensor(shape, name=name)]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        return operator.outputs[0]


def pack(model: Any) -> bytes:
    """Bytes of a model."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpack(data: bytes) -> Any:
    """Model of bytes."""
    return schema.ModelT.InitFromPackedBuf(data, 0)


def _relu(on: bool) -> int:
    return schema.ActivationFunctionType.RELU if on else schema.ActivationFunctionType.NONE


def _named(name: bytes, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
