"""The contract of an inference runtime: named tensors in, named tensors out. Nothing here knows what a score is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError

EngineName = Literal["onnx", "tflite"]
Array = npt.NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]
Carried = Mapping[str, str]  # names of inputs, and of the outputs that they get their next value from

MAX_MODEL_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Shape and element type of a tensor; −1 stands for an axis that is known only after the first run."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


Infos = Mapping[str, TensorInfo]


class Engine(Protocol):
    """A loaded graph on one thread.

    It belongs to one caller at a time: whoever shares it holds a lock from `run` until the outputs are copied.

    Inputs that are *carried* get what an output gave in the run before; nobody hands them over from outside::

        run 1   features ─▶ graph ─▶ scores
                carried ──┘     └──▶ its output ─┐
        run 2   features ─▶ graph ─▶ scores      │
                carried ◀────────────────────────┘
    """

    name: str

    @property
    def inputs(self) -> Infos:
        """What `run` must be fed."""

    @property
    def outputs(self) -> Infos:
        """What `run` gives."""

    def carry(self, carried: Carried) -> None:
        """Carry inputs from run to run, from now on; they hold zeros before the first one.

        Raises
        ------
        EngineError
            There is no such input or output, or they differ in shape or type.
        """

    @property
    def carried(self) -> Mapping[str, Array]:
        """What the carried inputs hold, by name: read or written between two runs, not kept over one."""

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the graph once; the arrays are valid until the next run.

        Every input that is not carried must be fed; one that is carried may be.

        Raises
        ------
        EngineError
            The runtime refused the feeds.
        """


def settle(shape: tuple[int, ...], hint: tuple[int, ...] | None) -> tuple[int, ...]:
    """Replace the open axes (−1) of an input by the hint's, or by 1; fixed axes stay what the graph says.

    >>> settle((-1, 257, -1), (1, 64, 256))
    (1, 257, 256)
    """
    if hint is None or len(hint) != len(shape):
        hint = (1,) * len(shape)
    return tuple(h if s < 0 else s for s, h in zip(shape, hint, strict=True))


def read_model(path: Path) -> bytes:
    """Bytes of a model file.

    Raises
    ------
    EngineError
        It cannot be read, or is larger than `MAX_MODEL_BYTES`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise EngineError(f"{path}: a model file may have {MAX_MODEL_BYTES} bytes, got {size}")
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: cannot read the model file: {error.strerror}") from None


def one_line(error: Exception, limit: int = 300) -> str:
    """A runtime's message without line ends, at most `limit` characters."""
    return " ".join(str(error).split())[:limit]


def missing(path: Path, wanted: Iterable[str], feeds: Mapping[str, Array]) -> EngineError:
    """Say which input was not fed."""
    return EngineError(f"{path}: expected a value for input {min(set(wanted) - feeds.keys())!r}, got none")


def check_carried(path: Path, carried: Carried, inputs: Infos, outputs: Infos) -> None:
    """Refuse to carry what is not there, or an output into an input of another shape or type.

    Raises
    ------
    EngineError
        The first one: expected, got.
    """
    if len(set(carried.values())) < len(carried):
        raise EngineError(f"{path}: expected every carried input to have an output of its own, got one for two")
    for name, source in carried.items():
        if name not in inputs or source not in outputs:
            raise EngineError(f"{path}: expected an input `{name}` and an output `{source}` to carry, got none")
        expected, got = inputs[name], outputs[source]
        fits = len(expected.shape) == len(got.shape) and all(
            b in (-1, a) for a, b in zip(expected.shape, got.shape, strict=True)
        )
        if not fits or expected.dtype != got.dtype:
            raise EngineError(f"{path}: expected `{source}` as `{name}` is, {expected}, got {got}")
