"""All that is wrong with a configuration at once, each with what was expected, what came and where."""

from __future__ import annotations

import difflib
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from edge.sources.redact import redact

SHOWN = 60  # characters of a wrong value
MOST = 50  # problems told


def problems(data: Any, kind: Any, path: str = "$") -> list[str]:
    """Return what keeps `data` from being a `kind`, one line each; at most 50.

    Parameters
    ----------
    data
        Plain dictionaries, lists and values, as TOML gives them.
    kind
        A `msgspec.Struct`, or any type that `msgspec` converts to.
    path
        Where `data` stands.
    """
    struct, items = _struct(kind), _item(kind)
    if struct and isinstance(data, dict):
        found = _of_table(data, struct, path)
    elif items and isinstance(data, list | tuple):
        found = [problem for i, entry in enumerate(data) for problem in problems(entry, items, f"{path}[{i}]")]
    else:
        found = []
    return (found or _of_value(data, kind, path))[:MOST]


def _of_table(data: dict[str, Any], struct: type[msgspec.Struct], path: str) -> list[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    found = []
    for key, value in data.items():
        if key in fields:
            found += problems(value, fields[key].type, f"{path}.{key}")
        else:
            found.append(f"Object contains unknown field `{shown(key)}` - at `{path}`{_near(key, list(fields))}")
    return found


def _of_value(data: Any, kind: Any, path: str) -> list[str]:
    """What `msgspec` says of the whole, with what came where it is one value."""
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        if text.startswith("Invalid enum value"):
            text = f"Expected one of {', '.join(map(repr, _literals(kind)))}"
        if " matching regex " in text and (meant := _description(kind)):
            text = f"Expected {meant}"
        got = "" if ", got " in text or isinstance(data, dict | list | tuple) else f", got {shown(repr(data))}"
        return [f"{text}{got} - at `{path}{where.removesuffix('`')}`"]
    return []


def shown(value: str) -> str:
    """A value as a message may show it: short, printable, without passwords."""
    text = redact(value).encode("unicode_escape").decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _near(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key, names, 1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _options(kind: Any) -> list[Any]:
    """The members of a union, a type by itself otherwise."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [option for part in get_args(kind) for option in _options(part)]
    return [kind]


def _literals(kind: Any) -> list[Any]:
    return [value for option in _options(kind) if get_origin(option) is Literal for value in get_args(option)]


def _description(kind: Any) -> str:
    """What a pattern asks for, in words; "" where nobody wrote them."""
    parts = get_args(kind) if get_origin(kind) is Annotated else ()
    return next((part.description for part in parts if isinstance(part, msgspec.Meta) and part.description), "")


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    """The one table that `kind` may be."""
    structs = [one for one in _options(kind) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return structs[0] if len(structs) == 1 else None


def _item(kind: Any) -> Any:
    """What a list of `kind` holds, where that is told."""
    for option in _options(kind):
        if get_origin(option) in (tuple, list) and get_args(option):
            return get_args(option)[0]
    return None
