"""The contract of an inference runtime: named tensors in, named tensors out. Nothing here knows what a score is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError

EngineName = Literal["onnx", "tflite"]
Array = npt.NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]

MAX_MODEL_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Shape and element type of a tensor; −1 stands for an axis that is known only after the first run."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


class Engine(Protocol):
    """A loaded graph on one thread.

    It belongs to one caller at a time: whoever shares it holds a lock from `run` until the outputs are copied.
    """

    name: str

    @property
    def inputs(self) -> Mapping[str, TensorInfo]:
        """What `run` must be fed."""

    @property
    def outputs(self) -> Mapping[str, TensorInfo]:
        """What `run` gives."""

    def run(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the graph once; the arrays are valid until the next run.

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
