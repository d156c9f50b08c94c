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


def begin(folder: Path, recipe: Recipe, splits: dict[str, Any]) -> Path:
    """Write what is known before the first step; returns where the checkpoint belongs.

    Raises
    ------
    ConfigError
        The folder holds the checkpoint of another recipe or split, which must not be gone on with.
    """
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists() and (load(folder / "recipe.toml"), _json(folder / "splits.json")) != (recipe, splits):
        raise ConfigError(
            f"run {folder}: expected a checkpoint of this recipe and fold, got another one's; "
            "remove the folder or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(tomli_w.dumps(msgspec.to_builtins(recipe)), encoding="utf-8")
    (folder / "splits.json").write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")
    return checkpoint


def finish(folder: Path, weights: dict[str, Tensor], metrics: dict[str, Any]) -> None:
    """Write the result and remove the checkpoint."""
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "weights.safetensors")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def read(folder: Path) -> Run:
    """Load a run; the model is in evaluation mode.

    Raises
    ------
    ConfigError
        The folder is not a finished run.
    """
    missing = [
        n for n in ("recipe.toml", "weights.safetensors", "metrics.json", "splits.json") if not (folder / n).exists()
    ]
    if missing:
        raise ConfigError(f"run {folder}: expected {', '.join(missing)}, got nothing there; is the training finished?")
    recipe = load(folder / "recipe.toml")
    model = network(recipe)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return Run(recipe, model.eval(), _json(folder / "metrics.json"), _json(folder / "splits.json"))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
