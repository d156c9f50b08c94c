"""Two saved runs side by side: ratios, and a verdict that knows how far each figure wanders by itself.

    quotients of all rounds of B by all rounds of A      ×0.7  0.8 |  0.9 … 1.1 | 1.2  1.3
                                                             wholly on one side of 1: a difference
                                                             on both sides: noise

The interval holds the middle 90 % of the quotients. Rounds of one run share that run's luck, so a difference below 5 %
is called none whatever the interval says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from bench import report
from bench.result import Document, Figure, Result

Verdict = Literal["better", "worse", "more", "less", "same", "noise", "unknown"]
SMALL = 0.05
ENOUGH = 3  # rounds of both before a spread says anything


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of both runs.

    Attributes
    ----------
    ratio
        B by A; null where A is 0.
    low, high
        Between which nine tenths of the quotients of single rounds lie; null where there are too few.
    verdict
        ``better`` or ``worse`` for B (``more`` or ``less`` where neither is good), ``same`` below 5 %, ``noise`` where
        the rounds disagree, ``unknown`` with fewer than three rounds.
    """

    benchmark: str
    row: str
    column: str
    unit: str
    a: float
    b: float
    ratio: float | None
    low: float | None
    high: float | None
    verdict: Verdict


def compare(a: Document, b: Document) -> tuple[list[Comparison], list[str]]:
    """Figures that both have, with the same settings; and what to know about the comparison."""
    notes = []
    if a.machine.get("processor") != b.machine.get("processor"):
        notes.append(
            f"different machines: {a.machine.get('processor')} and {b.machine.get('processor')}; ratios are theirs"
        )
    for name, made in (("A", a), ("B", b)):
        cores = made.machine.get("cores", 1)
        if made.load and made.load[0] > cores:
            notes.append(f"{name} was measured on a noisy machine: load average {made.load[0]:g} on {cores} cores")
    found = []
    for before in a.results:
        after = next((result for result in b.results if _alike(before, result)), None)
        if after is None:
            notes.append(f"{before.benchmark} {before.settings}: not in B with the same settings")
        else:
            found += _results(before, after)
    return found, notes


def _alike(a: Result, b: Result) -> bool:
    return (a.benchmark, a.settings) == (b.benchmark, b.settings)


def _results(a: Result, b: Result) -> list[Comparison]:
    others = {(f.row, f.column): f for f in b.figures}
    pairs = [(f, others[f.row, f.column]) for f in a.figures if (f.row, f.column) in others]
    return [_figures(a.benchmark, before, after) for before, after in pairs]


def _figures(benchmark: str, a: Figure, b: Figure) -> Comparison:
    span = interval(a.rounds, b.rounds)
    ratio = b.value / a.value if a.value else None
    return Comparison(
        benchmark=benchmark,
        row=a.row,
        column=a.column,
        unit=a.unit,
        a=a.value,
        b=b.value,
        ratio=ratio,
        low=span[0] if span else None,
        high=span[1] if span else None,
        verdict=verdict(a, b),
    )


def interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Between which nine tenths of all quotients of a round of `b` by one of `a` lie; None where there are too few.

    >>> interval([1, 1, 1], [2, 2, 2])
    (2.0, 2.0)
    """
    if min(len(a), len(b)) < ENOUGH or not all(a):
        return None
    low, high = np.percentile(np.divide.outer(np.asarray(b, float), np.asarray(a, float)), [5, 95])
    return float(low), float(high)


def verdict(a: Figure, b: Figure) -> Verdict:
    """What can be said about B beside A."""
    if a.value == b.value:
        return "same"
    span = interval(a.rounds, b.rounds)
    if span is None:
        return "unknown" if a.value and a.rounds else _direction(a, b)
    if span[0] <= 1 <= span[1]:
        return "noise" if abs(b.value / a.value - 1) >= SMALL else "same"
    if abs(b.value / a.value - 1) < SMALL:
        return "same"
    return _direction(a, b)


def _direction(a: Figure, b: Figure) -> Verdict:
    side: Literal["less", "more"] = "less" if b.value < a.value else "more"
    if not a.better:
        return side
    return "better" if side == a.better else "worse"


def to_markdown(comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """A table with one figure a row."""
    rows = [
        [
            f"{c.benchmark}: {c.row}, {c.column}",
            f"{c.a:.4g} {c.unit}".strip(),
            f"{c.b:.4g} {c.unit}".strip(),
            "" if c.ratio is None else f"{c.ratio:.2f}",
            "" if c.low is None or c.high is None else f"{c.low:.2f} … {c.high:.2f}",
            c.verdict,
        ]
        for c in comparisons
    ]
    return "\n\n".join([report.markdown(("figure", "A", "B", "B / A", "of rounds", "B is"), rows), *notes])
