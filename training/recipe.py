"""Recipes: a training as data. Unknown keys and wrong types are refused with their path."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge.errors import ConfigError
from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from training.data.scenes import SceneSettings
from training.models import MODELS
from training.procedures.fit import FitSettings

BUILT_IN = Path(__file__).with_name("recipes")


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Folders below ``--data``: the labelled set, and recordings without any of its classes."""

    labelled: str = "esc10"
    background: str = ""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Registry name and settings of the network."""

    kind: str = "dscnn"
    stem: int = 16
    stages: list[tuple[int, int]] = msgspec.field(default_factory=lambda: [(32, 2), (48, 2), (64, 1), (64, 2)])
    width: int = 96
    kernel: int = 5
    dilations: list[int] = msgspec.field(default_factory=lambda: [1, 2, 4, 8, 8])
    embedding: int = 96
    dropout: float = 0.2


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A training.

    Attributes
    ----------
    name
        Of the model, as its card will say.
    seed
        Of weights and scenes.
    frontend
        Without ``post``, the features are standardised by what the training scenes measure.
    threads
        Of PyTorch: sums depend on it, so it belongs to what reproduces a run.
    decode
        Decision rules that the card will ship; training does not use them.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    frontend: FrontEndSpec
    version: str = "1.0.0"
    description: str = ""
    licence: str = "Apache-2.0"
    attribution: str = ""
    seed: Annotated[int, Meta(ge=0)] = 0
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    data: Data = Data()
    model: Model = msgspec.field(default_factory=Model)
    scenes: SceneSettings = SceneSettings()
    fit: FitSettings = FitSettings()
    decode: Decode = Decode()


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
        names = ", ".join(sorted(p.stem for p in BUILT_IN.glob("*.toml")))
        raise ConfigError(f"recipe: expected a file or one of {names}, got {str(source)!r}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe {path}: not TOML: {error}") from None
    for change in changes:
        _apply(data, change)
    return parse(data)


def parse(data: dict[str, Any]) -> Recipe:
    """Validate a recipe's tables.

    Raises
    ------
    ConfigError
        With the path of the field.
    """
    try:
        recipe = msgspec.convert(data, Recipe)
    except msgspec.ValidationError as error:
        raise ConfigError(f"recipe: {error}") from None
    recipe.frontend.check()
    if recipe.model.kind not in MODELS:
        raise ConfigError(f"recipe: `model.kind` must be one of {', '.join(MODELS)}, got {recipe.model.kind!r}")
    return recipe


def presented(trained: Recipe, other: Recipe) -> Recipe:
    """Return `trained` with the other's name, texts and decision rules: what a card says and training does not use."""
    fields = ("name", "version", "description", "licence", "attribution", "decode")
    return msgspec.structs.replace(trained, **{name: getattr(other, name) for name in fields})


def _apply(data: dict[str, Any], change: str) -> None:
    """Set one value: ``fit.steps=100``; what is no TOML value is taken as text."""
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
    data[name] = value
