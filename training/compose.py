"""Composed sets on disk: what to compose, from which sets, and the files that come of it.

OUT/audio/fold1-0000.flac …     the scenes
OUT/strong.tsv                  filename, onset, offset, event_label: exact to the sample
OUT/order.tsv, weak.tsv         the same with less
OUT/scenes.json                 what was done: settings, and of each scene its background, its sources and ratios

Scenes without labels are in no table; `scenes.json` knows what was put into them.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import soundfile
from msgspec import Meta

from edge.errors import ConfigError
from training.data import annotations
from training.data.check import check
from training.data.combine import join
from training.data.composer import Composer, Scene, SceneSettings, describe
from training.data.dataset import Dataset, Item
from training.data.formats import FORMATS
from training.data.formats.composed import UNLABELLED
from training.data.splits import folds, group_of

log = logging.getLogger(__name__)
BENCHMARKS = Path(__file__).with_name("benchmarks")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to compose.

    Attributes
    ----------
    foreground, background
        ``[data]`` tables as a recipe has them, with the `folder` below ``--data``.
    scenes
        How scenes are drawn.
    count
        How many; with `by_fold`, in each fold.
    unlabelled
        How many more, whose sounds are not told to a training; with `by_fold`, in each fold.
    seed
        Of all of them; the scene of a number does not depend on how many there are.
    by_fold
        Whether each official fold of the foreground gives scenes of its own, from nothing but its recordings;
        backgrounds without folds are dealt out by their groups.
    container
        Of the files; both hold 16 bits.
    """

    foreground: list[dict[str, Any]]
    background: list[dict[str, Any]]
    scenes: SceneSettings = SceneSettings()
    count: Annotated[int, Meta(ge=1)] = 100
    unlabelled: Annotated[int, Meta(ge=0)] = 0
    seed: Annotated[int, Meta(ge=0)] = 0
    by_fold: bool = False
    container: Literal["flac", "wav"] = "flac"


@dataclass(frozen=True)
class Section:
    """One fold's material, or all of it (fold None)."""

    fold: int | None
    foreground: Dataset
    backgrounds: tuple[Dataset, ...]


def benchmarks() -> list[str]:
    """Return the names of the benchmarks."""
    return sorted(path.stem for path in BENCHMARKS.glob("*.toml"))


def benchmark(name: str) -> Plan:
    """Return the plan of a benchmark.

    Raises
    ------
    ConfigError
        No such benchmark.
    """
    if name not in benchmarks():
        raise ConfigError(f"--benchmark: expected one of {', '.join(benchmarks())}, got {name!r}")
    return parse(tomllib.loads((BENCHMARKS / f"{name}.toml").read_text(encoding="utf-8")))


def parse(plan: dict[str, Any]) -> Plan:
    """Check a plan's tables.

    Raises
    ------
    ConfigError
        Unknown keys, wrong types or impossible values, with the path of the field.
    """
    try:
        return msgspec.convert(plan, Plan)
    except msgspec.ValidationError as error:
        raise ConfigError(f"compose: {error}") from None


def load(table: dict[str, Any], root: Path, *, skip_bad: bool = False) -> Dataset:
    """Return a set of the plan whose files can be read; how many cannot be is logged.

    Raises
    ------
    ConfigError, ValueError
        Settings that do not fit; no such set, or a bad file.
    """
    part = FORMATS.parse({key: value for key, value in table.items() if key != "folder"}, "data")
    checked = check(FORMATS.build(part, root / table.get("folder", "")), skip_bad=skip_bad)
    if checked.bad:
        log.warning("%s: left out %d bad files; the first: %s", checked.dataset.name, len(checked.bad), checked.bad[0])
    return checked.dataset


def sections(foreground: Dataset, backgrounds: Sequence[Dataset], *, by_fold: bool) -> list[Section]:
    """Return the material of each fold, or of all at once.

    Raises
    ------
    ValueError
        The foreground has no folds, or a background has no recording for one of them.
    """
    if not by_fold:
        return [Section(None, foreground, tuple(backgrounds))]
    numbers = folds(foreground)
    dealt = [_deal(dataset, numbers) for dataset in backgrounds]
    return [Section(n, foreground.folds([n]), tuple(parts[k] for parts in dealt)) for k, n in enumerate(numbers)]


def _deal(dataset: Dataset, numbers: Sequence[int]) -> list[Dataset]:
    """Return a background's part for each fold: its own folds, or its groups dealt out in turn."""
    if all(item.fold is not None for item in dataset.items):
        parts = [dataset.folds([number]) for number in numbers]
    else:
        order = {name: k for k, name in enumerate(sorted({group_of(item) for item in dataset.items}))}
        parts = [dataset.where(lambda i, k=k: order[group_of(i)] % len(numbers) == k) for k in range(len(numbers))]
    for number, part in zip(numbers, parts, strict=True):
        if not part.items:
            raise ValueError(f"{dataset.name}: expected background recordings for fold {number}, got none")
    return parts


def compose(plan: Plan, root: Path, out: Path, *, skip_bad: bool = False) -> Iterator[tuple[int, int]]:
    """Write a composed set; gives (scenes written, scenes in all) after each.

    Parameters
    ----------
    plan
        What to compose.
    root
        Folder of the data sets.
    out
        Folder that is written: new, or empty.
    skip_bad
        Leave recordings out that cannot be read.

    Raises
    ------
    ConfigError, ValueError
        A folder that holds something, a plan that does not fit its sets, bad files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out: expected a new or empty folder, got {out}, which holds something; choose another")
    foreground = join([load(table, root, skip_bad=skip_bad) for table in plan.foreground])
    backgrounds = [load(table, root, skip_bad=skip_bad) for table in plan.background]
    parts = sections(foreground, backgrounds, by_fold=plan.by_fold)
    composers = [Composer(part.foreground, part.backgrounds, plan.scenes) for part in parts]
    (out / "audio").mkdir(parents=True, exist_ok=True)
    each = plan.count + plan.unlabelled
    done: list[tuple[Item, dict[str, Any]]] = []
    for part, composer in zip(parts, composers, strict=True):
        for number in range(each):
            scene = composer.scene(plan.seed, part.fold or 0, number)
            done.append(_write_scene(out, plan, part.fold, number, scene, foreground.labels))
            yield len(done), len(parts) * each
    _write_tables(out, plan, foreground, backgrounds, done)


def summary(out: Path) -> dict[str, Any]:
    """Return what a composed set holds: scenes, seconds, and sounds by class."""
    said = json.loads((out / "scenes.json").read_text(encoding="utf-8"))
    sounds = [event["label"] for scene in said["scenes"] for event in scene["events"]]
    return {
        "scenes": len(said["scenes"]),
        "seconds": len(said["scenes"]) * said["plan"]["scenes"]["seconds"],
        "empty": sum(not scene["events"] for scene in said["scenes"]),
        "sounds": {label: sounds.count(label) for label in said["labels"]},
    }


def _write_scene(
    out: Path, plan: Plan, fold: int | None, number: int, scene: Scene, labels: Sequence[str]
) -> tuple[Item, dict[str, Any]]:
    stem = f"{number:04d}" if fold is None else f"fold{fold}-{number:04d}"
    name = f"audio/{stem}.{plan.container}"
    soundfile.write(out / name, scene.samples, plan.scenes.rate, subtype="PCM_16", format=plan.container.upper())
    told = number < plan.count
    said = {"file": name, "fold": fold, "split": "" if told else UNLABELLED, **describe(scene, labels)}
    item = Item(name, out / name, fold=fold)
    return annotations.timed(item, scene.strong()) if told else item, said


def _write_tables(
    out: Path,
    plan: Plan,
    foreground: Dataset,
    backgrounds: Sequence[Dataset],
    done: Sequence[tuple[Item, dict[str, Any]]],
) -> None:
    dataset = Dataset(out.name, foreground.labels, tuple(item for item, _ in done))
    annotations.write_strong(out / "strong.tsv", dataset)
    annotations.write_order(out / "order.tsv", dataset)
    annotations.write_weak(out / "weak.tsv", dataset)
    sets = [foreground, *backgrounds]
    said = {
        "labels": foreground.labels,
        "licence": _each(dataset.licence for dataset in sets),
        "attribution": _each(dataset.attribution for dataset in sets),
        "plan": msgspec.to_builtins(plan),
        "scenes": [scene for _, scene in done],
    }
    (out / "scenes.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8", newline="\n")


def _each(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
