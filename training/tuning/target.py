"""Tuning from the outside: which recordings may choose, what changed, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.decode.decoder import Decoder
from edge.errors import ConfigError
from edge.inference.card import Decode
from training import recipe as recipes
from training.data.dataset import Dataset
from training.evaluation import targets
from training.evaluation.evaluate import Source, Tell, background_of, held_out, open_source
from training.evaluation.heard import Heard, hear, hear_windows
from training.evaluation.measures import HEADLINES, Figures
from training.evaluation.targets import Target
from training.tuning.choice import Tuned
from training.tuning.genetic import Average, tune_together
from training.tuning.refine import Tagger, refine
from training.tuning.tune import Criterion, Smoothing, check_states, compare, cross_tuned, tune

Search = Literal["classes", "genetic"]


@dataclass(frozen=True)
class Outcome:
    """New rules, where they belong, and the report.

    Attributes
    ----------
    path
        ``card.toml`` or recipe that the rules are for.
    tuned_on
        One line that says on what.
    changed
        How many classes have other rules than before.
    """

    rules: Decode
    path: Path
    tuned_on: str
    changed: int
    notes: tuple[str, ...]
    report: Figures


def tune_target(
    path: Path,
    data: Path,
    *,
    runs: Sequence[Path] = (),
    table: dict[str, Any] | None = None,
    background: dict[str, Any] | None = None,
    criterion: Criterion = "f1",
    per_hour: float = 1.0,
    smoothing: Smoothing = "median",
    clips: float = 0.0,
    search: Search = "classes",
    average: Average = "macro",
    seen: bool = False,
    tell: Tell = lambda *_: None,
) -> Outcome:
    """Tune a model folder, a run folder or a recipe file; writes nothing.

    Parameters
    ----------
    runs
        Fold runs whose held-out scores choose; else the target's own scores do.
    table, background
        Data sets instead of those that the run or card names; background is added to what chooses.
    criterion, per_hour, smoothing, clips
        As `training.tuning.tune.tune` has them; ``agreement``: `training.tuning.refine.refine`.
    search, average
        ``genetic``: `training.tuning.genetic.tune_together`, by F1 alone.
    seen
        Whether recordings may choose that the target was trained on.

    Raises
    ------
    ConfigError
        Options do not go together; the recordings were trained on, there are none to choose by, or a recipe comes
        without runs.
    ValueError
        The data cannot be read, or tell nothing; states otherwise than by F1.
    """
    if search == "genetic" and (criterion, smoothing, clips) != ("f1", "median", 0.0):
        raise ConfigError(
            "tune: expected `--search genetic` by itself, which chooses thresholds by F1, got another criterion, "
            "decoder or --clip-events beside it; leave either out"
        )
    if clips and criterion != "f1":
        raise ConfigError(f"tune: expected --clip-events with `--criterion f1`, which compares, got {criterion}")
    own, where, rules = _opened(path, needs_scores=not runs)
    check_states(rules, criterion, smoothing)
    if rules.states and (search, clips) != ("classes", 0.0):
        raise ConfigError(f"tune: expected no --search genetic or --clip-events for the states of {path}, got one")
    judges = [targets.load(run)[0].with_rules(rules) for run in runs] or [own]
    labels = targets.same_labels([*judges, *([own] if own else [])])
    table = table or judges[0].source
    if table is None:
        raise ConfigError(f"tune: expected --folder, got no data set from {path}")
    source = open_source(table, data)
    quiet = open_source(background, data) if background else None
    heard, groups = _heard(judges, source, quiet, bool(runs), seen, tell)
    choose: Callable[..., Tuned] = partial(
        tune, criterion=criterion, per_hour=per_hour, smoothing=smoothing, clips=clips
    )
    if search == "genetic":
        choose = partial(tune_together, average=average)
    if criterion == "agreement":
        found = refine(heard, labels, rules, [_tagger(judges[k]) for k in groups], tell)
    else:
        found = choose(heard, labels, rules)
    known = [h for h in heard if h.item.weak is not None]
    figures: Figures = compare(known, labels, rules, found.rules, source.dataset.exclusive) if known else {}
    if len(runs) > 1 and criterion != "agreement":
        figures["cross"] = _cross(heard, groups, labels, rules, source, choose)
    aim = {
        "f1": _by_f1(rules, search, average),
        "false-alarms": f"at most {per_hour:g} false alarms per hour of each class",
        "agreement": "best agreement with the network's own clip scores",
    }[criterion]
    by = f"{len(runs)} fold runs, each on its held-out fold" if runs else "its own scores"
    warned = ", which it was trained on" if seen and not runs and _learnt(judges[0], source, source.dataset) else ""
    tuned_on = f"{aim} on {len(heard)} recordings of {source.folder}{warned}; {by}"
    changes = _changes(labels, rules, found.rules)
    report = _report(path, tuned_on, figures, changes, labels)
    return Outcome(found.rules, where, tuned_on, len(changes), found.notes, report)


def _opened(path: Path, needs_scores: bool) -> tuple[Target | None, Path, Decode]:
    """The target, the file that its rules stand in, and the rules."""
    if path.is_file():
        if needs_scores:
            raise ConfigError(f"tune: expected --runs for the recipe {path}, got none: a recipe has no scores")
        return None, path, recipes.load(path).decode
    target = targets.load_one(path)
    return target, path / ("card.toml" if targets.is_model(path) else "recipe.toml"), target.rules


def _heard(
    judges: Sequence[Target], source: Source, quiet: Source | None, folds: bool, seen: bool, tell: Tell
) -> tuple[list[Heard], list[int]]:
    """What chooses, and which judge heard each."""
    heard: list[Heard] = []
    groups: list[int] = []
    for k, target in enumerate(judges):
        chosen = held_out(target, source) if folds else _choosable(target, source, seen)
        parts = [chosen, *([background_of(target, quiet)] if quiet else [])]
        for part in parts:
            if part is not None and len(part):
                new = _listened(target, part, source, partial(tell, target.name))
                heard += new
                groups += [k] * len(new)
    if not heard:
        raise ConfigError(f"tune: expected recordings to choose by, got none of {source.folder} that are held out")
    return heard, groups


def _listened(target: Target, part: Dataset, source: Source, tell: Callable[[int, int], None]) -> list[Heard]:
    """Score recordings; windows that are labelled one by one are heard in one piece, as the device will hear them."""
    size = float(source.table.get("window", 0.0))
    return hear_windows(target, part, size, tell) if size and part.labels else hear(target, part, tell)


def _tagger(target: Target) -> Tagger:
    """What gives a target's clip scores of samples."""
    return lambda samples: targets.clip_scores(target.scorer(samples))


def _choosable(target: Target, source: Source, seen: bool) -> Dataset:
    """The recordings that may choose: the inner part of a run; else what was never learnt from and is no test part."""
    if target.source and target.source.get("folder") == source.folder and target.inner:
        return source.dataset.where(lambda item: item.name in target.inner)
    if seen:
        return source.dataset
    free = target.unseen(source.dataset, source.folder)
    if target.form == "float network" and target.source and target.source.get("folder") == source.folder:
        raise ConfigError(
            f"tune: expected a run that held recordings back for choosing (inner > 0), got {target.name}; what it did "
            "not learn from is its test part: give --runs of all its folds, or other data with --folder"
        )
    if not len(free):
        raise ConfigError(
            f"tune: expected recordings that {target.name} was not trained on, got {len(source.dataset)} of "
            f"{source.folder} that it was; give --runs of its folds or other data with --folder, or --seen"
        )
    return free


def _learnt(target: Target, source: Source, dataset: Dataset) -> bool:
    return any(target.learnt_from(source.folder, item) and item.name not in target.inner for item in dataset.items)


def _cross(heard: Sequence[Heard], groups: Sequence[int], labels: Sequence[str], rules: Decode, source: Source,
           choose: Callable[..., Tuned]) -> Figures:  # fmt: skip
    """Figures where each fold is decided by the rules that the others chose, averaged over the folds."""
    from training.evaluation.measures import measure

    parts = [
        measure(own, labels, chosen, exclusive=source.dataset.exclusive)
        for own, chosen in cross_tuned(heard, groups, labels, rules, choose)
    ]
    names = [n for n in HEADLINES if all(n in part for part in parts)]
    return {n: float(np.mean([part[n] for part in parts])) for n in names}


def _changes(labels: Sequence[str], before: Decode, after: Decode) -> dict[str, tuple[Decode, Decode]]:
    old, new = Decoder(labels, before).rules, Decoder(labels, after).rules
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}


def _report(path: Path, tuned_on: str, figures: Figures, changes: dict[str, tuple[Decode, Decode]],
            labels: Sequence[str]) -> Figures:  # fmt: skip
    return {
        "kind": "tuning",
        "title": f"Rules of {path.name}",
        "text": f"Tuned for {tuned_on}.",
        "labels": list(labels),
        "rules": {name: {"before": _told(r), "after": _told(n)} for name, (r, n) in changes.items()},
        **figures,
    }


def _by_f1(rules: Decode, search: Search, average: Average) -> str:
    if rules.states:
        return "best F1 of the time of each state"
    return f"best {average} F1 of all classes" if search == "genetic" else "best F1"


def _told(rule: Decode) -> dict[str, Any]:
    """What a report says of a rule: thresholds, and what smooths the scores."""
    thresholds = {"on": rule.on, "off": rule.off}
    if rule.states:
        return {**thresholds, "median": rule.median, "lasts": rule.min_duration}
    if rule.clip_events:
        return {**thresholds, "clips": rule.clip_ahead}
    chain = {"chain": [rule.viterbi.event, rule.viterbi.pause]} if rule.viterbi else {}
    return {**thresholds, "median": rule.median, **chain}
