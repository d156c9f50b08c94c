"""Tables of data sets: rows that know where they stand, and cells that say what is wrong with them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.dataset import Dataset, label_indices

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".w64", ".rf64", ".caf", ".au"})


@dataclass(frozen=True)
class Row:
    """One row: its cells by column, and its place (``labels.csv:7``)."""

    where: str
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def number(self, column: str) -> float:
        """Return a cell as a number.

        Raises
        ------
        ValueError
            The cell is none: its place is named.
        """
        try:
            return float(self.cells[column])
        except ValueError:
            raise ValueError(f"{self.where}: expected a number in {column}, got {self.cells[column]!r}") from None

    def integer(self, column: str) -> int:
        """Return a cell as an integer; ValueError names its place."""
        try:
            return int(self.cells[column])
        except ValueError:
            raise ValueError(f"{self.where}: expected an integer in {column}, got {self.cells[column]!r}") from None


def read(path: Path, columns: Collection[str], delimiter: str = "") -> list[Row]:
    """Return the rows of a table with a header line.

    Parameters
    ----------
    path
        The file, UTF-8.
    columns
        What it must have; it may have more.
    delimiter
        Default: a tab if the header has one, else a comma (DCASE calls its tab-separated files ``.csv``).

    Raises
    ------
    ValueError
        No file, no text, or a column is missing.
    """
    header, lines = _lines(path)
    rows = list(csv.reader(lines, delimiter=delimiter or ("\t" if "\t" in header else ",")))
    names = [name.strip() for name in rows[0]]
    missing = [column for column in columns if column not in names]
    if missing:
        raise ValueError(
            f"{path}: expected the columns {', '.join(columns)}, got {', '.join(names)}; "
            f"add {missing[0]!r}, or name the right columns in [data]"
        )
    return [Row(f"{path}:{number}", _cells(names, row)) for number, row in enumerate(rows[1:], start=2) if any(row)]


def header(path: Path) -> list[str]:
    """Return the column names of a table."""
    first, _ = _lines(path)
    return [name.strip() for name in first.split("\t" if "\t" in first else ",")]


def split_labels(cell: str, separators: str) -> list[str]:
    """Return the labels of a cell, which any of the separators part; none of an empty one.

    >>> split_labels("Dog;Speech", ";,")
    ['Dog', 'Speech']
    """
    for separator in separators[1:]:
        cell = cell.replace(separator, separators[0])
    return [name.strip() for name in cell.split(separators[:1] or None) if name.strip()]


def sound_files(folder: Path) -> list[Path]:
    """Return the sound files of a folder, not of folders below it, by name.

    Raises
    ------
    ValueError
        No such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"expected a folder of sound files at {folder}, got nothing there; check --data and [data]")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUND_SUFFIXES)


def first_existing(folder: Path, names: Sequence[str], what: str) -> Path:
    """Return the first of some files that is there.

    Raises
    ------
    ValueError
        None is: all are named.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise ValueError(f"expected {what} at {folder / names[0]}{_or(names[1:])}, got nothing there; check --data")


def chosen_labels(wanted: Sequence[str], there: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the classes that the settings name, in their order, or all that are there.

    Raises
    ------
    ValueError
        One is not there.
    """
    label_indices(wanted, there, f"{where}: [data] labels")
    return tuple(wanted or there)


def finished(dataset: Dataset, where: Path) -> Dataset:
    """Return a set that has been found whole: items, names that differ, and no class without an item.

    Raises
    ------
    ValueError
        It is not.
    """
    if not dataset.items:
        raise ValueError(f"{where}: expected at least one recording, got none; check the table and [data]")
    twice = [name for name, count in Counter(item.name for item in dataset.items).items() if count > 1]
    if twice:
        raise ValueError(f"{where}: expected every recording once, got {twice[0]!r} again; remove the second row")
    require_every_class(dataset, str(where))
    return dataset


def require_every_class(dataset: Dataset, where: str) -> None:
    """Refuse a labelled set that has a class without any item.

    Raises
    ------
    ValueError
        The empty classes are named.
    """
    if not any(item.weak for item in dataset.items):
        return  # unlabelled recordings, or none of the classes on purpose
    empty = [name for name, items in zip(dataset.labels, dataset.by_label(), strict=True) if not items]
    if empty:
        raise ValueError(
            f"{where}: expected recordings of every class, got none of {_some(empty)}; "
            "add some, or name only the other classes in `labels`"
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _or(names: Iterable[str]) -> str:
    return "".join(f" or {name}" for name in names)


def _cells(names: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """Return the cells by column; a short row (a recording without events) has empty ones."""
    return dict(zip(names, [cell.strip() for cell in [*row, *[""] * (len(names) - len(row))]], strict=False))


def _lines(path: Path) -> tuple[str, list[str]]:
    """Return the header and all lines of a table."""
    if not path.is_file():
        raise ValueError(f"expected a table at {path}, got nothing there; check --data and [data]")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got byte {error.start} that is none; save it anew") from None
    if not lines:
        raise ValueError(f"{path}: expected a header line and rows, got an empty file")
    return lines[0], lines
