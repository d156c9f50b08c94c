"""Registries: what a recipe names by `kind`, with settings that are checked before anything is built.

[loss]
kind = "frame-clip"        the name of a part
clip_weight = 0.5          a field of the settings that the part was registered with
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from edge.errors import ConfigError

T = TypeVar("T")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the settings of a part: no fields; unknown ones are refused."""


class Part(msgspec.Struct, frozen=True):
    """One part of a recipe: its kind, and its checked settings."""

    kind: str
    settings: Settings

    def table(self) -> dict[str, Any]:
        """Return the part as it stands in a recipe."""
        return {"kind": self.kind, **msgspec.to_builtins(self.settings)}


class Registry(Generic[T]):
    """Parts of one role by their names.

    Parameters
    ----------
    role
        What the parts are, as a recipe's table names it: ``loss``, ``model`` …
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self._parts: dict[str, tuple[type[Settings], Callable[..., T]]] = {}

    def register(
        self, kind: str, settings: type[Settings] = Settings
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Register a builder, which is called with its settings and what the role adds.

        Raises
        ------
        ValueError
            The kind is taken.
        """
        if kind in self._parts:
            raise ValueError(f"{self.role}: expected a new kind, got {kind!r} a second time")

        def add(builder: Callable[..., T]) -> Callable[..., T]:
            self._parts[kind] = (settings, builder)
            return builder

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def __contains__(self, kind: object) -> bool:
        return kind in self._parts

    def parse(self, table: dict[str, Any], where: str = "") -> Part:
        """Check one table of a recipe.

        Raises
        ------
        ConfigError
            No kind, an unknown one, or settings that do not fit: with the path of the field.
        """
        where = where or self.role
        kind = table.get("kind")
        if kind not in self._parts:
            raise ConfigError(f"recipe: `{where}.kind` must be one of {', '.join(self)}, got {kind!r}")
        settings, _ = self._parts[kind]
        try:
            values = msgspec.convert({k: v for k, v in table.items() if k != "kind"}, settings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"recipe: `{where}` ({kind}): {error}") from None
        return Part(kind, values)

    def build(self, part: Part, *context: Any, **more: Any) -> T:
        """Build a part; `context` is what its role gives every builder beside the settings."""
        _, builder = self._parts[part.kind]
        return builder(part.settings, *context, **more)


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that what they register is known: a part is a file and nothing else."""
    for module in pkgutil.iter_modules(path, f"{package}."):
        importlib.import_module(module.name)
