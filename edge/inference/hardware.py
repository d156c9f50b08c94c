"""Where a model is computed: threads, and accelerators where ONNX Runtime offers them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


@dataclass(frozen=True, slots=True)
class Hardware:
    """Threads of a runtime for one model, and where to compute, in order of preference: ``cpu, cuda, tensorrt``."""

    threads: int = 1
    providers: tuple[str, ...] = ("cpu",)


CPU_ONLY = Hardware()


def onnx_providers(wished: Sequence[str]) -> list[str]:
    """ONNX Runtime's names of the providers to use; see `usable`."""
    if set(wished) <= {"cpu"}:
        return [CPU]
    try:
        from onnxruntime import get_available_providers
    except ImportError:
        return [CPU]  # the engine that wants it says what to install
    return usable(wished, get_available_providers())


def usable(wished: Sequence[str], offered: Iterable[str]) -> list[str]:
    """ONNX Runtime's names of the wished providers that it offers, the processor last; a warning for each other one.

    >>> usable(["cuda", "cpu"], ["CUDAExecutionProvider", "CPUExecutionProvider"])
    ['CUDAExecutionProvider', 'CPUExecutionProvider']
    """
    offered, found = set(offered), []
    for name in (PROVIDERS[one] for one in wished if one != "cpu"):
        if name in offered:
            found.append(name)
        else:
            log.warning("ONNX Runtime here offers no %s: computing on the processor instead; see docs/device.md", name)
    return [*found, CPU]
