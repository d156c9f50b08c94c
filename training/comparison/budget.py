"""How long may a recipe train? As many steps as fit into so many minutes of processor time, measured by two short ones.

seconds │            ╱    Processor time does not depend on what else the machine does; the steps, once known, stand in
        │        ╱        the recipe, so that its schedule is that of a longer training, and a resumed one is the same.
        │    ╱ ┆
        │╱ ┆   ┆
        └──┴───┴───────┴─ steps
         short long  chosen
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from msgspec import structs

from edge.errors import ConfigError
from training.recipe import Recipe
from training.train import train

SHORT, LONG = 2, 12
WARMUP = 10  # at most one step in so many warms up


def lengths(recipe: Recipe) -> dict[str, int]:
    """Return the settings of the recipe's procedure that say how long it is: ``steps``, and others that end so."""
    settings = structs.asdict(recipe.procedure.settings)
    return {name: value for name, value in settings.items() if name == "steps" or name.endswith("_steps")}


def resized(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with `steps` steps, and with other lengths of its procedure in proportion.

    Raises
    ------
    ConfigError
        The procedure has no ``steps``.
    """
    had = lengths(recipe)
    if "steps" not in had:
        raise ConfigError(f"compare: expected a procedure with `steps`, got {recipe.procedure.kind!r} of {recipe.name}")
    changes: dict[str, Any] = {name: max(1, round(value * steps / had["steps"])) for name, value in had.items()}
    if hasattr(recipe.procedure.settings, "warmup"):
        changes["warmup"] = min(recipe.procedure.settings.warmup, steps // WARMUP)
    settings = structs.replace(recipe.procedure.settings, **changes)
    return structs.replace(recipe, procedure=structs.replace(recipe.procedure, settings=settings))


def batched(recipe: Recipe, size: int) -> Recipe:
    """Return the recipe with batches of `size` examples at most: where time is short, more steps teach more.

    That is its procedure's ``batch``, and other settings whose names end so.
    """
    had = structs.asdict(recipe.procedure.settings)
    changes = {name: min(size, n) for name, n in had.items() if name == "batch" or name.endswith("_batch")}
    settings = structs.replace(recipe.procedure.settings, **changes)
    return structs.replace(recipe, procedure=structs.replace(recipe.procedure, settings=settings))


def steps_within(recipe: Recipe, data: Path, minutes: float) -> int:
    """Return how many steps of the recipe take so many minutes of processor time, of all threads together.

    Raises
    ------
    ConfigError
        Not even the longer of the two short trainings would fit.
    """
    for item in recipe.data.load(data).items:
        item.samples(recipe.frontend.rate)  # into the cache: whoever comes first shall not pay for the decoding
    _seconds(resized(recipe, SHORT), data)  # nor for what is imported and compiled once
    short, long = (_seconds(resized(recipe, steps), data) for steps in (SHORT, LONG))
    each = max(long - short, 0.05 * long) / (LONG - SHORT)
    steps = int((minutes * 60 - short) / each) + SHORT
    if steps < LONG:
        raise ConfigError(
            f"compare: expected time for {LONG} steps of {recipe.name}, got {minutes:g} minutes; one step takes "
            f"{each:.2g} s; give it more"
        )
    return steps


def _seconds(recipe: Recipe, data: Path) -> float:
    """Processor time of a training on all folds, so that nothing is measured behind it."""
    with tempfile.TemporaryDirectory() as folder:
        return float(train(recipe, data, Path(folder) / "run")["cpu_seconds"])
