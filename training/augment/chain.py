"""A recipe's list of augmentations, checked and then built into three steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from edge.errors import ConfigError
from training.augment.registry import FEATURE, MIXING, WAVEFORM, Feature, Float32, Mixing, Rng, Waveform
from training.registry import Part, Registry

REGISTRIES: tuple[Registry[Any], ...] = (WAVEFORM, FEATURE, MIXING)


def parse(tables: Sequence[dict[str, Any]]) -> tuple[Part, ...]:
    """Check a recipe's ``[[augment]]`` tables.

    Raises
    ------
    ConfigError
        An unknown kind, or settings that do not fit: with the place in the list.
    """
    parts = []
    for number, table in enumerate(tables):
        kind, where = table.get("kind"), f"augment[{number}]"
        registry = next((registry for registry in REGISTRIES if kind in registry), None)
        if registry is None:
            known = ", ".join(sorted(name for registry in REGISTRIES for name in registry))
            raise ConfigError(f"recipe: `{where}.kind` must be one of {known}, got {kind!r}")
        parts.append(registry.parse(table, where))
    return tuple(parts)


class Chain:
    """Augmentations in their order, by what they change.

    Parameters
    ----------
    parts
        From `parse`.
    backgrounds
        Recordings (`training.data.dataset.Item`) that ``background`` mixes in.
    rate
        Sample rate of the waveforms, Hz, which ``between-class`` needs.

    Raises
    ------
    ConfigError
        A kind needs what is not given.
    """

    def __init__(
        self, parts: Sequence[Part], backgrounds: Sequence[Any] | None = None, rate: int | None = None
    ) -> None:
        def built(registry: Registry[Any]) -> list[Any]:
            chosen = [part for part in parts if part.kind in registry]
            return [registry.build(part, backgrounds=backgrounds or None, rate=rate) for part in chosen]

        self._waveform: list[Waveform] = built(WAVEFORM)
        self._feature: list[Feature] = built(FEATURE)
        self._mixing: list[Mixing] = built(MIXING)

    def waveform(self, samples: Float32, rate: int, rng: Rng) -> Float32:
        """Change samples ``[N]``; the length may change."""
        return reduce(lambda x, change: change(x, rate, rng), self._waveform, samples)

    def feature(self, frames: Float32, rng: Rng) -> Float32:
        """Change frames ``[T, F]``."""
        return reduce(lambda x, change: change(x, rng), self._feature, frames)

    def mix(self, inputs: Float32, targets: Float32, rng: Rng) -> tuple[Float32, Float32]:
        """Mix a batch ``[B, …]`` and its targets ``[B, C]`` or ``[B, T, C]``."""
        for change in self._mixing:
            inputs, targets = change(inputs, targets, rng)
        return inputs, targets
