"""ONNX graphs through ONNX Runtime: one thread that never spins, buffers bound once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import EngineError
from edge.inference.engine import (
    Array,
    Carried,
    Shapes,
    TensorInfo,
    check_carried,
    missing,
    one_line,
    read_model,
    settle,
)
from edge.inference.protobuf import refuse_foreign

log = logging.getLogger(__name__)

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
        self.carry({})

    def carry(self, carried: Carried) -> None:
        """Carry inputs from run to run; see `Engine`."""
        check_carried(self._path, carried, self.inputs, self.outputs)
        self._fed = self.inputs.keys() - carried.keys()
        self._sources = dict(carried)
        for name in carried:
            self._feeds[name].fill(0)
        self._after = {name: np.zeros_like(self._feeds[name]) for name in carried}
        self._results: dict[str, Array] = {}
        self._bindings: list[Any] = []

    @property
    def carried(self) -> Mapping[str, Array]:
        """What the carried inputs hold; see `Engine`."""
        return {name: self._feeds[name] for name in self._sources}

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the graph once; the arrays are valid until the next run."""
        if not self._fed <= feeds.keys():
            raise missing(self._path, self._fed, feeds)
        try:
            for name, value in feeds.items():
                np.copyto(self._feeds[name], value)
            if not self._bindings:
                self._bind()
            self._session.run_with_iobinding(self._bindings[0])
        except Exception as error:  # ONNX Runtime's own exceptions share no base but this one
            raise EngineError(f"{self._path}: ONNX Runtime could not run the graph: {one_line(error)}") from None
        if self._sources:  # what was written is read next, and the other way round: nothing is copied
            self._bindings.reverse()
            for name, value in self._after.items():
                self._feeds[name], self._after[name] = value, self._feeds[name]
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
            session = ort.InferenceSession(data, options, providers=providers)
        except Exception as error:  # as above
            raise EngineError(f"{self._path}: ONNX Runtime refuses the file: {one_line(error)}") from None
        if idle := set(providers) - set(session.get_providers()):
            log.warning("%s: %s cannot be used here, see docs/device.md", self._path, ", ".join(sorted(idle)))
        return session

    def _bind(self) -> None:
        """Bind all buffers once; carried inputs and the outputs that feed them change places from run to run."""
        if any(size < 0 for info in self.outputs.values() for size in info.shape):
            self._learn_outputs()
        shown = self.outputs.keys() - set(self._sources.values())
        self._results = {name: np.zeros(self.outputs[name].shape, self.outputs[name].dtype) for name in shown}
        after = {source: self._after[name] for name, source in self._sources.items()}
        before = {source: self._feeds[name] for name, source in self._sources.items()}
        self._bindings = [self._binding(self._feeds, self._results | after)]
        if self._sources:
            self._bindings.append(self._binding(self._feeds | self._after, self._results | before))

    def _binding(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Any:
        binding = self._session.io_binding()
        for bind, buffers in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, buffer in buffers.items():
                bind(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        return binding

    def _learn_outputs(self) -> None:
        """Shapes that the graph does not tell come from one run; the inputs' are fixed, so they stay."""
        names = list(self.outputs)
        for name, value in zip(names, self._session.run(names, self._feeds), strict=True):
            self.outputs[name] = TensorInfo(value.shape, value.dtype)


def _info(node: Any, path: Path) -> TensorInfo:
    if node.type not in DTYPES:
        raise EngineError(f"{path}: expected tensor `{node.name}` to hold numbers, got {node.type}")
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in node.shape)
    return TensorInfo(shape, np.dtype(DTYPES[node.type]))
