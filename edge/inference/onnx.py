"""ONNX graphs through ONNX Runtime: one thread that never spins, buffers bound once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import EngineError
from edge.inference.engine import Array, Shapes, TensorInfo, one_line, read_model, settle
from edge.inference.protobuf import refuse_foreign

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxEngine:
    """A graph in ONNX Runtime.

    Parameters
    ----------
    path
        The ``.onnx`` file; weights inside, standard operators.
    shapes
        Shapes for inputs whose axes the graph leaves open; 1 where nothing is said.
    providers
        Execution providers in order of preference.
    threads
        Within an operator.

    Raises
    ------
    EngineError
        ONNX Runtime is missing, or the file is damaged, keeps weights elsewhere or uses custom operators.
    """

    name = "onnx"

    def __init__(
        self,
        path: Path,
        shapes: Shapes | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int = 1,
    ) -> None:
        self._path = Path(path)
        data = read_model(self._path)
        refuse_foreign(data, str(self._path))
        self._session = self._open(data, list(providers), threads)
        hints = shapes or {}
        infos = [(node.name, _info(node, self._path)) for node in self._session.get_inputs()]
        self.inputs = {n: TensorInfo(settle(i.shape, hints.get(n)), i.dtype) for n, i in infos}
        self.outputs = {node.name: _info(node, self._path) for node in self._session.get_outputs()}
        self._feeds = {name: np.zeros(info.shape, info.dtype) for name, info in self.inputs.items()}
        self._results: dict[str, Array] = {}
        self._binding = self._session.io_binding()
        for name, buffer in self._feeds.items():
            self._binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        if all(size >= 0 for info in self.outputs.values() for size in info.shape):
            self._bind_outputs()

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the graph once; the arrays are valid until the next run."""
        try:
            for name, buffer in self._feeds.items():
                np.copyto(buffer, feeds[name])
            if not self._results:
                self._learn_outputs()
            self._session.run_with_iobinding(self._binding)
        except KeyError as error:
            raise EngineError(f"{self._path}: expected a value for input {error}, got none") from None
        except Exception as error:  # ONNX Runtime's own exceptions share no base but this one
            raise EngineError(f"{self._path}: ONNX Runtime could not run the graph: {one_line(error)}") from None
        return self._results

    def _open(self, data: bytes, providers: list[str], threads: int) -> Any:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise EngineError(f"ONNX Runtime cannot be imported ({one_line(error)}): pip install onnxruntime") from None
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors only: standard error is the daemon's log
        for pool in ("intra", "inter"):  # a spinning pool burns a core between two hops
            options.add_session_config_entry(f"session.{pool}_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(data, options, providers=providers)
        except Exception as error:  # as above
            raise EngineError(f"{self._path}: ONNX Runtime refuses the file: {one_line(error)}") from None

    def _learn_outputs(self) -> None:
        """Shapes that the graph does not tell come from one run; the inputs' are fixed, so they stay."""
        names = list(self.outputs)
        for name, value in zip(names, self._session.run(names, self._feeds), strict=True):
            self.outputs[name] = TensorInfo(value.shape, value.dtype)
        self._bind_outputs()

    def _bind_outputs(self) -> None:
        for name, info in self.outputs.items():
            result = self._results[name] = np.zeros(info.shape, info.dtype)
            self._binding.bind_output(name, "cpu", 0, result.dtype.type, result.shape, result.ctypes.data)


def _info(node: Any, path: Path) -> TensorInfo:
    if node.type not in DTYPES:
        raise EngineError(f"{path}: expected tensor `{node.name}` to hold numbers, got {node.type}")
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in node.shape)
    return TensorInfo(shape, np.dtype(DTYPES[node.type]))
