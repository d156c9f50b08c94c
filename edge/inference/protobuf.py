"""Look into an ONNX file before a runtime does: no external data, no foreign operators.

An ONNX file is a protobuf message. Walking its wire format takes a few lines, so the device needs no `onnx` package:

    message = (key, value)*     key = field << 3 | kind     kind 0: varint, 1: 8 bytes, 2: length + bytes, 5: 4 bytes
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.errors import EngineError

TRUSTED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
MAX_DEPTH = 64

# Message → field number → what stands there: a message to descend into, or a leaf that matters.
FIELDS = {
    "Model": {7: "Graph", 25: "Function"},
    "Function": {7: "Node", 10: "own-domain"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute", 7: "domain"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "external", 14: "location"},
}


def refuse_foreign(data: bytes, where: str) -> None:
    """Raise unless the model stands alone.

    Raises
    ------
    EngineError
        Weights in another file, operators of an unknown domain, or no protobuf at all.
    """
    used: set[str] = set()
    own: set[str] = set()
    try:
        for leaf, value in _leaves(memoryview(data), "Model", 0):
            if leaf == "external" or (leaf == "location" and value == 1):
                raise EngineError(
                    f"{where}: expected all weights inside the file, got ONNX external data; "
                    "save the model with its weights inside"
                )
            if isinstance(value, memoryview):
                (own if leaf == "own-domain" else used).add(str(value, "utf-8"))
    except (IndexError, UnicodeDecodeError, RecursionError):
        raise EngineError(f"{where}: expected an ONNX model, got a file that is none or is damaged") from None
    foreign = sorted(used - own - TRUSTED_DOMAINS)
    if foreign:
        raise EngineError(f"{where}: expected standard ONNX operators, got custom ones of domain `{foreign[0]}`")


def _leaves(message: memoryview, kind: str, depth: int) -> Iterator[tuple[str, memoryview | int]]:
    if depth > MAX_DEPTH:
        raise RecursionError
    known = FIELDS[kind]
    for field, value in _fields(message):
        what = known.get(field)
        if what in FIELDS and isinstance(value, memoryview):
            yield from _leaves(value, what, depth + 1)
        elif what is not None:
            yield what, value


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire not in (1, 2, 5):
            raise IndexError
        size, at = _varint(message, at) if wire == 2 else (8 if wire == 1 else 4, at)
        if at + size > len(message):
            raise IndexError
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise IndexError
