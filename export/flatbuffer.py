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
_TYPES = {
    np.dtype("float32"): schema.TensorType.FLOAT32,
    np.dtype("int32"): schema.TensorType.INT32,
    np.dtype("int64"): schema.TensorType.INT64,
    np.dtype("bool"): schema.TensorType.BOOL,
}
FUSED = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


def _leaky() -> Any:
    options = schema.LeakyReluOptionsT()
    options.alpha = 0.01
    return options


def _softmax() -> Any:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return options


FUNCTIONS: dict[str, tuple[int, int, Any]] = {
    "relu": (Operator.RELU, Options.NONE, None),
    "relu6": (Operator.RELU6, Options.NONE, None),
    "leaky_relu": (Operator.LEAKY_RELU, Options.LeakyReluOptions, _leaky),
    "elu": (Operator.ELU, Options.NONE, None),
    "gelu": (Operator.GELU, Options.GeluOptions, schema.GeluOptionsT),
    "hard_swish": (Operator.HARD_SWISH, Options.HardSwishOptions, schema.HardSwishOptionsT),
    "sigmoid": (Operator.LOGISTIC, Options.NONE, None),
    "tanh": (Operator.TANH, Options.NONE, None),
    "exp": (Operator.EXP, Options.ExpOptions, schema.ExpOptionsT),
    "softmax": (Operator.SOFTMAX, Options.SoftmaxOptions, _softmax),  # over the channels
    "sqrt": (Operator.SQRT, Options.NONE, None),
}


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
        self._scalars: dict[float, int] = {}

    def shape(self, tensor: int) -> list[int]:
        """Shape of a tensor."""
        return list(self.graph.tensors[tensor].shape)

    def dtype(self, tensor: int) -> np.dtype[Any]:
        """Element type of a tensor."""
        return next(dtype for dtype, code in _TYPES.items() if code == self.graph.tensors[tensor].type)

    def input(self, name: str, shape: Sequence[int], dtype: Any = np.float32) -> int:
        """Declare an input."""
        tensor = self._tensor(shape, dtype, name)
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
        ends = [self.constant(np.asarray(v, np.int32)) for v in (begin, size)]
        return self._operator(Operator.SLICE, [x, *ends], size, Options.SliceOptions, schema.SliceOptionsT(), name)

    def reshape(self, x: int, shape: Sequence[int], name: str = "") -> int:
        """Same numbers, another shape."""
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        inputs = [x, self.constant(np.asarray(shape, np.int32))]
        dtype = self.dtype(x)
        return self._operator(Operator.RESHAPE, inputs, shape, Options.ReshapeOptions, options, name, dtype)

    def pad(self, x: int, widths: Sequence[tuple[int, int]], value: float = 0.0) -> int:
        """A value, zero by default, before and behind each axis."""
        shape = [n + a + b for n, (a, b) in zip(self.shape(x), widths, strict=True)]
        inputs = [x, self.constant(np.asarray(widths, np.int32))]
        if not value:
            return self._operator(Operator.PAD, inputs, shape, Options.PadOptions, schema.PadOptionsT())
        inputs.append(self.constant(np.asarray([value], np.float32)))
        return self._operator(Operator.PADV2, inputs, shape, Options.PadV2Options, schema.PadV2OptionsT())

    def transpose(self, x: int, order: Sequence[int]) -> int:
        """Axes in another order."""
        shape = [self.shape(x)[axis] for axis in order]
        inputs = [x, self.constant(np.asarray(order, np.int32))]
        return self._operator(Operator.TRANSPOSE, inputs, shape, Options.TransposeOptions, schema.TransposeOptionsT())

    def convolve(
        self,
        x: int,
        weight: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: str = "none",
    ) -> int:
        """Unpadded convolution; `weight` as PyTorch has it, [out, in / groups, time, frequency]; see `FUSED`."""
        batch, time, bands, channels = self.shape(x)
        out, _, *kernel = weight.shape
        sizes = zip((time, bands), kernel, dilation, stride, strict=True)
        shape = [batch, *((n - (k - 1) * d - 1) // s + 1 for n, k, d, s in sizes), out]
        depthwise = groups == channels and groups > 1
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.padding = schema.Padding.VALID
        options.fusedActivationFunction = FUSED[activation]
        if depthwise:
            options.depthMultiplier = out // channels
            code, kind, order = Operator.DEPTHWISE_CONV_2D, Options.DepthwiseConv2DOptions, (1, 2, 3, 0)
            weight = weight.reshape(1, out, *kernel).swapaxes(0, 1)
        else:
            code, kind, order = Operator.CONV_2D, Options.Conv2DOptions, (0, 2, 3, 1)
        inputs = [x, self.constant(weight.transpose(order)), self.constant(bias)]
        return self._operator(code, inputs, shape, kind, options)

    def transpose_convolve(
        self, x: int, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], stride: int
    ) -> int:
        """Transposed convolution in time, uncut; `weight` as PyTorch has it, [in, out, time, 1]."""
        _, time, bands, _ = self.shape(x)
        options = schema.TransposeConvOptionsT()
        options.strideH, options.strideW, options.padding = stride, 1, schema.Padding.VALID
        shape = [1, (time - 1) * stride + weight.shape[2], bands, weight.shape[1]]
        size, kernel = self.constant(np.asarray(shape, np.int32)), self.constant(weight.transpose(1, 2, 3, 0))
        y = self._operator(Operator.TRANSPOSE_CONV, [size, kernel, x], shape, Options.TransposeConvOptions, options)
        return self.add(y, self.constant(bias))

    def pool(self, x: int, kernel: tuple[int, int], stride: tuple[int, int], largest: bool) -> int:
        """Unpadded maximum or mean of windows."""
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = kernel
        options.strideH, options.strideW = stride
        options.padding = schema.Padding.VALID
        batch, time, bands, channels = self.shape(x)
        sizes = zip((time, bands), kernel, stride, strict=True)
        shape = [batch, *((n - k) // s + 1 for n, k, s in sizes), channels]
        code = Operator.MAX_POOL_2D if largest else Operator.AVERAGE_POOL_2D
        return self._operator(code, [x], shape, Options.Pool2DOptions, options)

    def mean(self, x: int, axis: int) -> int:
        """Mean over an axis, which stays with length 1."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = [1 if i == axis else n for i, n in enumerate(self.shape(x))]
        inputs = [x, self.constant(np.asarray([axis], np.int32))]
        return self._operator(Operator.MEAN, inputs, shape, Options.ReducerOptions, options)

    def dense(
        self, x: int, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], activation: str = "none"
    ) -> int:
        """Fully connected over the last axis; `weight` is [out, in]."""
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = True
        options.fusedActivationFunction = FUSED[activation]
        inputs = [x, self.constant(weight), self.constant(bias)]
        shape = [*self.shape(x)[:-1], len(weight)]
        return self._operator(Operator.FULLY_CONNECTED, inputs, shape, Options.FullyConnectedOptions, options)

    def matrices(self, x: int, weight: npt.NDArray[np.float32]) -> int:
        """Rows ``[1, M, R, K]`` times a matrix for each of M, ``[M, K, N]``."""
        options = schema.BatchMatMulOptionsT()
        shape = [*self.shape(x)[:-1], weight.shape[-1]]
        inputs = [x, self.constant(np.ascontiguousarray(weight[None]))]
        return self._operator(Operator.BATCH_MATMUL, inputs, shape, Options.BatchMatMulOptions, options)

    def add(self, a: int, b: int, name: str = "") -> int:
        """Elementwise sum."""
        return self._pair(Operator.ADD, a, b, Options.AddOptions, schema.AddOptionsT(), name)

    def subtract(self, a: int, b: int) -> int:
        """Elementwise difference."""
        return self._pair(Operator.SUB, a, b, Options.SubOptions, schema.SubOptionsT())

    def multiply(self, a: int, b: int) -> int:
        """Elementwise product."""
        return self._pair(Operator.MUL, a, b, Options.MulOptions, schema.MulOptionsT())

    def divide(self, a: int, b: int) -> int:
        """Elementwise quotient."""
        return self._pair(Operator.DIV, a, b, Options.DivOptions, schema.DivOptionsT())

    def larger(self, a: int, b: int) -> int:
        """Elementwise maximum."""
        options = schema.MaximumMinimumOptionsT()
        return self._pair(Operator.MAXIMUM, a, b, Options.MaximumMinimumOptions, options)

    def smaller(self, a: int, b: int) -> int:
        """Elementwise minimum."""
        options = schema.MaximumMinimumOptionsT()
        return self._pair(Operator.MINIMUM, a, b, Options.MaximumMinimumOptions, options)

    def at_least(self, a: int, b: int) -> int:
        """Whether a ≥ b, elementwise."""
        options = schema.GreaterEqualOptionsT()
        return self._pair(Operator.GREATER_EQUAL, a, b, Options.GreaterEqualOptions, options, dtype=np.bool_)

    def both(self, a: int, b: int) -> int:
        """Whether both are true, elementwise."""
        options = schema.LogicalAndOptionsT()
        return self._pair(Operator.LOGICAL_AND, a, b, Options.LogicalAndOptions, options, dtype=np.bool_)

    def select(self, condition: int, a: int, b: int) -> int:
        """`a` where `condition`, else `b`; they broadcast to the shape of `a`."""
        options = schema.SelectV2OptionsT()
        return self._operator(Operator.SELECT_V2, [condition, a, b], self.shape(a), Options.SelectV2Options, options)

    def function(self, name: str, x: int, output: str = "") -> int:
        """A function that keeps the shape, see `FUNCTIONS`."""
        code, kind, options = FUNCTIONS[name]
        return self._operator(code, [x], self.shape(x), kind, options and options(), output)

    def sigmoid(self, x: int, name: str = "") -> int:
        """1 / (1 + exp(-x))."""
        return self.function("sigmoid", x, name)

    def copy(self, x: int, name: str) -> int:
        """The same tensor under a name of its own."""
        return self.reshape(x, self.shape(x), name)

    def scalar(self, value: float) -> int:
        """One number, shared by all who ask for it."""
        if value not in self._scalars:
            self._scalars[value] = self.constant(np.asarray([value], np.float32))
        return self._scalars[value]

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

    def constant(self, values: npt.NDArray[Any]) -> int:
        """Numbers that the file carries."""
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
        dtype: Any = np.float32,
    ) -> int:
        if code not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            self._codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = self._codes[code], list(inputs)
        operator.outputs = [self._tensor(shape, dtype, name)]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        return operator.outputs[0]

    def _pair(self, code: int, a: int, b: int, kind: int, options: Any, name: str = "", dtype: Any = None) -> int:
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        return self._operator(code, [a, b], shape, kind, options, name, dtype or self.dtype(a))


class _Sharing(flatbuffers.Builder):
    """Writes equal vectors once: zero points of channels, which are all zero, take 8 bytes each."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802 - the base's name
        """Offset of a vector with these numbers."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def pack(model: Any) -> bytes:
    """Bytes of a model."""
    builder = _Sharing()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpack(data: bytes) -> Any:
    """Model of bytes, with the constants that the quantiser puts behind the flatbuffer of a large model."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def borders(model: Any) -> list[tuple[int, float, int]]:
    """Where float becomes int8: the float tensor, and the scale and zero point that it gets."""
    graph, found = model.subgraphs[0], []
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode != Operator.QUANTIZE:
            continue
        source, target = int(operator.inputs[0]), graph.tensors[operator.outputs[0]]
        if graph.tensors[source].type == schema.TensorType.FLOAT32 and target.type == schema.TensorType.INT8:
            found.append((source, float(target.quantization.scale[0]), int(target.quantization.zeroPoint[0])))
    return found


def constants(model: Any) -> set[str]:
    """Names of the tensors that the file carries."""
    full = {i for i, buffer in enumerate(model.buffers) if buffer.data is not None and len(buffer.data)}
    return {tensor.name.decode() for tensor in model.subgraphs[0].tensors if tensor.buffer in full}


def convolutions(model: Any) -> list[tuple[str, str]]:
    """Name of the output and operator of every convolution, in order."""
    kinds = {Operator.CONV_2D: "CONV_2D", Operator.DEPTHWISE_CONV_2D: "DEPTHWISE_CONV_2D"}
    graph, found = model.subgraphs[0], []
    for operator in graph.operators:
        kind = kinds.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if kind:
            found.append((graph.tensors[operator.outputs[0]].name.decode(), kind))
    return found


def _named(name: bytes, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
