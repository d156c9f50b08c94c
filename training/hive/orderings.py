"""Which of card 26's orderings generated hives show: an SVM with one thing changed at a time, and the CNN beside it.

HIVES/hives0/Hive1_001.wav, .lab …             one set per seed of the generator; what stands there is not made again
HIVES/runs/hives0-known-hives-200/fold1/ …     trainings of the CNN, on the sets of the first seeds

The hives are generated: which method is better on them is a question about the methods, or about the generator. None of
the figures says anything about a real hive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from training.evaluation.report import table
from training.hive.generate import write
from training.hive.vary import FRONT_END, Setting, areas, blocks_of, splits

KNOWN, UNSEEN = "known hives", "unseen hives"
APART = 100  # between the seeds of two sets: more than there are hives in one
ALIKE = 0.02  # "almost identical", of areas
Say = Callable[[str], None]
TEXT = """
Bees alone or with a sound from outside, told block by block in hives that `training.hive.generate` made: no labelled
recording of a hive was at hand. The figures show how methods differ on such sounds; they say nothing of a real hive. A
set is {size.hives} hives with {size.recordings} recordings each, {minutes:.0f} minutes, about {size.share:.0%} of them
with external sounds of 0.5 to 20 s. All are as loud as the hum, so that what Θ > 0 does not count can be heard all the
same. Of {size.parts} parts each is held out once: whole recordings of all hives (*known*; the card draws single
blocks), or whole hives (*unseen*). AUC is the mean of the parts, ± its deviation over sets. The card's best SVM: mean
and deviation of 20 MFCC without c0, with slopes and curvatures, over S = {size.block:g} s; external sounds below
Θ = {size.least:g} s do not count; features as they are, RBF kernel, C = 1, gamma = 1 / features, rarer blocks
duplicated. {trained}
An ordering of the card counts as found where every set that was measured has it. {verdicts}
"""
CNN_TEXT = """
The CNN is `hive-compact` with S and Θ = 0, trained for {size.steps} steps of {size.batch} excerpts for each part: very
short (its recipe says 8,000 of 20); a block has the mean score of its excerpts. It is compared with SVMs of the same
labels; its S, Θ and field were not varied.
"""
TITLE = "Generated hives: orderings of card 26, which say nothing of a real one"


@dataclass(frozen=True)
class Size:
    """How much is generated and trained.

    Attributes
    ----------
    seeds, networks
        Sets of hives; those of them that the CNN learns from too.
    hives, recordings, seconds
        Of a set; recordings of each hive, and their length.
    share
        Of the time with sounds from outside. The card's quarter would leave hardly a block of a minute without one.
    block
        S; half of it is compared.
    least
        Θ; 0 is compared.
    parts
        A set is divided into so many parts, each the test part once.
    steps, batch
        Of each training of the CNN.
    """

    seeds: int = 3
    networks: int = 1
    hives: int = 8
    recordings: int = 4
    seconds: float = 180.0
    share: float = 0.1
    block: float = 60.0
    least: float = 5.0
    parts: int = 2
    steps: int = 200
    batch: int = 8


@dataclass(frozen=True)
class Row:
    """Areas under the ROC curve of one method.

    Attributes
    ----------
    method, change
        What it is, and in what it differs from the first of its kind.
    test, learnt
        By split, for each seed: of blocks that were held out, and of those that were learnt from.
    """

    method: str
    change: str
    test: dict[str, list[float]] = field(default_factory=lambda: {KNOWN: [], UNSEEN: []})
    learnt: dict[str, list[float]] = field(default_factory=lambda: {KNOWN: [], UNSEEN: []})

    def add(self, split: str, found: tuple[float, float]) -> None:
        """Take the areas of one more seed: held out, learnt from."""
        self.test[split].append(found[0])
        self.learnt[split].append(found[1])

    def gap(self) -> list[float]:
        """How much better it is on what it learnt from, in known hives."""
        return [a - b for a, b in zip(self.learnt[KNOWN], self.test[KNOWN], strict=True)]


def settings(size: Size) -> dict[str, Setting]:
    """The SVM that is best in the card, by "", and the changes of it."""
    best = Setting(block=size.block, least=size.least)
    changed = {
        "": best,
        "Θ = 0": replace(best, least=0.0),
        "half S": replace(best, block=size.block / 2),
        "with c0": replace(best, first=True),
        "unbalanced": replace(best, balance=False),
    }
    plain = {"standardised": replace(best, standardise=True)}
    return changed | plain | {f"standardised, {k}": replace(v, standardise=True) for k, v in changed.items() if k}


def svms(folder: Path, size: Size, say: Say = lambda _: None) -> dict[str, Row]:
    """Measure every setting on every set of hives; sets that are not there are generated."""
    rows = {change: Row("SVM", change) for change in settings(size)}
    for seed in range(size.seeds):
        hives = generated(folder, size, seed)
        say(f"{hives}: generated")
        blocks = {length: blocks_of(hives, length, (size.least, 0.0)) for length in (size.block, size.block / 2)}
        for change, setting in settings(size).items():
            for split, parts in splits(size.hives, size.recordings, size.parts).items():
                rows[change].add(split, areas(blocks[setting.block], parts, setting, seed))
    return rows


def generated(folder: Path, size: Size, seed: int) -> Path:
    """Return the folder of a set of hives; it is written anew unless it is whole."""
    hives = folder / f"hives{seed}"
    if len(list(hives.glob("*.lab"))) < size.hives * size.recordings:
        write(hives, size.hives, size.recordings, size.seconds, FRONT_END.rate, APART * seed, size.share)
    return hives


def cnn(folder: Path, size: Size, say: Say = lambda _: None) -> Row:
    """Train the CNN for each part of either split, with the card's best S and Θ = 0."""
    from training.hive import network

    row = Row("CNN", "")
    for seed in range(size.networks):
        hives = generated(folder, size, seed)
        for split, parts in splits(size.hives, size.recordings, size.parts).items():
            out = folder / "runs" / f"{hives.name}-{split.replace(' ', '-')}-{size.steps}"
            recipe = network.recipe(hives, parts, size.block, 0.0, size.steps, size.batch)
            found = [network.areas(recipe, folder, out, fold) for fold in range(1, len(parts) + 1)]
            row.add(split, (mean([test for test, _ in found]), mean([learnt for _, learnt in found])))
            say(f"{out}: {row.test[split][-1]:.3f}")
    return row


def mean(values: Sequence[float]) -> float:
    """Mean of the areas that there are."""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


class Ordering(NamedTuple):
    """A finding of the card: on the left what should have the larger figure, one for each seed."""

    claim: str
    left: Sequence[float]
    right: Sequence[float]
    alike: bool = False

    def verdict(self) -> str:
        """``found``, ``opposite``, ``undecided``: by the seeds that have both figures, which must all agree."""
        apart = [a - b for a, b in zip(self.left, self.right, strict=False)]
        if self.alike:
            return "found" if abs(mean(apart)) <= ALIKE else "opposite"
        if all(d > 0 for d in apart):
            return "found"
        return "opposite" if all(d < 0 for d in apart) else "undecided"

    def told(self) -> str:
        """The claim with both means over the seeds that are compared."""
        count = min(len(self.left), len(self.right))
        return f"{self.claim} ({mean(self.left[:count]):.3f} against {mean(self.right[:count]):.3f})"


def orderings(svm: dict[str, Row], network: Row | None) -> list[Ordering]:
    """What the card says, with the figures that were measured; without the CNN's where there is none."""
    best = svm[""]
    found = [
        Ordering("the SVM is better in known hives than in unseen ones", best.test[KNOWN], best.test[UNSEEN]),
        Ordering("Θ > 0 is better than Θ = 0 for the SVM", best.test[KNOWN], svm["Θ = 0"].test[KNOWN]),
        Ordering("the SVM's gap between training and test is larger with Θ = 0", svm["Θ = 0"].gap(), best.gap()),
        Ordering("S is better than half of it for the SVM", best.test[KNOWN], svm["half S"].test[KNOWN]),
        Ordering("the SVM is better without c0", best.test[KNOWN], svm["with c0"].test[KNOWN]),
        Ordering("the SVM is better without standardising", best.test[KNOWN], svm["standardised"].test[KNOWN]),
        Ordering("balance is all the same to the SVM", best.test[KNOWN], svm["unbalanced"].test[KNOWN], alike=True),
    ]
    if network is None:
        return found
    same, standardised = svm["Θ = 0"], svm["standardised, Θ = 0"]  # other labels would be another task than the CNN's
    return [
        *found,
        Ordering("of Θ = 0 the SVM is better than the CNN in known hives", same.test[KNOWN], network.test[KNOWN]),
        Ordering("the CNN is better in known hives than in unseen ones", network.test[KNOWN], network.test[UNSEEN]),
        Ordering("of Θ = 0 the CNN is better than the SVM in unseen hives", network.test[UNSEEN], same.test[UNSEEN]),
        Ordering(
            "of Θ = 0 the CNN is better than the standardised SVM in unseen hives",
            network.test[UNSEEN],
            standardised.test[UNSEEN],
        ),
        Ordering("of Θ = 0 the SVM has a larger gap than the CNN", same.gap(), network.gap()),
    ]


def section(svm: dict[str, Row], network: Row | None, size: Size, command: str = "") -> dict[str, Any]:
    """Return the areas as a section of results, with what they say of the card's orderings above them."""
    rows = [
        [row.method, row.change or "the card's best", *(_spread(row.test[split]) for split in (KNOWN, UNSEEN)),
         _spread(row.learnt[KNOWN]), len(row.test[KNOWN])]
        for row in [*svm.values(), *([network] if network else [])]
    ]  # fmt: skip
    minutes = size.hives * size.recordings * size.seconds / 60
    trained = CNN_TEXT.format(size=size) if network else ""
    text = TEXT.format(size=size, minutes=minutes, trained=trained, verdicts=_verdicts(orderings(svm, network)))
    heads = ["", "with", "AUC, known hives", "AUC, unseen hives", "AUC of what it learnt from, known hives", "seeds"]
    return table(TITLE, heads, rows, " ".join(text.split()), command)


def _verdicts(found: Sequence[Ordering]) -> str:
    heads = {"found": "Found", "opposite": "Not found, but the opposite", "undecided": "Not found: seeds differ"}
    told = {verdict: [o.told() for o in found if o.verdict() == verdict] for verdict in heads}
    return " ".join(f"{head}: {'; '.join(told[verdict])}." for verdict, head in heads.items() if told[verdict])


def _spread(values: Sequence[float]) -> str:
    """Mean and, of several, the deviation."""
    middle = mean(values)
    if len(values) < 2:
        return f"{middle:.3f}"
    return f"{middle:.3f} ± {math.sqrt(mean([(v - middle) ** 2 for v in values])):.3f}"
