"""Model families, one file each, and the registry that recipes name them by."""

from __future__ import annotations

from typing import Any

from torch import nn

from training.models.dscnn import DSCNN

MODELS: dict[str, type[nn.Module]] = {"dscnn": DSCNN}


def build(kind: str, **settings: Any) -> nn.Module:
    """Build a model by its registry name.

    Raises
    ------
    ValueError
        The name is not registered.
    """
    if kind not in MODELS:
        raise ValueError(f"model.kind: expected one of {sorted(MODELS)}, got {kind!r}")
    return MODELS[kind](**settings)
