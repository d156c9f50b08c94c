"""A run of training is a folder: ``recipe.toml``, ``weights.safetensors``, ``metrics.json``, ``splits.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edge.errors import ConfigError
from training.data.dataset import Dataset
from training.models import MODELS, Shape
from training.recipe import Recipe, load
from training.registry import Part

Float32 = npt.NDArray[np.float32]
FILES = ("recipe.toml", "weights.safetensors", "metrics.json", "splits.json")
CHECKPOINTS = "checkpoint*.safetensors"  # a procedure may keep some of its own beside the fit's


@dataclass(frozen=True)
class Run:
    """A finished training, loaded.

    Attributes
    ----------
    splits
        ``labels``; ``held_out`` (fold or None) and ``folds`` (those trained on); names of the items in ``train``,
        ``inner``, ``test`` and ``background``.
    """

    recipe: Recipe
    model: nn.Module
    metrics: dict[str, Any]
    splits: dict[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the scores."""
        return tuple(self.splits["labels"])

    def part(self, data: Path, name: str = "train") -> Dataset:
        """Return the items of one part of the split, from the data sets below `data`.

        Raises
        ------
        ValueError
            The set has changed: an item of the split is not there any more.
        """
        source = self.recipe.background if name == "background" else self.recipe.data
        names = set(self.splits[name])
        if source is None:
            return Dataset("background", (), ())
        found = source.load(data).where(lambda item: item.name in names)
        if len(found) != len(names):
            gone = sorted(names - {item.name for item in found.items})[0]
            raise ValueError(f"{data / source.folder}: expected the run's recording {gone!r}, got nothing of that name")
        return found

    def samples(self, data: Path, name: str = "train") -> list[Float32]:
        """Return the samples of one part of the split, at the front end's rate."""
        return [item.samples(self.recipe.frontend.rate) for item in self.part(data, name).items]


def network(recipe: Recipe, classes: int, other: Part | None = None) -> nn.Module:
    """Build the recipe's network, or another one for its features, with fresh weights."""
    spec = recipe.frontend
    return MODELS.build(other or recipe.model, Shape(spec.count, classes, spec.rate / spec.hop))


def begin(folder: Path, recipe: Recipe, splits: dict[str, Any]) -> Path:
    """Write what is known before the first step; returns where the checkpoint belongs.

    Raises
    ------
    ConfigError
        The folder holds the checkpoint of another recipe or split, which must not be gone on with.
    """
    checkpoint = folder / "checkpoint.safetensors"
    if any(folder.glob(CHECKPOINTS)) and (load(folder / "recipe.toml"), _json(folder / "splits.json")) != (
        recipe,
        splits,
    ):
        raise ConfigError(
            f"run {folder}: expected a checkpoint of this recipe and fold, got another one's; "
            "remove the folder or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(tomli_w.dumps(recipe.table()), encoding="utf-8")
    (folder / "splits.json").write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")
    return checkpoint


def finish(folder: Path, weights: dict[str, Tensor], metrics: dict[str, Any]) -> None:
    """Write the result and remove the checkpoint."""
    save_file({k: v.cpu().contiguous() for k, v in weights.items()}, folder / "weights.safetensors")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    for checkpoint in folder.glob(CHECKPOINTS):
        checkpoint.unlink()


def finished(folder: Path) -> bool:
    """Whether the folder holds a finished run."""
    return all((folder / name).exists() for name in FILES)


def read(folder: Path) -> Run:
    """Load a run; the model is in evaluation mode.

    Raises
    ------
    ConfigError
        The folder is not a finished run.
    """
    missing = [n for n in FILES if not (folder / n).exists()]
    if missing:
        raise ConfigError(f"run {folder}: expected {', '.join(missing)}, got nothing there; is the training finished?")
    recipe, splits = load(folder / "recipe.toml"), _json(folder / "splits.json")
    if "labels" not in splits:
        raise ConfigError(f"run {folder}: expected `labels` in splits.json, got a run of an older version; train anew")
    model = network(recipe, len(splits["labels"]))
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return Run(recipe, model.eval(), _json(folder / "metrics.json"), splits)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
