"""TFLite graphs through LiteRT, or through its predecessor tflite-runtime where only that is installed.

Tensors are named as the file's one signature names them. A quantised input or output is seen from outside as float32:

    q = clip(round(x / scale) + zero)          x = (q − zero) · scale
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
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


@dataclass(slots=True)
class _Port:
    """One input or output: how it is quantised, its memory in the interpreter, and what is seen of it from outside."""

    tensor: Callable[[], Array]  # the interpreter's own array; it refuses to run while one is alive
    info: TensorInfo
    scale: float  # 0 where it is not quantised
    zero: int
    work: Array  # as seen from outside
    memory: Array | None = None  # None where the runtime allocates it anew in every run

    def look(self) -> None:
        """Find the tensor's memory."""
        try:
            given = self.tensor()
        except ValueError:  # nothing there before the first run: its size depends on what is fed
            self.memory = None
            return
        self.memory = _bytes(given.ctypes.data, given.nbytes).view(given.dtype).reshape(given.shape)

    def write(self, value: Array) -> None:
        """Hand a value over, clipped to what the graph's type can hold."""
        memory = self.tensor() if self.memory is None else self.memory
        if value.shape != memory.shape:
            raise ValueError(f"expected numbers of shape {list(memory.shape)}, got {list(value.shape)}")
        if not self.scale:
            memory[...] = value
            return
        limits = np.iinfo(memory.dtype)
        np.divide(value, np.float32(self.scale), out=self.work)
        np.rint(self.work, out=self.work)
        np.add(self.work, np.float32(self.zero), out=self.work)
        np.clip(self.work, limits.min, limits.max, out=self.work)
        np.copyto(memory, self.work, casting="unsafe")

    def read(self) -> Array:
        """Fill `work` from what the graph gave."""
        self.work[...] = self.tensor() if self.memory is None else self.memory
        if self.scale:
            np.subtract(self.work, np.float32(self.zero), out=self.work)
            np.multiply(self.work, np.float32(self.scale), out=self.work)
        return self.work


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
        if not inputs:
            raise EngineError(f"{self._path}: expected a graph with an input, got none")
        self._inputs = self._buffers(inputs, self._interpreter.get_input_details())
        self._outputs = self._buffers(outputs, self._interpreter.get_output_details())
        self.inputs = {name: port.info for name, port in self._inputs.items()}
        self.outputs = {name: port.info for name, port in self._outputs.items()}
        self._held: dict[str, Array] = {}
        self._converted: list[tuple[_Port, _Port]] = []
        self.carry({})

    def carry(self, carried: Carried) -> None:
        """Carry inputs from run to run; see `Engine`."""
        check_carried(self._path, carried, self.inputs, self.outputs)
        self._fed = self.inputs.keys() - carried.keys()
        self._pairs = {name: (self._inputs[name], self._outputs[source]) for name, source in carried.items()}
        self._shown = {name: port for name, port in self._outputs.items() if name not in carried.values()}
        self._results = {name: port.work for name, port in self._shown.items()}
        self._look()
        for name, value in self.carried.items():
            value[...] = 0
            self._inputs[name].write(value)

    @property
    def carried(self) -> Mapping[str, Array]:
        """What the carried inputs hold; see `Engine`."""
        return self._held

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the graph once; the arrays are valid until the next run."""
        if not self._fed <= feeds.keys():
            raise missing(self._path, self._fed, feeds)
        try:
            for name, value in feeds.items():
                self._inputs[name].write(value)
            for port, _ in self._converted:
                port.write(port.work)
            self._interpreter.invoke()
            if not np.may_share_memory(self._probe, self._anywhere()):
                self._look()  # a graph that allocates while it runs has moved its tensors
            for port in self._shown.values():
                port.read()
            for port, source in self._converted:
                port.work[...] = source.read()
            for target, given in self._moves:
                target[...] = given
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise EngineError(f"{self._path}: LiteRT could not run the graph: {one_line(error)}") from None
        return self._results

    def _look(self) -> None:
        """Find the tensors' memory, and plan what is copied where between two runs."""
        for port in (*self._inputs.values(), *self._outputs.values()):
            port.look()
        self._held, self._converted = {}, []
        plain: list[tuple[Array, Array]] = []
        for name, (port, source) in self._pairs.items():
            if port.memory is None or source.memory is None or port.scale:
                self._held[name] = port.work
                self._converted.append((port, source))
            else:
                self._held[name] = port.memory
                plain.append((port.memory, source.memory))
        self._moves = merged(plain)
        first = next(iter(self._inputs.values()))
        self._probe, self._anywhere = first.memory, first.tensor

    def _resize(self, names: dict[str, int], hints: Shapes) -> None:
        details = {d["index"]: d for d in self._interpreter.get_input_details()}
        for name, index in names.items():
            signature = details[index].get("shape_signature", details[index]["shape"])
            shape = settle(tuple(map(int, signature)), hints.get(name))
            if shape != tuple(map(int, details[index]["shape"])):
                self._interpreter.resize_tensor_input(index, list(shape))

    def _buffers(self, names: dict[str, int], details: list[dict[str, Any]]) -> dict[str, _Port]:
        by_index = {d["index"]: d for d in details}
        return {name: _port(self._interpreter, name, by_index[index], self._path) for name, index in names.items()}


def merged(pairs: Sequence[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Plan to copy the second of each pair into the first: one copy where both sides lie one behind another.

    An interpreter lays its inputs out in order, and its outputs too, so a network's states are often one copy in all.
    """
    runs: list[list[int]] = []
    for target, source, size in sorted((a.ctypes.data, b.ctypes.data, a.nbytes) for a, b in pairs):
        if runs and (target, source) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1][2] += size
        else:
            runs.append([target, source, size])
    moves = [(_bytes(target, size), _bytes(source, size)) for target, source, size in runs if target != source]
    if not any(np.may_share_memory(target, source) for target, _ in moves for _, source in moves):
        return moves
    kept = [np.empty_like(source) for _, source in moves]  # a graph may give one state as the next value of another
    targets, sources = ([pair[side] for pair in moves] for side in (0, 1))
    return [*zip(kept, sources, strict=True), *zip(targets, kept, strict=True)]


def _bytes(address: int, size: int) -> Array:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


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


def _port(interpreter: Any, name: str, detail: dict[str, Any], path: Path) -> _Port:
    shape, dtype = tuple(map(int, detail["shape"])), np.dtype(detail["dtype"])
    if dtype.kind not in "fiub":
        raise EngineError(f"{path}: expected tensor `{name}` to hold numbers, got {dtype}")
    parameters = detail["quantization_parameters"]
    if len(parameters["scales"]) > 1:
        raise EngineError(f"{path}: expected one scale for tensor `{name}`, got {len(parameters['scales'])}")
    scaled = len(parameters["scales"]) == 1 and dtype.kind in "iu"
    work = np.zeros(shape, np.float32 if scaled else dtype)
    scale = float(parameters["scales"][0]) if scaled else 0.0
    zero = int(parameters["zero_points"][0]) if scaled else 0
    return _Port(interpreter.tensor(detail["index"]), TensorInfo(shape, work.dtype), scale, zero, work)
