"""Thresholds of all classes at once, by a genetic algorithm that cools down (card 12).

population    ▁▅▂ ▇▃▁ ▂▂▆ …      an individual is a threshold of each class; the rules given are one of them
child         ▁▃▁                each class from one of two parents, and some thresholds moved: far while it is hot
replaces      its first parent   where it is better; where it is worse the less likely the colder it is (annealing)

A grid of all combinations grows exponentially with the classes. Where the figure is a mean over classes, each could be
searched alone, as `training.tuning.tune` does; where all events are counted together it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import structs

from edge.decode.decoder import Decoder
from edge.inference.card import Decode, Rule
from training.evaluation.heard import Heard
from training.tuning.choice import ON, Tuned
from training.tuning.curves import f1, judges, off_of, pairs, ratio_of, tallies
from training.tuning.tune import known_of, over

Average = Literal["macro", "micro"]
Float64 = npt.NDArray[np.float64]
Genes = npt.NDArray[np.int64]
POPULATION = 24
EVALUATIONS = 6000
HEAT = 0.05  # a figure that is worse by so much replaces a better one once in e times, at first
REACH = 0.25  # deviation of a move, as a share of the range, at first


def tune_together(
    heard: Sequence[Heard],
    labels: Sequence[str],
    rules: Decode,
    average: Average = "macro",
    seed: int = 0,
    evaluations: int = EVALUATIONS,
) -> Tuned:
    """Choose the thresholds of all classes by one figure, which is never worse than that of the rules given.

    Parameters
    ----------
    heard
        As for `training.tuning.tune.tune`.
    rules
        Where to start; all but `on` stays, and `off` keeps its share of it.
    average
        Of the classes that any recording has, the mean of their F1 (``macro``), or the F1 of all their events together
        (``micro``).
    seed, evaluations
        Same seed, same thresholds; how many combinations are looked at.

    Raises
    ------
    ValueError
        Nothing is known of the recordings, or their scores lie on different grids.
    """
    known = known_of(heard)
    own = Decoder(labels, rules).rules  # ignored labels have none
    tuned = [name for name in own if any(labels.index(name) in (h.item.weak or ()) for h in known)]
    notes = tuple(f"{name}: no recording of it: its rule stays" for name in own if name not in tuned)
    if not tuned:
        return Tuned(rules, notes)
    choices = [np.sort(np.append(ON, own[name].on)) for name in tuned]
    tables = []
    for name, on in zip(tuned, choices, strict=True):
        used, by_events = judges(known, labels.index(name))
        tables.append(tallies(used, labels.index(name), own[name], pairs(on, ratio_of(own[name])), by_events))
    table, classes = np.stack(tables), np.arange(len(tuned))

    def fitness(genes: Genes) -> float:
        chosen = table[classes, genes]
        return float(f1(chosen).mean() if average == "macro" else f1(chosen.sum(0)))

    start = np.array([int(np.searchsorted(on, own[name].on)) for name, on in zip(tuned, choices, strict=True)])
    best = evolve(fitness, start, table.shape[1], np.random.default_rng(seed), evaluations)
    chosen = dict(rules.labels)
    for name, on, gene, first in zip(tuned, choices, best, start, strict=True):
        if gene != first:
            value = float(on[gene])
            found = Rule(on=value, off=off_of(value, ratio_of(own[name])))
            chosen[name] = over(rules.labels.get(name, Rule()), found)
    return Tuned(structs.replace(rules, labels=chosen), notes)


def evolve(
    fitness: Callable[[Genes], float], start: Genes, choices: int, rng: np.random.Generator, evaluations: int
) -> Genes:
    """Return the fittest individual that was seen; `start` where none was fitter.

    Parameters
    ----------
    fitness
        Of genes ``[G]``, each ``0 … choices − 1``: neighbours in number should be alike. More is better.
    evaluations
        How often it is asked at most.
    """
    people = [start, *rng.integers(0, choices, (min(POPULATION, max(1, evaluations)) - 1, len(start)))]
    fits = [fitness(genes) for genes in people]
    champion = int(np.argmax(fits))
    best, record = people[champion], fits[champion]
    for step in range(len(people), evaluations):
        heat = 1 - step / evaluations
        mine, other = step % len(people), max(rng.integers(len(people), size=2), key=lambda k: fits[k])
        child = _mutated(np.where(rng.random(len(start)) < 0.5, people[mine], people[other]), choices, heat, rng)
        fit = fitness(child)
        if fit > record:
            best, record = child, fit
        if fit >= fits[mine] or rng.random() < np.exp((fit - fits[mine]) / (HEAT * heat)):
            people[mine], fits[mine] = child, fit
    return best


def _mutated(genes: Genes, choices: int, heat: float, rng: np.random.Generator) -> Genes:
    """Genes of which one at least has moved, by one at least; it may meet the end of the range."""
    moved = rng.random(len(genes)) < 1 / len(genes)
    moved[rng.integers(len(genes))] = True
    way = rng.normal(0, heat * REACH * choices, len(genes))
    steps = np.where(way < 0, np.floor(way), np.ceil(way)).astype(np.int64)
    return np.where(moved, np.clip(genes + steps, 0, choices - 1), genes)
