"""Recipes: a training as data. Parts are named by `kind`; unknown keys and wrong types are refused with their path."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge.errors import ConfigError
from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from training import augment
from training.data.dataset import Dataset
from training.data.formats import FORMATS
from training.losses import LOSSES
from training.models import MODELS
from training.procedures import PROCEDURES
from training.registry import Part
from training.sampling import SAMPLERS

BUILT_IN = Path(__file__).with_name("recipes")
ROLES = {"model": MODELS, "loss": LOSSES, "sampling": SAMPLERS, "procedure": PROCEDURES}


class Source(msgspec.Struct, frozen=True):
    """A data set: its folder below ``--data``, and its on-disk format."""

    folder: str
    format: Part

    def table(self) -> dict[str, Any]:
        """Return the source as it stands in a recipe."""
        return {"folder": self.folder, **self.format.table()}

    def load(self, root: Path) -> Dataset:
        """Read the tables of the set, no sound.

        Raises
        ------
        ValueError
            What a table should have and has not.
        """
        return FORMATS.build(self.format, root / self.folder)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A training.

    Attributes
    ----------
    name
        Of the model, as its card will say.
    source
        The publication or method card that it follows.
    frontend
        Without ``post``, the features are standardised by what the training batches measure.
    standardise
        By one mean and deviation for ``all`` features, or by those of each of them.
    data, background
        Data sets below ``--data``: the labelled one, and recordings without any of its classes.
    augment
        Changes of examples, in this order, for samplers that leave them to the recipe.
    seed
        Of weights and batches.
    threads
        Of PyTorch: sums depend on it, so it belongs to what reproduces a run.
    mixed
        Whether products are computed in bfloat16; unset: on a GPU only.
    inner
        Share of the training part that is held back for choosing (early stopping, thresholds); whole groups of it.
    decode
        Decision rules that the card will ship; training does not use them.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    frontend: FrontEndSpec
    data: Source
    model: Part
    loss: Part
    sampling: Part
    procedure: Part
    background: Source | None = None
    augment: tuple[Part, ...] = ()
    version: str = "1.0.0"
    description: str = ""
    source: str = ""
    licence: str = "Apache-2.0"
    attribution: str = ""
    seed: Annotated[int, Meta(ge=0)] = 0
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    mixed: bool | None = None
    inner: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    standardise: Literal["all", "each"] = "all"
    decode: Decode = Decode()

    def table(self) -> dict[str, Any]:
        """Return the recipe as it stands in a file."""
        plain = {k: v for k, v in msgspec.structs.asdict(self).items() if v is not None}
        plain |= {"augment": [part.table() for part in self.augment]}
        return {k: v.table() if isinstance(v, Part | Source) else msgspec.to_builtins(v) for k, v in plain.items()}


def load(source: str | Path, changes: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by its path or built-in name and apply ``key.path=value`` changes (values as in TOML).

    Raises
    ------
    ConfigError
        Not found, not TOML, unknown keys, wrong types or impossible values.
    """
    path = Path(source)
    if not path.exists():
        path = BUILT_IN / f"{source}.toml"
    if not path.exists():
        near = difflib.get_close_matches(str(source), built_in(), 3)
        meant = f"; the nearest: {', '.join(near)}" if near else ""
        raise ConfigError(f"recipe: expected a file or one of `wheatear recipes`, got {str(source)!r}{meant}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError(f"recipe {path}: not TOML: {error}") from None
    for change in changes:
        _apply(data, change)
    return parse(data)


def built_in() -> list[str]:
    """Names of the recipes that ship."""
    return sorted(p.stem for p in BUILT_IN.glob("*.toml"))


def parse(data: dict[str, Any]) -> Recipe:
    """Validate a recipe's tables.

    Raises
    ------
    ConfigError
        With the path of the field.
    """
    parts: dict[str, Part | Source | tuple[Part, ...]] = {
        role: registry.parse(_table(data, role), role) for role, registry in ROLES.items()
    }
    for role in ("data", "background"):
        if role in data or role == "data":
            parts[role] = _source(_table(data, role), role)
    if "augment" in data:
        parts["augment"] = augment.parse(_list(data["augment"]))
    try:
        rest = msgspec.convert({k: v for k, v in data.items() if k not in parts}, _Rest)
    except msgspec.ValidationError as error:
        raise ConfigError(f"recipe: {error}") from None
    rest.frontend.check()
    return Recipe(**parts, **msgspec.structs.asdict(rest))


def presented(trained: Recipe, other: Recipe) -> Recipe:
    """Return `trained` with the other's name, texts and decision rules: what a card says and training does not use."""
    fields = ("name", "version", "description", "source", "licence", "attribution", "decode")
    return msgspec.structs.replace(trained, **{name: getattr(other, name) for name in fields})


_PARTS = ("data", "background", "augment", *ROLES)
_Rest = msgspec.defstruct(
    "Recipe",
    [
        (f.name, f.type, f.default) if f.default is not msgspec.NODEFAULT else (f.name, f.type)
        for f in msgspec.structs.fields(Recipe)
        if f.name not in _PARTS
    ],
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
)


def _table(data: dict[str, Any], role: str) -> dict[str, Any]:
    table = data.get(role)
    if not isinstance(table, dict):
        raise ConfigError(f"recipe: expected a table `{role}` with a `kind`, got {table!r}")
    return table


def _list(tables: object) -> list[dict[str, Any]]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"recipe: expected a list of tables `augment`, got {tables!r}")
    return tables


def _source(table: dict[str, Any], role: str) -> Source:
    folder = table.get("folder", "")
    if not isinstance(folder, str):
        raise ConfigError(f"recipe: `{role}.folder` must be text, got {folder!r}")
    return Source(folder, FORMATS.parse({k: v for k, v in table.items() if k != "folder"}, role))


def _apply(data: dict[str, Any], change: str) -> None:
    """Set one value: ``procedure.steps=100``; what is no TOML value is taken as text."""
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set: expected key.path=value, got {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, name = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set: `{table}` in {change!r} is a value, not a table")
    if text == "" and name in data and isinstance(data[name], dict):
        del data[name]  # `background=` leaves the table out
    else:
        data[name] = value
