"""Which inference runtimes are installed, and the engine for a file; imports none before it is needed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edge.inference.engine import Engine, EngineName, Shapes
from edge.inference.hardware import CPU_ONLY, Hardware, onnx_providers

INSTALL = {"onnx": "pip install onnxruntime", "tflite": "pip install ai-edge-litert"}


def available(name: EngineName) -> bool:
    """Whether a runtime for such files is installed; imports none."""
    if name == "onnx":
        return find_spec("onnxruntime") is not None
    return find_spec("ai_edge_litert") is not None or find_spec("tflite_runtime") is not None


def open_engine(name: EngineName, path: Path, shapes: Shapes | None = None, hardware: Hardware = CPU_ONLY) -> Engine:
    """Load a model file with the runtime for it; `shapes` settles the axes that the graph leaves open.

    Raises
    ------
    EngineError
        The runtime is missing, or refuses the file.
    """
    if name == "onnx":
        from edge.inference.onnx import OnnxEngine

        return OnnxEngine(path, shapes, onnx_providers(hardware.providers), hardware.threads)
    from edge.inference.litert import LiteRtEngine

    return LiteRtEngine(path, shapes, hardware.threads)
