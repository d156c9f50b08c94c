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
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec import structs

from edge.decode.decoder import Decoder
from edge.inference.card import Decode, Rule
from training.evaluation.heard import Heard
from training.evaluation.measures import measure
from training.tuning.choice import ON, Tuned, plateau
from training.tuning.curves import counted, f1, judges, off_of, pairs, ratio_of, tallies
from training.tuning.durations import durations
from training.tuning.states import tune_states

Criterion = Literal["f1", "false-alarms", "agreement"]  # the last one by training.tuning.refine
Smoothing = Literal["median", "viterbi"]
_Setting = tuple[Decode, float]  # a rule, and the share of its `off` in its `on`
RATIOS = (1.0, 0.75, 0.5, 0.25)  # off / on
MEDIANS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # seconds


class _Aim(NamedTuple):
    per_hour: float
    clips: float


def tune(
    heard: Sequence[Heard],
    labels: Sequence[str],
    rules: Decode,
    criterion: Criterion = "f1",
    per_hour: float = 1.0,
    smoothing: Smoothing = "median",
    clips: float = 0.0,
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
    clips
        Seconds that clip scores pool: classes whose times are known also try events as long as clips (card 43), and
        have them where F1 is better; 0: events stay what they are made of.

    Raises
    ------
    ValueError
        Nothing is known of the recordings, or their scores lie on different grids; states otherwise than by F1.
    """
    if rules.states:
        check_states(rules, criterion, smoothing)
        return tune_states(heard, labels, rules)
    known, aim = known_of(heard), _Aim(per_hour, clips)
    choose: Callable[..., tuple[Rule | None, str]] = _best_f1 if criterion == "f1" else _least_on
    chosen, notes = dict(rules.labels), []
    for name, own in Decoder(labels, rules).rules.items():  # ignored labels have none
        label = labels.index(name)
        path = durations(known, labels, label, rules) if smoothing == "viterbi" else None
        given = structs.replace(own, viterbi=path or own.viterbi)
        rule, note = choose(known, label, given, aim)
        if note:
            notes.append(f"{name}: {note}")
        if rule:
            chosen[name] = over(rules.labels.get(name, Rule()), structs.replace(rule, viterbi=path))
    return Tuned(structs.replace(rules, labels=chosen), tuple(notes))


def known_of(heard: Sequence[Heard]) -> list[Heard]:
    """Return the recordings whose classes are known.

    Raises
    ------
    ValueError
        There are none, or their scores lie on different grids.
    """
    known = [h for h in heard if h.item.weak is not None]
    if not known:
        raise ValueError("expected recordings whose classes are known, got none")
    if len({(h.block.hop, h.block.rate, h.block.span) for h in known}) > 1:
        raise ValueError("expected scores on one grid, got several; tune recordings of one model")
    return known


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
    heard: Sequence[Heard],
    groups: Sequence[int],
    labels: Sequence[str],
    rules: Decode,
    choose: Callable[..., Tuned] = tune,
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
        out.append((own, choose(others, labels, rules).rules))
    return out


def compare(
    heard: Sequence[Heard], labels: Sequence[str], before: Decode, after: Decode, exclusive: bool
) -> dict[str, Any]:
    """Figures before and after, by the product's decoder."""
    return {
        name: measure(heard, labels, rules, exclusive=exclusive)
        for name, rules in (("before", before), ("after", after))
    }


def _best_f1(heard: Sequence[Heard], label: int, rule: Decode, aim: _Aim) -> tuple[Rule | None, str]:
    used, by_events = judges(heard, label)
    if not any(label in (h.item.weak or ()) for h in used):
        return None, "no recording of it: its rule stays"
    by_frames, by_clips = _settings(rule, by_events, aim.clips)
    found = [_best(used, label, settings, by_events) for settings in (by_frames, by_clips) if settings]
    best, rules = max(found, key=lambda one: one[0])  # of equal ones the first, which waits for less
    if not best > 0:
        return None, "no setting finds any of it: its rule stays"
    chosen = Rule(on=rules.on, off=rules.off)
    if rules.clip_events:
        return structs.replace(chosen, clip_events=True, clip_ahead=rules.clip_ahead), ""
    return structs.replace(chosen, median=rules.median, clip_events=False if rule.clip_events else None), ""


def _settings(rule: Decode, by_events: bool, clips: float) -> tuple[list[_Setting], list[_Setting]]:
    """Rules to try, each with a share of `off` in `on`: events of frames, and events of clips."""
    # Where only clips are labelled nothing tells where events end, and a path does without: `off` keeps its distance.
    ratios = RATIOS if by_events and not rule.viterbi else (ratio_of(rule),)
    chosen = bool(clips) and by_events
    by_clips = structs.replace(rule, clip_events=True, clip_ahead=clips if chosen else rule.clip_ahead)
    by_frames = structs.replace(rule, clip_events=False)
    frames = [(structs.replace(by_frames, median=m), r) for m in sorted({*MEDIANS, rule.median}) for r in ratios]
    if chosen:
        return frames, [(by_clips, 1.0)]
    return ([], [(by_clips, 1.0)]) if rule.clip_events else (frames, [])


def _best(heard: Sequence[Heard], label: int, settings: Sequence[_Setting], by_events: bool) -> tuple[float, Decode]:
    """Best F1 of a list of settings, and the rule that has it."""
    curves = np.stack([f1(tallies(heard, label, rule, pairs(ON, ratio), by_events)) for rule, ratio in settings])
    row, column = plateau(curves >= curves.max() - 1e-9)
    rule, ratio = settings[row]
    return float(curves.max()), structs.replace(rule, on=float(ON[column]), off=off_of(ON[column], ratio))


def _least_on(heard: Sequence[Heard], label: int, rule: Decode, aim: _Aim) -> tuple[Rule | None, str]:
    without = [h for h in heard if label not in (h.item.weak or ())]
    if not without:
        return None, "no recording without it: its rule stays"
    hours, ratio = sum(h.seconds for h in without) / 3600, ratio_of(rule)
    rates = counted(without, label, rule, pairs(ON, ratio), by_events=False)[..., 0].sum(axis=1) / hours
    kept = np.logical_and.accumulate((rates <= aim.per_hour)[::-1])[::-1]
    if not kept.any():
        silent = Rule(on=1.0, off=off_of(1.0, ratio))
        return silent, f"{rates[-1]:.1f} per hour even at {ON[-1]:g}: set to 1, near silence"
    on = float(ON[int(np.argmax(kept))])
    told = aim.per_hour * hours >= 1
    note = "" if told else f"{hours:.2f} h are too little to tell {aim.per_hour:g} per hour from none"
    return Rule(on=on, off=off_of(on, ratio)), note


def over(given: Rule, found: Rule) -> Rule:
    """The rule found, with what it does not say from the rule given."""
    values = {k: v for k, v in structs.asdict(found).items() if v is not None}
    return structs.replace(given, **values)
