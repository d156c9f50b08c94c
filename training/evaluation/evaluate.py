"""Measure runs and model folders on a data set: each on the recordings that its training never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.decode.fusion import shares
from edge.errors import ConfigError
from edge.inference.card import Decode
from training.data.dataset import Dataset
from training.evaluation import probes, targets
from training.evaluation.devices import across_each, measure_each
from training.evaluation.fuse import By, figures, in_turn, likeliest, together
from training.evaluation.heard import Heard, hear, nothing_sounds
from training.evaluation.measures import Figures
from training.evaluation.targets import Over, Target
from training.evaluation.vote import voted

Weights = Sequence[float] | Literal["learn"]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Source:
    """A data set as it is named: its recipe table, its folder below the data folder, and its items."""

    table: dict[str, Any]
    folder: str
    dataset: Dataset


def open_source(table: dict[str, Any], data: Path) -> Source:
    """Read the tables of a data set.

    Parameters
    ----------
    table
        ``kind`` (the format), ``folder`` below `data`, and the format's settings.

    Raises
    ------
    ConfigError
        An unknown format, or settings that do not fit.
    ValueError
        The folder does not hold such a set.
    """
    from training.data.formats import FORMATS

    folder = str(table["folder"])
    part = FORMATS.parse({k: v for k, v in table.items() if k != "folder"}, "data")
    return Source(table, folder, FORMATS.build(part, data / folder))


def evaluate(
    folders: Sequence[Path],
    data: Path,
    table: dict[str, Any] | None = None,
    background: dict[str, Any] | None = None,
    tell: Tell = lambda *_: None,
    voters: Sequence[Path] = (),
    over: Over = "last",
    fuse: By | None = None,
    weights: Weights = (),
) -> Figures:
    """Measure run and model folders.

    Where one model folder is among them, all are decided by its card's rules: what the runs of its folds tell is then
    what the model would do.

    Parameters
    ----------
    folders
        Runs of one recipe (their folds are measured together), model folders, or both.
    data
        Folder of the data sets.
    table, background
        Data sets instead of those that the run or card names.
    tell
        Called with a target's name, and the number of recordings done and of all.
    voters
        Runs and model folders that say with each target which classes a recording has; see `training.evaluation.vote`.
    over
        What a recording's score is made of, see `training.evaluation.targets.clip_scores`.
    fuse
        Also measure all targets as one, see `training.evaluation.fuse`; instead of their folds together. Of a model
        folder one file is taken, as a device takes one.
    weights
        Of the targets in a mean; equal where there are none. ``learn``: from these recordings, see
        `training.evaluation.fuse.likeliest`; each half of them is measured by what the other half chose.

    Returns
    -------
    dict
        ``data``, ``labels``; ``targets``: what each is, its ``figures`` (None where it has seen all recordings), and
        ``quiet``; ``folds`` (see `training.evaluation.measures.across`) where runs held out different folds; ``card``:
        what the model's card may carry; ``fused``: clip figures of each and of all on the same recordings, by a mean
        those of events too. Figures and folds hold ``by_device`` where recordings tell what they were recorded with.

    Raises
    ------
    ConfigError
        A folder is neither run nor model, the classes differ, nobody says which data, or weights are of others.
    ValueError
        The data cannot be read, or two runs held out the same fold.
    """
    of_folder = [[targets.load_one(folder)] if fuse else targets.load(folder) for folder in folders]
    loaded = _with_one_rule([t for part in of_folder for t in part], folders)
    if voters:
        heard = [t for folder in voters for t in targets.load(folder)]
        loaded = [voted(t, heard) for t in loaded]
    labels = targets.same_labels(loaded)
    if weights:
        _check_weights(loaded, fuse, weights)
    source = open_source(table or _named(loaded), data)
    quiet_table = background or next((t.background for t in loaded if t.background), None)
    quiet = open_source(quiet_table, data) if quiet_table and (data / str(quiet_table["folder"])).exists() else None
    measured = [_measured(target, source, quiet, tell, over, keep=fuse == "mean") for target in loaded]
    runs = [(t, m) for t, m in zip(loaded, measured, strict=True) if t.held_out is not None]
    out: Figures = {
        "kind": "evaluation",
        "model": loaded[0].name if len(loaded) == 1 else "",
        "data": {"name": source.dataset.name, "recordings": len(source.dataset), **source.table},
        "background": dict(quiet.table) if quiet else None,
        "labels": list(labels),
        "targets": [m.plain() for m in measured],
    }
    if fuse:
        out["fused"] = _fused(measured, labels, source, fuse, weights)
    elif len(runs) > 1:
        out["folds"] = _folds(runs, labels, source)
        mean = out["folds"]["mean"]
        names = [n for n in ("clip_accuracy", "map", "found", "false_events", "event_f1", "psds1") if n in mean]
        out["card"] = {f"leave_one_fold_out_{n}": round(mean[n], 4) for n in names}
    return out


@dataclass(frozen=True)
class Measured:
    """A target, what it heard, and the figures."""

    target: Target
    heard: list[Heard]
    figures: Figures | None
    quiet: dict[str, Any]

    def plain(self) -> Figures:
        """Return what stands in a report."""
        t = self.target
        return {"name": t.name, "form": t.form, "held_out": t.held_out, "figures": self.figures, "quiet": self.quiet}


def held_out(target: Target, source: Source) -> Dataset:
    """Return the recordings that a target may be judged by: labelled, never learnt, of its fold or the test part."""
    unseen = target.unseen(source.dataset, source.folder).where(lambda item: item.weak is not None)
    if target.held_out is not None:
        return unseen.where(lambda item: item.fold in (target.held_out, None))
    parts = {item.split for item in unseen.items}
    return unseen.where(lambda item: item.split == "test") if "test" in parts else unseen


def background_of(target: Target, source: Source | None) -> Dataset | None:
    """Return background recordings that a target never learnt from."""
    if source is None:
        return None
    unseen = target.unseen(source.dataset, source.folder)
    parts = {item.split for item in unseen.items}
    return nothing_sounds(unseen.where(lambda item: item.split == "test") if "test" in parts else unseen)


def _measured(target: Target, source: Source, quiet: Source | None, tell: Tell, over: Over, keep: bool) -> Measured:
    def told(done: int, total: int) -> None:
        tell(target.name, done, total)

    chosen, background = held_out(target, source), background_of(target, quiet)
    heard = hear(target, chosen, told, keep=keep, over=over) if len(chosen) else []
    exclusive = source.dataset.exclusive
    found = measure_each(heard, target.labels, target.rules, exclusive=exclusive) if heard else None
    silent = hear(target, background, told, keep=False) if background is not None else []
    return Measured(target, heard, found, probes.quiet(target, silent))


def _folds(runs: Sequence[tuple[Target, Measured]], labels: Sequence[str], source: Source) -> Figures:
    folds = [t.held_out for t, _ in runs]
    if len(set(folds)) != len(folds):
        raise ValueError(f"expected runs that each held out another fold, got {folds}")
    heard = [h for _, m in runs for h in m.heard]
    pooled = measure_each(heard, labels, runs[0][0].rules, exclusive=source.dataset.exclusive)
    return across_each([m.figures for _, m in runs if m.figures], pooled)


def _fused(
    measured: Sequence[Measured],
    labels: Sequence[str],
    source: Source,
    by: By,
    weights: Weights,
) -> Figures:
    learn = weights == "learn"
    each, all_of_them = together([m.heard for m in measured], by, () if learn else weights)
    if learn:
        weights, all_of_them = likeliest(each), in_turn(each)
    rules = [m.target.rules if by == "mean" else None for m in measured]

    def told(heard: Sequence[Heard], decided_by: Decode | None) -> Figures:
        return figures(heard, labels, decided_by, exclusive=source.dataset.exclusive)

    shown = ", ".join(f"{weight:.3g}" for weight in weights)
    how = f"{by} with weights that the other half chose (all: {shown})" if learn else f"{by} with weights {shown}"
    return {
        "by": how if weights else by,
        "recordings": len(all_of_them),
        "each": {m.target.name: told(h, own) for m, h, own in zip(measured, each, rules, strict=True)},
        "together": told(all_of_them, rules[0]),
    }


def _check_weights(loaded: Sequence[Target], fuse: By | None, weights: Weights) -> None:
    if fuse != "mean":
        raise ConfigError(f"evaluate: expected weights with a mean, got them with {fuse or 'no fusion'}")
    if weights == "learn":
        return
    try:
        shares(weights, len(loaded))
    except ValueError as error:
        raise ConfigError(f"evaluate: {error}; one for each of {', '.join(t.name for t in loaded)}") from None


def _with_one_rule(loaded: list[Target], folders: Sequence[Path]) -> list[Target]:
    models = [folder for folder in folders if targets.is_model(folder)]
    if len(models) != 1:
        return loaded
    rules = next(t.rules for t in loaded if t.held_out is None and t.form.startswith("deployed"))
    return [t.with_rules(rules) for t in loaded]


def _named(loaded: Sequence[Target]) -> dict[str, Any]:
    for target in loaded:
        if target.source:
            return target.source
    raise ConfigError(f"evaluate: expected --folder and --format, got no data set from {loaded[0].name}")
