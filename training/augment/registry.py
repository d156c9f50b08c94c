"""Registries of augmentations: what a recipe lists as ``[[augment]]`` tables.

WAVEFORM    (samples [N], rate, rng) -> samples                  one recording, before the front end
FEATURE     (frames [T, F], rng) -> frames                       one recording, behind it
MIXING      (inputs [B, …], targets [B, …], rng) -> the same     a batch, of waveforms or of features

Each is a pure function of its arguments: the same generator state gives the same result, and inputs are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta, structs

from edge.errors import ConfigError
from training.registry import Registry, Settings

Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator
Waveform = Callable[[Float32, int, Rng], Float32]
Feature = Callable[[Float32, Rng], Float32]
Mixing = Callable[[Float32, Float32, Rng], tuple[Float32, Float32]]
Range = tuple[float, float]
F = TypeVar("F", bound=Callable[..., Any])

WAVEFORM: Registry[Waveform] = Registry("augment")
FEATURE: Registry[Feature] = Registry("augment")
MIXING: Registry[Mixing] = Registry("augment")


class AugmentSettings(Settings, frozen=True):
    """Base of all: how often.

    Attributes
    ----------
    probability
        Share of the recordings (of a mixing: of the batches) that are changed.
    """

    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        for name, value in structs.asdict(self).items():
            if isinstance(value, tuple) and len(value) == 2 and value[0] > value[1]:
                raise ValueError(f"expected `{name}` as [low, high], got {list(value)}")


def augmentation(
    registry: Registry[Any], kind: str, settings: type[AugmentSettings], needs: tuple[str, ...] = ()
) -> Callable[[F], F]:
    """Register a builder ``(settings, **needed) -> augmentation`` whose result is then applied at its probability.

    Parameters
    ----------
    registry, kind, settings
        Where, under which name, and with what.
    needs
        Names of what it is built from besides: ``registry.build(part, backgrounds=…, rate=…)`` may be told more than
        a kind needs.
    """

    def add(builder: F) -> F:
        def build(chosen: AugmentSettings, **context: Any) -> Any:
            for name in needs:
                if context.get(name) is None:
                    raise ConfigError(f"recipe: `augment` ({kind}): expected {name} to be given with it, got none")
            made = builder(chosen, **{name: context[name] for name in needs})
            return _sometimes(made, chosen.probability, outputs=2 if registry is MIXING else 1)

        registry.register(kind, settings)(build)
        return builder

    return add


def _sometimes(change: Callable[..., Any], probability: float, outputs: int) -> Callable[..., Any]:
    """Apply `change` with a probability; its last argument is the generator, its first ones are what it returns."""
    if probability == 1.0:
        return change

    def apply(*arguments: Any) -> Any:
        if arguments[-1].random() < probability:
            return change(*arguments)
        return arguments[0] if outputs == 1 else arguments[:outputs]

    return apply
