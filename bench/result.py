"""What a benchmark gives: figures with their rounds, so that a later comparison knows the noise."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from bench import report
from bench.measure import Timing
from edge.clock import rfc3339
from edge.errors import ConfigError

PACKAGES = ("wheatear", "numpy", "numba", "onnxruntime", "ai-edge-litert", "pyzmq", "librosa")
SCALE = {"s": 1.0, "ms": 1e3, "µs": 1e6}


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measured figure, at a row and a column of its benchmark's table.

    Attributes
    ----------
    value
        In `unit`.
    better
        Which way is good; empty for what only describes.
    rounds
        The same figure from parts of the run, as often as it was measured: how far it wanders by itself.
    """

    row: str
    column: str
    value: float
    unit: str = ""
    better: Literal["less", "more", ""] = ""
    rounds: list[float] = []


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One benchmark's figures, what it was told, and what to know when reading them."""

    benchmark: str
    settings: dict[str, str | int | float] = {}
    figures: list[Figure] = []
    notes: list[str] = []


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results with the machine and the moment that they belong to."""

    v: Literal[1] = 1
    when: str
    machine: dict[str, Any]
    load: list[float]
    results: list[Result]


def figure(
    row: str, column: str, rounds: Sequence[float], unit: str = "", better: Literal["less", "more", ""] = ""
) -> Figure:
    """A figure whose value is the median of its rounds."""
    return Figure(
        row=row,
        column=column,
        value=float(np.median(rounds)),
        unit=unit,
        better=better,
        rounds=[float(r) for r in rounds],
    )


def timed(row: str, column: str, timing: Timing, q: float = 50, unit: str = "µs") -> Figure:
    """Percentile `q` of a timing, round by round."""
    return figure(row, column, [SCALE[unit] * float(np.percentile(r, q)) for r in timing.rounds], unit, "less")


def document(results: Iterable[Result]) -> Document:
    """Results, stamped with machine, versions, date and load average."""
    return Document(
        when=rfc3339(time.time_ns()),
        machine=report.machine(PACKAGES) | {"cores": os.cpu_count() or 1},
        load=[round(value, 2) for value in os.getloadavg()],
        results=list(results),
    )


def to_json(made: Document) -> str:
    """The document as it is saved."""
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode()


def load(path: Path) -> Document:
    """Read a saved document.

    Raises
    ------
    ConfigError
        It cannot be read, or is none.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def parse(text: bytes, where: str = "standard output") -> Document:
    """Read a document's JSON; raises as `load` does."""
    try:
        return msgspec.json.decode(text, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{where}: expected what `wheatear bench all --save` or `--json` wrote, found otherwise: {error}"
        ) from None


def to_markdown(made: Document) -> str:
    """Tables of all results, and where they come from."""
    return "\n\n".join([*(_section(result) for result in made.results), origin(made)])


def origin(made: Document) -> str:
    """Machine, versions and date, in one line."""
    about = made.machine
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['processor']} ({about['architecture']}, {about['cores']} cores), {about['system']}, "
        f"Python {about['python']}; {versions}; {made.when[:10]}; load average {made.load[0]:g}."
    )


def table(result: Result) -> str:
    """Rows and columns in the order in which they first come."""
    rows = list(dict.fromkeys(f.row for f in result.figures))
    columns = list(dict.fromkeys(f.column for f in result.figures))
    cells = {(f.row, f.column): f"{number(f.value)} {f.unit}".strip() for f in result.figures}
    return report.markdown(["", *columns], [[row, *(cells.get((row, c), "") for c in columns)] for row in rows])


def number(value: float) -> str:
    """Three digits, without exponents for what people read.

    >>> number(1234.5), number(0.01234), number(3.0)
    ('1234', '0.0123', '3')
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _section(result: Result) -> str:
    told = ", ".join(f"{name} {value}" for name, value in result.settings.items())
    title = f"**{result.benchmark}**" + (f" ({told})" if told else "")
    return "\n\n".join([title, table(result), *result.notes])
