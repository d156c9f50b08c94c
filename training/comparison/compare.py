"""Recipes on one benchmark: each is given the benchmark's recordings and weak labels, the same time, and is measured.

OUT/domestic-esc10/             the composed scenes
OUT/RECIPE/about.json           what it is, and its steps within the minutes
OUT/RECIPE/seed0/               a run, and figures.json
OUT/compare.json                all of it, of this call and of earlier ones

What stands there already is not done again, and an interrupted training goes on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from edge.decode.decoder import Decoder, lookahead
from edge.errors import ConfigError
from edge.inference.card import Decode
from training import compose, run
from training import recipe as recipes
from training.comparison.about import Say, about
from training.comparison.budget import batched, resized
from training.data.formats import FORMATS
from training.evaluation import targets
from training.evaluation.evaluate import held_out, open_source
from training.evaluation.heard import Heard, hear
from training.evaluation.measures import HEADLINES, measure
from training.evaluation.report import clean, table
from training.metrics import collar
from training.recipe import Recipe, Source
from training.train import Options, train
from training.tuning.tune import cross_tuned

FOLD = 4  # held out of every training: the scenes of the fourth fold's recordings
SHOWN = ("event_f1_tuned", "event_f1", "event_f1_500ms", "segment_f1", "error_rate", "psds1", "psds2", "map")
TITLES = {**HEADLINES, "event_f1_tuned": "event F1 (200 ms), tuned rules"}


def compare(
    names: Sequence[str],
    benchmark: str,
    data: Path,
    out: Path,
    minutes: float,
    *,
    seeds: int = 1,
    batch: int | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Train and measure what is not done yet; returns all, which also stands in ``compare.json``.

    Parameters
    ----------
    names
        Recipes, by name or path.
    benchmark
        Name of a benchmark of `training.compose`.
    data
        Folder of the data sets that it is composed of.
    minutes
        Of processor time for each training.
    seeds
        Trainings of each recipe.
    batch
        Examples in a batch at most; the recipe's own number where None.

    Raises
    ------
    ConfigError, ValueError
        A recipe that the benchmark does not suit; an `out` that was begun with other minutes or batches.
    """
    composed(benchmark, data, out, say)
    chosen = [suited(recipes.load(name), benchmark) for name in names]
    if batch:
        chosen = [batched(recipe, batch) for recipe in chosen]
    twice = [name for name, count in Counter(recipe.name for recipe in chosen).items() if count > 1]
    if twice:
        raise ConfigError(f"compare: expected recipes of different names, got {twice[0]!r} twice; rename one")
    for recipe in chosen:
        known = recipe.data.table()["known"]
        row = about(recipe, out, out, minutes, say, source=recipe.source, known=known)
        for seed in range(seeds):
            _one(structs.replace(resized(recipe, row["steps"]), seed=seed), out, say)
            found = gathered(benchmark, out)
            (out / "compare.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def gathered(benchmark: str, out: Path) -> dict[str, Any]:
    """Return what stands in `out`: each recipe's ``about.json``, with the figures of its ``seeds``."""
    rows = []
    for path in sorted(out.glob("*/about.json")):
        seeds = [_read(file) for file in sorted(path.parent.glob("seed*/figures.json"))]
        rows += [{**_read(path), "seeds": seeds}] if seeds else []
    return {"benchmark": benchmark, "fold": FOLD, "recipes": rows}


def composed(benchmark: str, data: Path, out: Path, say: Say = lambda _: None) -> None:
    """Compose the benchmark below `out` where it is not."""
    folder = out / benchmark
    if not (folder / "scenes.json").exists():
        for done, total in compose.compose(compose.benchmark(benchmark), data, folder):
            if done == total:
                say(f"{folder}: {total} scenes")


def suited(recipe: Recipe, benchmark: str) -> Recipe:
    """Return the recipe with the benchmark's recordings, of which it knows what its own data set let it know at most.

    That is the classes of each scene, or, where it learns from sequential labels, their order; never the times. Scenes
    without labels come along where its own data set has them. What was said about its own classes and backgrounds goes.
    """
    own = recipe.data.table()
    known = "order" if own.get("known") == "order" else "weak"
    unlabelled = own.get("unlabelled", False)
    return structs.replace(
        recipe,
        data=Source(benchmark, FORMATS.parse({"kind": "composed", "known": known, "unlabelled": unlabelled}, "data")),
        background=None,
        augment=tuple(part for part in recipe.augment if part.kind != "background"),
        decode=structs.replace(recipe.decode, labels={}, ignore=[]),
    )


def section(found: dict[str, Any], text: str = "", command: str = "") -> dict[str, Any]:
    """Return the figures as a table of ``docs/results.json``: means of the seeds and their deviations, best first."""
    names = [n for n in SHOWN if all(seed.get(n) is not None for row in found["recipes"] for seed in row["seeds"])]
    heads = ["recipe", "learns from", "parameters", "M mult/s", "streams", "lookahead", "steps", "seeds"]
    rows = []
    for row in sorted(found["recipes"], key=lambda row: -_mean(row, names[0])):
        ahead = "-" if row["lookahead"] is None else f"{row['lookahead'] + row['seeds'][0]['rules_lookahead']:.2f} s"
        cells = [row["name"], row["known"], f"{row['parameters']:,}", f"{row['cost']:.1f}"]
        cells += ["yes" if row["streams"] else "window", ahead, row["steps"], len(row["seeds"])]
        rows.append([*cells, *(_spread(row, name) for name in names)])
    return table(f"Recipes on {found['benchmark']}", [*heads, *(TITLES[n] for n in names)], rows, text, command)


def tuned_f1(heard: Sequence[Heard], labels: Sequence[str], rules: Decode) -> float:
    """Macro event F1 (200 ms) where each half of the recordings is decided by rules that the other half's times chose.

    Systems differ in how sure their scores are; this compares them with thresholds and medians that suit each.
    """
    groups = [k % 2 for k in range(len(heard))]
    reference, estimated = [], []
    for own, chosen in cross_tuned(heard, groups, labels, rules):
        reference += [h.item.strong or () for h in own]
        estimated += [h.events(labels, chosen) for h in own]
    return collar.event_figures(reference, estimated, labels).f1


def _one(recipe: Recipe, out: Path, say: Say) -> None:
    """Train and measure once, as far as it is not done."""
    folder = out / recipe.name / f"seed{recipe.seed}"
    path = folder / "figures.json"
    if run.finished(folder):
        there = recipes.load(folder / "recipe.toml")
        if structs.replace(there, frontend=recipe.frontend) != recipe:
            raise ConfigError(f"{folder}: expected a run of {recipe.name} as it is, got another; choose another --out")
    else:
        train(recipe, out, folder, Options(FOLD))
    if not path.exists():
        path.write_text(json.dumps(clean(_figures(folder, out)), indent=1) + "\n", encoding="utf-8")
    found = _read(path)
    say(f"{folder}: " + ", ".join(f"{TITLES[n]} {found[n]:.3f}" for n in SHOWN if found.get(n) is not None))


def _figures(folder: Path, out: Path) -> dict[str, Any]:
    """Measure a run by the times of the scenes that it never saw."""
    done = run.read(folder)
    target = targets.of_run(done, folder.name)
    source = open_source({**done.recipe.data.table(), "known": "strong", "unlabelled": False}, out)
    heard = hear(target, held_out(target, source))
    measured = measure(heard, target.labels, target.rules, exclusive=False)
    frame = heard[0].block.hop / target.rate
    return {
        "seed": done.recipe.seed,
        "cpu_seconds": done.metrics["cpu_seconds"],
        "event_f1_tuned": tuned_f1(heard, target.labels, target.rules),
        "rules_lookahead": max(lookahead(rule, frame) for rule in Decoder(target.labels, target.rules).rules.values()),
        **measured,
    }


def _mean(row: dict[str, Any], name: str) -> float:
    return float(np.mean([seed[name] for seed in row["seeds"]]))


def _spread(row: dict[str, Any], name: str) -> str:
    values = [seed[name] for seed in row["seeds"]]
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
