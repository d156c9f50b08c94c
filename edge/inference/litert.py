"""TFLite graphs through LiteRT, or through its predecessor tflite-runtime where only that is installed.

Tensors are named as the file's one signature names them. A quantised input or output is seen from outside as float32:

    q = clip(round(x / scale) + zero)          x = (q − zero) · scale
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import EngineError
from edge.inference.engine import Array, Shapes, TensorInfo, one_line, read_model, settle


@dataclass(slots=True)
class _Port:
    """One input or output: where it is, how it is quantised, and the buffers of the border."""

    index: int
    info: TensorInfo
    raw: Array  # as the graph holds it
    scale: float  # 0 where it is not quantised
    zero: int
    work: Array  # float32 as seen from outside, where quantised; else `raw` itself

    def quantise(self, value: Array) -> Array:
        """The value as the graph holds it, clipped to what its type can hold."""
        if not self.scale:
            if value.dtype == self.raw.dtype:
                return value
            np.copyto(self.raw, value)
            return self.raw
        limits = np.iinfo(self.raw.dtype)
        np.divide(value, np.float32(self.scale), out=self.work)
        np.rint(self.work, out=self.work)
        np.add(self.work, np.float32(self.zero), out=self.work)
        np.clip(self.work, limits.min, limits.max, out=self.work)
        np.copyto(self.raw, self.work, casting="unsafe")
        return self.raw

    def dequantise(self, value: Array) -> None:
        """Fill `work` from what the graph gave."""
        self.work[...] = value
        if self.scale:
            np.subtract(self.work, np.float32(self.zero), out=self.work)
            np.multiply(self.work, np.float32(self.scale), out=self.work)


class LiteRtEngine:
    """A graph in LiteRT, one thread.

    Parameters
    ----------
    path
        The ``.tflite`` file, with one signature or none.
    shapes
        Shapes for inputs whose axes the graph leaves open; 1 where nothing is said.

    Raises
    ------
    EngineError
        No runtime is installed, tflite-runtime meets numpy 2, or the file is damaged or needs custom operators.
    """

    name = "tflite"

    def __init__(self, path: Path, shapes: Shapes | None = None, threads: int = 1) -> None:
        self._path = Path(path)
        data = read_model(self._path)
        interpreter = import_interpreter()
        try:
            self._interpreter = interpreter(model_content=data, num_threads=threads)
            inputs, outputs = _ports(self._interpreter, self._path)
            self._resize(inputs, shapes or {})
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, TypeError) as error:
            raise EngineError(f"{self._path}: LiteRT refuses the file: {one_line(error)}") from None
        self._inputs = self._buffers(inputs, self._interpreter.get_input_details())
        self._outputs = self._buffers(outputs, self._interpreter.get_output_details())
        self.inputs = {name: port.info for name, port in self._inputs.items()}
        self.outputs = {name: port.info for name, port in self._outputs.items()}
        self._results = {name: port.work for name, port in self._outputs.items()}

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the graph once; the arrays are valid until the next run."""
        try:
            for name, port in self._inputs.items():
                self._interpreter.set_tensor(port.index, port.quantise(feeds[name]))
            self._interpreter.invoke()
            for port in self._outputs.values():
                port.dequantise(self._interpreter.get_tensor(port.index))  # a copy; asking for a view costs more
        except KeyError as error:
            raise EngineError(f"{self._path}: expected a value for input {error}, got none") from None
        except (ValueError, RuntimeError, TypeError) as error:
            raise EngineError(f"{self._path}: LiteRT could not run the graph: {one_line(error)}") from None
        return self._results

    def _resize(self, names: dict[str, int], hints: Shapes) -> None:
        details = {d["index"]: d for d in self._interpreter.get_input_details()}
        for name, index in names.items():
            signature = details[index].get("shape_signature", details[index]["shape"])
            shape = settle(tuple(map(int, signature)), hints.get(name))
            if shape != tuple(map(int, details[index]["shape"])):
                self._interpreter.resize_tensor_input(index, list(shape))

    def _buffers(self, names: dict[str, int], details: list[dict[str, Any]]) -> dict[str, _Port]:
        by_index = {d["index"]: d for d in details}
        return {name: _port(name, by_index[index], self._path) for name, index in names.items()}


def import_interpreter() -> Any:
    """The class ``Interpreter`` of LiteRT, else of tflite-runtime.

    Raises
    ------
    EngineError
        Neither can be used, and what to install.
    """
    try:
        if find_spec("ai_edge_litert") is not None:
            from ai_edge_litert.interpreter import Interpreter

            return Interpreter
        if find_spec("tflite_runtime") is not None:
            if int(np.__version__.split(".")[0]) >= 2:  # it would import and then fail at the first model
                raise EngineError(
                    f"tflite-runtime needs numpy 1, got numpy {np.__version__}: "
                    "pip install ai-edge-litert, or pip install 'numpy<2' where there is no LiteRT"
                )
            from tflite_runtime.interpreter import Interpreter

            return Interpreter
    except ImportError as error:
        raise EngineError(f"LiteRT cannot be imported ({one_line(error)}): pip install ai-edge-litert") from None
    raise EngineError("no runtime for TFLite models is installed: pip install ai-edge-litert")


def _ports(interpreter: Any, path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Names to tensor indices: the signature's names, or the tensors' own where there is no signature."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    signatures = list(interpreter.get_signature_list())
    if not signatures:
        return {d["name"]: d["index"] for d in inputs}, {d["name"]: d["index"] for d in outputs}
    if len(signatures) > 1:
        raise EngineError(f"{path}: expected one signature, got {len(signatures)}: {', '.join(signatures)}")
    interpreter.allocate_tensors()  # a signature runner asks for it
    runner = interpreter.get_signature_runner(signatures[0])
    found = []
    for details, named in ((inputs, runner.get_input_details()), (outputs, runner.get_output_details())):
        indices = {d["index"] for d in details}
        stale = [name for name, d in named.items() if d["index"] not in indices]
        if stale:
            raise EngineError(
                f"{path}: the signature's `{stale[0]}` is neither input nor output of the graph; export the model again"
            )
        found.append({name: d["index"] for name, d in named.items()})
    return found[0], found[1]


def _port(name: str, detail: dict[str, Any], path: Path) -> _Port:
    shape, dtype = tuple(map(int, detail["shape"])), np.dtype(detail["dtype"])
    if dtype.kind not in "fiub":
        raise EngineError(f"{path}: expected tensor `{name}` to hold numbers, got {dtype}")
    parameters = detail["quantization_parameters"]
    if len(parameters["scales"]) > 1:
        raise EngineError(f"{path}: expected one scale for tensor `{name}`, got {len(parameters['scales'])}")
    scaled = len(parameters["scales"]) == 1 and dtype.kind in "iu"
    raw = np.zeros(shape, dtype)
    work = np.zeros(shape, np.float32) if scaled else raw
    scale = float(parameters["scales"][0]) if scaled else 0.0
    zero = int(parameters["zero_points"][0]) if scaled else 0
    return _Port(detail["index"], TensorInfo(shape, work.dtype), raw, scale, zero, work)
