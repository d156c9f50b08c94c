"""Where models live: those that ship with the program, and those that the user added.

A name means a built-in model first: no added model can take its place.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

import edge.zoo
from edge.errors import CardError, WheatearError
from edge.inference import check
from edge.inference.card import Card

MAX_CARD_BYTES = 4 * 2**20
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be named; `error` says why it cannot be used, where that is so."""

    name: str
    folder: Path
    built_in: bool
    card: Card | None
    error: str = ""


def built_in_folder() -> Path:
    """Folder of the models that ship."""
    return Path(edge.zoo.__file__).parent


def user_folder() -> Path:
    """Folder of the user's models: ``WHEATEAR_MODELS``, or the platform's place for data."""
    if override := os.environ.get("WHEATEAR_MODELS"):
        return Path(override)
    from platformdirs import user_data_path

    return user_data_path("wheatear") / "models"


def load_card(folder: Path) -> Card:
    """Read a folder's ``card.toml``.

    Raises
    ------
    CardError
        It is missing, a link, too large, no TOML, or has unknown, missing or ill-typed fields.
    """
    path = Path(folder) / check.CARD
    where = f"{Path(folder).name}/{check.CARD}"
    check.expect(not path.is_symlink(), where, "card.toml", "a file of the folder itself", "a link")
    check.expect(path.is_file(), where, "card.toml", f"a file in {folder}", "none there")
    size = path.stat().st_size
    check.expect(size <= MAX_CARD_BYTES, where, "card.toml", f"at most {MAX_CARD_BYTES} bytes", size)
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Card)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CardError(f"{where}: expected TOML in UTF-8, got something else: {error}") from None
    except msgspec.ValidationError as error:
        raise CardError(f"{where}: {error}; `wheatear schema card` lists the fields") from None
    except OSError as error:
        raise CardError(f"{where}: cannot be read: {error.strerror}") from None


def find(name_or_folder: str | Path) -> Path:
    """Folder of a model, by its name or by the folder itself.

    Raises
    ------
    CardError
        No model is called so; the message lists those there are.
    """
    if isinstance(name_or_folder, str) and NAME.fullmatch(name_or_folder):
        for root in (built_in_folder(), user_folder()):
            if (root / name_or_folder / check.CARD).is_file():
                return root / name_or_folder
    folder = Path(name_or_folder)
    if (folder / check.CARD).is_file():
        return folder.resolve()
    if folder.is_dir():
        raise CardError(f"{folder}: expected a model folder with a {check.CARD}, got a folder without one")
    names = ", ".join(entry.name for entry in _entries()) or "none is installed"
    raise CardError(f"expected a model's name ({names}) or a folder with a {check.CARD}, got {str(name_or_folder)!r}")


def add(folder: Path, replace: bool = False) -> Path:
    """Check a model folder and copy it, card and named files only, to the user's models.

    Parameters
    ----------
    folder
        The folder to copy.
    replace
        Put it in the place of an installed model of the same name.

    Returns
    -------
    Path
        The installed folder, private to the user.

    Raises
    ------
    CardError
        The folder is wrong, or its name is taken.
    EngineError
        A runtime refuses one of its files.
    """
    folder = Path(folder).resolve()
    card = load_card(folder)
    target = user_folder() / card.name
    field = f"{folder.name}/{check.CARD}"
    taken = (built_in_folder() / card.name).exists()
    check.expect(not taken, field, "name", "another one than a built-in model's", card.name)
    free = replace or not target.exists()
    check.expect(free, field, "name", f"free, or --replace given (there is {target})", card.name)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=target.parent) as scratch:
            staged = Path(scratch) / card.name  # checked where it will be used from, not where it came from
            _copy(folder, card, staged)
            check.validate(load_card(staged), staged)
            if target.exists():
                target.rename(Path(scratch) / "old")
            staged.rename(target)
    except OSError as error:
        raise CardError(f"{target}: cannot be written: {error.strerror}; WHEATEAR_MODELS names another place") from None
    return target


def _copy(folder: Path, card: Card, staged: Path) -> None:
    check.check_card(card, f"{folder.name}/{check.CARD}")
    staged.mkdir(mode=0o700)
    for file in card.named_files:
        check.check_file(file, folder)
    for name in (check.CARD, *(file.name for file in card.named_files)):
        shutil.copyfile(folder / name, staged / name, follow_symlinks=False)
        (staged / name).chmod(0o600)


def _entries() -> Iterator[Entry]:
    seen: set[str] = set()
    for root, built_in in ((built_in_folder(), True), (user_folder(), False)):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            name = folder.name
            if NAME.fullmatch(name) and name not in seen and (folder / check.CARD).is_file():
                seen.add(name)
                yield _entry(folder, built_in)


def _entry(folder: Path, built_in: bool) -> Entry:
    try:
        card = load_card(folder)
        check.check_card(card, f"{folder.name}/{check.CARD}")
    except WheatearError as error:
        return Entry(folder.name, folder, built_in, None, str(error))
    return Entry(folder.name, folder, built_in, card)


def list() -> tuple[Entry, ...]:
    """All models that can be named, the built-in ones first."""
    return tuple(_entries())
