"""Does a network that was led over to another domain still do what it did? The source-drop guard of card 27.

held-back labelled recordings ──▶ network as it was ──▶ figure ─┐
                              └─▶ adapted network  ──▶ figure ──┴─▶ fell by more than may be? then as it was

Recordings without labels, those of the new domain, are not asked.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import NamedTuple

from torch import nn

from training.data.dataset import Dataset
from training.procedures.registry import Job

log = logging.getLogger(__name__)
ANY = 1.0  # a fall that cannot be exceeded


class Guarded(NamedTuple):
    """The network that is kept, and what was measured: ``source_before``, ``source_after``, ``adapted`` (1, or 0)."""

    model: nn.Module
    figures: dict[str, float]


def check(job: Job, fall: float, start: Path) -> None:
    """Ask, before anything is learnt, whether a guard can judge; a warning where the start knows what it is asked.

    Raises
    ------
    ValueError
        Nothing is held back.
    """
    if fall >= ANY:
        return
    if job.validate is None:
        raise ValueError(
            "procedure: `fall` expects labelled recordings to be held back, by which to see whether they are still "
            "understood, got none; set `inner` in the recipe, as the start's had it, or fall = 1 to do without"
        )
    held, known = [item for item in job.inner.items if item.weak is not None], learnt(start, job.inner)
    if known:
        log.warning(
            "%s has learnt from %d of the %d recordings that `inner` holds back, such as %s: they will seem to fall "
            "more than new ones; give it the `inner` and the seed of its own recipe",
            *(start, len(known), len(held), known[0]),
        )


def guarded(job: Job, before: nn.Module, after: nn.Module, fall: float) -> Guarded:
    """Return the adapted network, or the one before where the first figure on what is held back fell too far.

    Parameters
    ----------
    before, after
        In evaluation mode.
    fall
        The most that may be; 0.01: one point. 1: anything.
    """
    if job.validate is None:
        return Guarded(after, {})
    name, old = next(iter(job.validate(before).items()))
    new = job.validate(after)[name]
    figures = {"source_before": old, "source_after": new, "adapted": 1.0}
    if new >= old - fall - 1e-9:
        return Guarded(after, figures)
    log.warning(
        "the network is kept as it was: on the known recordings that were held back %s fell from %.1f to %.1f %%, by "
        "more than the %g points of procedure.fall; raise `anchor`, or take fewer steps",
        *(name, 100 * old, 100 * new, 100 * fall),
    )
    return Guarded(before, figures | {"adapted": 0.0})


def learnt(start: Path, held: Dataset) -> list[str]:
    """Return the names of held-back labelled recordings that a run has learnt from, as far as its folder tells."""
    file = start / "splits.json"
    if not file.is_file():
        return []
    names = set(json.loads(file.read_text(encoding="utf-8")).get("train", ()))
    return [item.name for item in held.items if item.weak is not None and item.name in names]
