"""What a card must fulfil beyond its types: it agrees with itself, with its files and with the graphs in them.

A card from a stranger is data. Each refusal says where (card and field), what was expected and what came.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge.blocks import Float32
from edge.errors import CardError, SpecError
from edge.inference import layer
from edge.inference.card import Card, Decode, Label, LastLayer, ModelFile, Rule, Stateful, Window
from edge.inference.engine import MAX_MODEL_BYTES, Engine, Shapes, TensorInfo
from edge.inference.graph import initial_feeds
from edge.inference.runtimes import available, open_engine

CARD = "card.toml"
MAX_ELEMENTS = 2**26  # of one input or of all states together: 256 MB as float32
OF_A_STATE = ("on", "min_duration")  # what may differ from state to state: smoothed apart, they could not be compared
NAMED_TEXT = ("description", "attribution", "licence")  # prose, where line ends are allowed


def validate(card: Card, folder: Path) -> None:
    """Check a card, all its files, and every graph whose runtime is installed.

    Raises
    ------
    CardError
        The first thing that is wrong: where, expected, got.
    EngineError
        A runtime refuses a file.
    """
    check_card(card, f"{folder.name}/{CARD}")
    for named in card.named_files:
        check_file(named, folder)
    weights = layer.load(card, folder)
    for file in card.files:
        if available(file.engine):
            check_graph(
                card, open_engine(file.engine, folder / file.name, shapes(card)), f"{folder.name}/{file.name}", weights
            )


def check_card(card: Card, where: str) -> None:
    """Check that a card agrees with itself.

    Raises
    ------
    CardError
        The first thing that is wrong.
    """
    _check_values(card, where)
    _check_labels(card, where)
    _check_files(card, where)
    _check_input(card, where)
    if isinstance(card.stream, Stateful):
        _check_stateful(card, card.stream, where)
    else:
        _check_window(card, card.stream, where)
    _check_decode(card, where)
    if card.output.layer is not None:
        _check_layer(card, card.output.layer, where)


def check_file(file: ModelFile | LastLayer, folder: Path) -> None:
    """Check that a file of the card is there, plain, not too large, and the one that was named.

    Raises
    ------
    CardError
        The first thing that is wrong.
    """
    path, where = folder / file.name, f"{folder.name}/{CARD}"
    expect(not path.is_symlink(), where, f"files.{file.name}", "a file of the folder itself", "a link")
    expect(path.is_file(), where, f"files.{file.name}", f"a file in {folder}", "none there")
    size = path.stat().st_size
    expect(size <= MAX_MODEL_BYTES, where, f"files.{file.name}", f"at most {MAX_MODEL_BYTES} bytes", size)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    expect(digest == file.sha256, where, f"files.{file.name}.sha256", f"the file's {digest}", file.sha256)


def check_graph(card: Card, engine: Engine, where: str, weights: Float32 | None = None) -> None:
    """Check that a loaded graph has the card's tensors, by looking at it and by one step on zeros.

    `weights` is the folder's last layer, whose columns must be as many as the embedding has numbers, and one.

    Raises
    ------
    CardError
        A tensor is absent, too many, or of another shape or type.
    EngineError
        The runtime cannot run the graph.
    """
    wanted = shapes(card)
    _tensor(engine.inputs, card.input.tensor, where, "input.tensor", wanted[card.input.tensor], "float32")
    named = {card.input.tensor}
    for i, constant in enumerate(card.input.constants):
        info = _tensor(engine.inputs, constant.tensor, where, f"input.constants[{i}]", None, constant.dtype)
        size = len(constant.value) if isinstance(constant.value, list) else 1
        field = f"input.constants[{i}].value"
        expect(math.prod(info.shape) == size, where, field, f"{math.prod(info.shape)} numbers", size)
        named.add(constant.tensor)
    if isinstance(card.stream, Stateful):
        named |= _graph_states(card.stream, engine, where)
    spare = sorted(set(engine.inputs) - named)
    expect(not spare, where, "input", "a value for every input of the graph", f"none for `{''.join(spare[:1])}`")
    for field in ("scores", "clip", "embedding"):
        if name := getattr(card.output, field):
            _tensor(engine.outputs, name, where, f"output.{field}", None, "float32")
    engine.run(initial_feeds(card, engine))  # some shapes are known only now
    _graph_outputs(card, engine, where)
    if weights is not None:
        size = engine.outputs[card.output.embedding].shape[-1]
        expect(weights.shape[1] == size + 1, where, "output.layer", f"{size + 1} columns", weights.shape[1])


def shapes(card: Card) -> Shapes:
    """Shapes that the card gives to the graph's inputs."""
    stream, source = card.stream, card.input
    frames = source.context + stream.chunk if isinstance(stream, Stateful) else stream.length
    sizes = {"B": 1, "C": 1, "T": frames, "F": card.frontend.count if card.frontend else 1}
    known = {source.tensor: tuple(sizes[axis] for axis in source.layout)}
    for constant in source.constants:
        if isinstance(constant.value, list):
            known[constant.tensor] = (len(constant.value),)
    if isinstance(stream, Stateful):
        known |= {state.input: tuple(state.shape) for state in stream.states}
    return known


def label_names(card: Card) -> list[str]:
    """Names of the classes in the order of the scores."""
    return [label.name if isinstance(label, Label) else label for label in card.labels]


def expect(ok: bool, where: str, field: str, expected: object, got: object) -> None:
    """Raise a `CardError` that says where, what was expected and what came, unless `ok`."""
    if not ok:
        raise CardError(f"{where}: `{field}` must be {expected}, got {got}")


def _check_values(card: Card, where: str) -> None:
    """No number that is none, no text that a terminal would obey."""
    for field, value in _leaves(msgspec.to_builtins(card), ""):
        if isinstance(value, float):
            expect(math.isfinite(value), where, field, "a finite number", value)
        elif isinstance(value, str):
            text = value.replace("\n", " ") if field in NAMED_TEXT else value
            expect(text.isprintable(), where, field, "text without control characters", ascii(value))


def _leaves(value: Any, field: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{field or 'the card'}: a key", key
            yield from _leaves(inner, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{field}[{i}]")
    else:
        yield field, value


def _check_labels(card: Card, where: str) -> None:
    seen: set[str] = set()
    for i, name in enumerate(label_names(card)):
        ok = 1 <= len(name) <= 100 and name == name.strip() and name[0] not in "=+-@"
        expect(ok, where, f"labels[{i}]", "1 to 100 characters, no space around, no leading = + - @", repr(name[:100]))
        expect(name not in seen, where, f"labels[{i}]", "different from the labels before", repr(name))
        seen.add(name)


def _check_files(card: Card, where: str) -> None:
    names: set[str] = set()
    kinds: set[str] = set()
    for i, file in enumerate(card.files):
        kind = f"{file.engine} {file.precision}"
        expect(file.name not in names | {CARD}, where, f"files[{i}].name", "a name used once", file.name)
        expect(kind not in kinds, where, f"files[{i}]", "the only file of its engine and precision", kind)
        names.add(file.name)
        kinds.add(kind)


def _check_layer(card: Card, last: LastLayer, where: str) -> None:
    taken = {CARD, *(file.name for file in card.files)}
    expect(last.name not in taken, where, "output.layer.name", "a name used once", last.name)
    expect(bool(card.output.embedding), where, "output.layer", "absent without `output.embedding`", "a table")
    expect(not card.output.clip, where, "output.layer", "absent beside `output.clip`", "both")
    for label in last.labels:
        expect(label in label_names(card), where, "output.layer.labels", "labels of the card", repr(label))


def _check_input(card: Card, where: str) -> None:
    source, spec = card.input, card.frontend
    if source.kind == "waveform":
        expect(spec is None, where, "frontend", "absent for a waveform model", "a table")
    if source.kind == "features":
        expect(spec is not None, where, "frontend", "a table for a model fed features", "none")
    if spec is not None:
        try:
            spec.check()
        except SpecError as error:
            raise CardError(f"{where}: {error}") from None
        expect(card.frontend_hash == spec.hash, where, "frontend_hash", spec.hash, repr(card.frontend_hash))
        expect(source.rate == spec.rate, where, "input.rate", f"frontend.rate = {spec.rate}", source.rate)
    layout = source.layout
    ok = len(set(layout)) == len(layout) and ("T" in layout or "F" in layout)
    expect(ok, where, "input.layout", "each of B, T, F, C at most once, with T or F", layout)
    tensors = [source.tensor, *(c.tensor for c in source.constants)]
    if isinstance(card.stream, Stateful):
        tensors += [s.input for s in card.stream.states]
        tensors += [name for name in (card.stream.position, card.stream.end) if name]
    twice = sorted({name for name in tensors if tensors.count(name) > 1})
    expect(not twice, where, "input", "every input tensor named once", f"`{''.join(twice[:1])}` twice")
    size = math.prod(shapes(card)[source.tensor])
    expect(size <= MAX_ELEMENTS, where, "input", f"at most {MAX_ELEMENTS} numbers a step", size)
    for axis, count in (("T", size_of(card, "T")), ("F", size_of(card, "F"))):
        expect(axis in layout or count == 1, where, "input.layout", f"with {axis} for {count} of them", layout)


def size_of(card: Card, axis: str) -> int:
    """Length of axis ``T`` (with the context) or ``F`` of the input."""
    if axis == "F":
        return card.frontend.count if card.frontend else 1
    return card.input.context + card.stream.chunk if isinstance(card.stream, Stateful) else card.stream.length


def _check_stateful(card: Card, stream: Stateful, where: str) -> None:
    field = "stream.chunk"
    expect(stream.chunk % stream.rate == 0, where, field, f"a multiple of stream.rate = {stream.rate}", stream.chunk)
    grain = stream.grain or stream.rate
    expect(grain % stream.rate == 0, where, "stream.grain", f"a multiple of stream.rate = {stream.rate}", grain)
    expect(stream.chunk % grain == 0, where, field, f"a multiple of stream.grain = {grain}", stream.chunk)
    if card.output.kind == "clip":
        ok = stream.rate == stream.chunk
        expect(ok, where, "stream.rate", f"stream.chunk = {stream.chunk} for one score a chunk", stream.rate)
    total = sum(math.prod(state.shape) for state in stream.states)
    expect(total <= MAX_ELEMENTS, where, "stream.states", f"at most {MAX_ELEMENTS} numbers in all", total)


def _check_window(card: Card, stream: Window, where: str) -> None:
    expect(card.input.context == 0, where, "input.context", "0 for a window", card.input.context)
    if card.output.kind == "frame":
        field = "at most stream.length for frame scores"
        expect(stream.hop <= stream.length, where, "stream.hop", field, stream.hop)


def _check_decode(card: Card, where: str) -> None:
    rules, names = card.decode, label_names(card)
    for label in (*rules.ignore, *rules.labels):
        expect(label in names, where, "decode", "about labels of the card", repr(label))
    expect(rules.off <= rules.on, where, "decode.off", f"at most decode.on = {rules.on}", rules.off)
    gated = rules.clip_on > 0 or any(rule.clip_on for rule in rules.labels.values())
    expect(
        not gated or bool(card.output.clip), where, "decode.clip_on", "0 for a model without `output.clip`", "a gate"
    )
    for label in ("", *rules.labels):
        _check_clip_events(card, label, where)
    if rules.states:
        _check_states(rules, len(names) - len(set(rules.ignore)), where)
    for label, rule in rules.labels.items():
        on = rules.on if rule.on is None else rule.on
        off = rules.off if rule.off is None else rule.off
        expect(off <= on, where, f"decode.labels.{label}.off", f"at most its on = {on}", off)


def _check_clip_events(card: Card, label: str, where: str) -> None:
    rules, own = card.decode, card.decode.labels.get(label, Rule())
    if rules.clip_events if own.clip_events is None else own.clip_events:
        table = f"decode.labels.{label}" if label else "decode"
        expect(bool(card.output.clip), where, f"{table}.clip_events", "false for a model without `output.clip`", "true")
        ahead = rules.clip_ahead if own.clip_ahead is None else own.clip_ahead
        expect(ahead > 0, where, f"{table}.clip_ahead", "the seconds that clip scores pool, for clip_events", ahead)


def _check_states(rules: Decode, states: int, where: str) -> None:
    expect(states > 1, where, "decode.states", "two classes or more that are not ignored", states)
    for label, rule in rules.labels.items():
        given = [key for key, value in msgspec.structs.asdict(rule).items() if value is not None]
        other = [key for key in given if key not in OF_A_STATE]
        expect(not other, where, f"decode.labels.{label}", f"only {' and '.join(OF_A_STATE)} of a state", other)


def _tensor(
    tensors: Mapping[str, TensorInfo],
    name: str,
    where: str,
    field: str,
    shape: tuple[int, ...] | None,
    dtype: str,
) -> TensorInfo:
    expect(name in tensors, where, field, f"a tensor of the graph ({', '.join(sorted(tensors)[:8])})", f"`{name}`")
    info = tensors[name]
    wanted = TensorInfo(info.shape if shape is None else shape, np.dtype(dtype))
    same = len(wanted.shape) == len(info.shape) and all(
        a in (-1, b) for a, b in zip(info.shape, wanted.shape, strict=True)
    )
    expect(same and info.dtype == wanted.dtype, where, field, f"`{name}` {info} as in the graph", wanted)
    return info


def _graph_states(stream: Stateful, engine: Engine, where: str) -> set[str]:
    for i, state in enumerate(stream.states):
        field, shape = f"stream.states[{i}]", tuple(state.shape)
        _tensor(engine.inputs, state.input, where, f"{field}.input", shape, state.dtype)
        _tensor(engine.outputs, state.output, where, f"{field}.output", shape, state.dtype)
    clocks = [("position", stream.position), ("end", stream.end)]
    for field, name in clocks:
        if name:
            expect(name in engine.inputs, where, f"stream.{field}", "an input of the graph", f"`{name}`")
            info = engine.inputs[name]
            ok = info.dtype in (np.int32, np.int64) and math.prod(info.shape) == 1
            expect(ok, where, f"stream.{field}", "one int32 or int64", f"`{name}` {info}")
    return {state.input for state in stream.states} | {name for _, name in clocks if name}


def _graph_outputs(card: Card, engine: Engine, where: str) -> None:
    classes, stream = len(card.labels), card.stream
    info = engine.outputs[card.output.scores]
    ok = bool(info.shape) and info.shape[-1] == classes
    expect(ok, where, "labels", f"{info.shape[-1] if info.shape else 1} (classes of `{card.output.scores}`)", classes)
    rows = math.prod(info.shape) // classes
    if card.output.kind == "clip":
        expect(rows == 1, where, "output.kind", f"frame: `{card.output.scores}` is {info}", "clip")
    elif isinstance(stream, Stateful):
        field = "stream.chunk / stream.rate"
        expect(
            rows == stream.chunk // stream.rate, where, field, f"{rows}: scores are {info}", stream.chunk // stream.rate
        )
    else:
        samples = stream.length * (card.frontend.hop if card.frontend else 1)
        ok = samples % rows == 0 and stream.hop * rows % stream.length == 0
        expect(ok, where, "stream.hop", f"a whole number of the {rows} scores of a window", stream.hop)
    for field in ("clip", "embedding"):
        if name := getattr(card.output, field):
            shape = engine.outputs[name].shape
            ok = bool(shape) and math.prod(shape) in (shape[-1], rows * shape[-1])
            expect(ok, where, f"output.{field}", f"[1, N] or [1, {rows}, N]", engine.outputs[name])
    if card.output.clip:
        got = engine.outputs[card.output.clip].shape[-1]
        expect(got == classes, where, "output.clip", f"{classes} classes", got)
