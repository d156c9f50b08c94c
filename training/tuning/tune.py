"""Per-class decision rules from validation data: thresholds and median widths, by F1 or by a bound on false alarms.

Scores are computed once. For each class, every median width and pair of thresholds is decided by
`training.tuning.sweep`; the middle of the widest plateau of the best figure is taken, for its edges are luck. Durations
of a two-state chain are not chosen but counted, by `training.tuning.durations`.

    figure  │      ┌────────────┐
            │  ┌─┐ │     ▲      │
            │──┘ └─┘     │      └──────
            └────────────┴───────────── on
                       chosen
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edge.decode.decoder import Decoder
from edge.inference.card import Decode, Rule
from training.evaluation.heard import Heard
from training.evaluation.measures import measure
from training.tuning import sweep
from training.tuning.choice import ON, Tuned, plateau
from training.tuning.durations import durations
from training.tuning.states import tune_states

Criterion = Literal["f1", "false-alarms", "agreement"]  # the last one by training.tuning.refine
Smoothing = Literal["median", "viterbi"]
Float64 = npt.NDArray[np.float64]
RATIOS = (1.0, 0.75, 0.5, 0.25)  # off / on
MEDIANS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # seconds


def tune(
    heard: Sequence[Heard],
    labels: Sequence[str],
    rules: Decode,
    criterion: Criterion = "f1",
    per_hour: float = 1.0,
    smoothing: Smoothing = "median",
) -> Tuned:
    """Choose rules for every class on its own.

    Parameters
    ----------
    heard
        Scored recordings whose classes are known. F1 is that of events (200 ms / 20 %) over those with strong labels,
        where the class has any, else that of clips: is there an event of the class? Then `off` keeps its share of `on`.
    rules
        Where to start: durations and merge gaps stay. States are chosen together, see `training.tuning.states`.
    per_hour
        Most false alarms per hour that each class may raise, for ``false-alarms``: the lowest threshold is taken that
        keeps to it, as all higher ones do; median and hysteresis stay.
    smoothing
        ``viterbi``: the classes get two-state chains as well, whose durations are counted first.

    Raises
    ------
    ValueError
        Nothing is known of the recordings, or their scores lie on different grids; states otherwise than by F1.
    """
    if rules.states:
        check_states(rules, criterion, smoothing)
        return tune_states(heard, labels, rules)
    known = [h for h in heard if h.item.weak is not None]
    if not known:
        raise ValueError("expected recordings whose classes are known, got none")
    if len({(h.block.hop, h.block.rate, h.block.span) for h in known}) > 1:
        raise ValueError("expected scores on one grid, got several; tune recordings of one model")
    choose: Callable[..., tuple[Rule | None, str]] = _best_f1 if criterion == "f1" else _least_on
    chosen, notes = dict(rules.labels), []
    for name, own in Decoder(labels, rules).rules.items():  # ignored labels have none
        label = labels.index(name)
        path = durations(known, labels, label, rules) if smoothing == "viterbi" else None
        given = msgspec.structs.replace(own, viterbi=path or own.viterbi)
        rule, note = choose(known, label, given, per_hour)
        if note:
            notes.append(f"{name}: {note}")
        if rule:
            chosen[name] = _over(rules.labels.get(name, Rule()), msgspec.structs.replace(rule, viterbi=path))
    return Tuned(msgspec.structs.replace(rules, labels=chosen), tuple(notes))


def check_states(rules: Decode, criterion: Criterion, smoothing: Smoothing) -> None:
    """Refuse what asks for classes that begin and end each on its own, where the rules are of states.

    Raises
    ------
    ValueError
        States by another criterion than F1, or with chains.
    """
    if rules.states and (criterion, smoothing) != ("f1", "median"):
        raise ValueError(
            f"expected criterion f1 and decoder median for a model that tells states, got {criterion} and {smoothing}"
        )


def cross_tuned(
    heard: Sequence[Heard], groups: Sequence[int], labels: Sequence[str], rules: Decode, **how: Any
) -> list[tuple[Sequence[Heard], Decode]]:
    """Tune on all groups but one, for each: what the rules are worth on recordings that did not choose them.

    Returns
    -------
    list
        Each group's recordings, and the rules that the others chose.
    """
    out = []
    for group in sorted(set(groups)):
        others = [h for h, g in zip(heard, groups, strict=True) if g != group]
        own = [h for h, g in zip(heard, groups, strict=True) if g == group]
        out.append((own, tune(others, labels, rules, **how).rules))
    return out


def compare(
    heard: Sequence[Heard], labels: Sequence[str], before: Decode, after: Decode, exclusive: bool
) -> dict[str, Any]:
    """Figures before and after, by the product's decoder."""
    return {
        name: measure(heard, labels, rules, exclusive=exclusive)
        for name, rules in (("before", before), ("after", after))
    }


def _best_f1(heard: Sequence[Heard], label: int, rule: Decode, _: float) -> tuple[Rule | None, str]:
    strong = [h for h in heard if h.item.strong is not None]
    by_events = any(e.label == label for h in strong for e in h.item.strong or ())
    used = strong if by_events else heard
    if not any(label in (h.item.weak or ()) for h in used):
        return None, "no recording of it: its rule stays"
    # Where only clips are labelled nothing tells where events end, and a path does without: `off` keeps its distance.
    ratios = RATIOS if by_events and not rule.viterbi else (rule.off / rule.on if rule.on else 1.0,)
    settings = list(product(sorted({*MEDIANS, rule.median}), ratios))
    curves = np.stack([_f1_curve(used, label, rule, median, ratio, by_events) for median, ratio in settings])
    best = float(curves.max())
    if not best > 0:
        return None, "no setting finds any of it: its rule stays"
    row, column = plateau(curves >= best - 1e-9)
    median, ratio = settings[row]
    return Rule(on=float(ON[column]), off=_off(ON[column], ratio), median=median), ""


def _f1_curve(
    heard: Sequence[Heard], label: int, rule: Decode, median: float, ratio: float, by_events: bool
) -> Float64:
    """F1 at every threshold ``[S]``."""
    counts = _counts(heard, label, msgspec.structs.replace(rule, median=median), ratio, by_events)
    if by_events:
        references = sum(e.label == label for h in heard for e in h.item.strong or ())
        return 2 * counts[..., 1].sum(axis=1) / np.maximum(counts[..., 0].sum(axis=1) + references, 1)
    there = np.array([label in (h.item.weak or ()) for h in heard])
    found = counts[..., 0] > 0
    return 2 * (found & there).sum(axis=1) / np.maximum(found.sum(axis=1) + there.sum(), 1)


def _least_on(heard: Sequence[Heard], label: int, rule: Decode, per_hour: float) -> tuple[Rule | None, str]:
    without = [h for h in heard if label not in (h.item.weak or ())]
    if not without:
        return None, "no recording without it: its rule stays"
    hours = sum(h.seconds for h in without) / 3600
    ratio = rule.off / rule.on if rule.on else 1.0
    rates = _counts(without, label, rule, ratio, by_events=False)[..., 0].sum(axis=1) / hours
    kept = np.logical_and.accumulate((rates <= per_hour)[::-1])[::-1]
    if not kept.any():
        return Rule(
            on=1.0, off=_off(1.0, ratio)
        ), f"{rates[-1]:.1f} per hour even at {ON[-1]:g}: set to 1, near silence"
    on = float(ON[int(np.argmax(kept))])
    note = "" if per_hour * hours >= 1 else f"{hours:.2f} h are too little to tell {per_hour:g} per hour from none"
    return Rule(on=on, off=_off(on, ratio)), note


def _counts(heard: Sequence[Heard], label: int, rule: Decode, ratio: float, by_events: bool) -> sweep.Counts:
    thresholds = np.stack([ON, [_off(on, ratio) for on in ON]], axis=1)
    truth = sweep.truth_of([(h.item.strong or ()) if by_events else () for h in heard], label)
    return sweep.counts([h.block for h in heard], label, rule, thresholds, truth)


def _off(on: float, ratio: float) -> float:
    return round(float(on) * ratio, 3)


def _over(given: Rule, found: Rule) -> Rule:
    """The rule found, with what it does not say from the rule given."""
    values = {k: v for k, v in msgspec.structs.asdict(found).items() if v is not None}
    return msgspec.structs.replace(given, **values)
