"""A run of training is a folder: ``recipe.toml``, ``weights.safetensors``, ``metrics.json``, ``splits.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from safetensors.torch import load_file, save_file
from torch import Tensor

from edge.errors import ConfigError
from training.data.esc10 import LABELS
from training.models import build
from training.models.dscnn import DSCNN
from training.recipe import Recipe, load


@dataclass(frozen=True)
class Run:
    """A finished training, loaded."""

    recipe: Recipe
    model: DSCNN
    metrics: dict[str, Any]
    splits: dict[str, Any]


def network(recipe: Recipe) -> DSCNN:
    """Build the recipe's network with fresh weights."""
    settings = msgspec.structs.asdict(recipe.model)
    return build(settings.pop("kind"), classes=len(LABELS), bands=recipe.frontend.count, **settings)


def save(folder: Path, recipe: Recipe, weights: dict[str, Tensor], metrics: object, splits: object) -> None:
    """Write the folder's four files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(tomli_w.dumps(msgspec.to_builtins(recipe)), encoding="utf-8")
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "weights.safetensors")
    for name, content in (("metrics.json", metrics), ("splits.json", splits)):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Run:
    """Load a run; the model is in evaluation mode.

    Raises
    ------
    ConfigError
        The folder is not a finished run.
    """
    missing = [n for n in ("recipe.toml", "weights.safetensors", "splits.json") if not (folder / n).exists()]
    if missing:
        raise ConfigError(f"run {folder}: expected {', '.join(missing)}, got nothing there; is the training finished?")
    recipe = load(folder / "recipe.toml")
    model = network(recipe)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    splits = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    return Run(recipe, model.eval(), metrics, splits)
