"""What a recipe is before it is trained, and how many steps it has: asked once, then read from its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.errors import ConfigError
from training.catalogue import entry
from training.comparison.budget import steps_within
from training.recipe import Recipe

Say = Callable[[str], None]


def about(recipe: Recipe, data: Path, out: Path, minutes: float, say: Say, **more: Any) -> dict[str, Any]:
    """Return what stands in ``about.json`` of the recipe's folder below `out`; measured where it does not stand there.

    Parameters
    ----------
    data
        Folder of the data sets.
    minutes
        Of processor time for a training.
    more
        What else shall stand there.

    Raises
    ------
    ConfigError
        It was begun with other minutes, or too few fit.
    """
    path = out / recipe.name / "about.json"
    if not path.exists():
        e = entry(recipe, len(recipe.data.load(data).labels))
        found = {
            "name": recipe.name,
            **more,
            "parameters": e.parameters,
            "cost": e.cost,
            "streams": e.streams,
            "lookahead": e.lookahead if e.streams else None,
            "minutes": minutes,
            "steps": steps_within(recipe, data, minutes),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        say(f"{recipe.name}: {found['steps']} steps in {minutes:g} minutes")
    found = dict(json.loads(path.read_text(encoding="utf-8")))
    if found["minutes"] != minutes:
        raise ConfigError(f"{path}: expected {minutes:g} minutes, got {found['minutes']:g}; choose another --out")
    return found
