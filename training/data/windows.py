"""Weak labels of stretches: what a person would say who hears a recording piece by piece, and only whether.

recording    ▁▁▁▇▇▇▇▁▁▁▁▁▁▁▁▇▁▁▁▁      strong: when
windows      │  0  │  1  │  2  │  3  │
weak         │  ✓  │  ✓  │  –  │  ✓  │    a sound of at least LEAST seconds lies in it, nobody says where
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from training.data.dataset import Dataset, Item, Sound

LEAST = 0.1  # seconds of a sound that are heard
NEAR = 1e-6  # seconds: windows so near stand beside one another


def windows(dataset: Dataset, size: float, seconds: Mapping[str, float]) -> Dataset:
    """Cut recordings into windows with weak labels, one behind another; a rest of less than half a window is left out.

    Parameters
    ----------
    size
        Seconds of a window.
    seconds
        Length of each recording, by its name.
    """
    cut = [w for item in dataset.items for w in _cut(item, size, seconds[item.name])]
    return replace(dataset, items=tuple(cut))


def fold_per_recording(items: Sequence[Item]) -> list[Item]:
    """Give each recording with sounds a fold of its own, from 1 on; those without are dealt out over the folds."""
    sounding = [item for item in items if item.weak]
    numbers = {item.name: k + 1 for k, item in enumerate(sounding)}
    silent = [item for item in items if not item.weak]
    numbers |= {item.name: k % max(1, len(sounding)) + 1 for k, item in enumerate(silent)}
    return [replace(item, fold=numbers[item.name]) for item in items]


def beside(items: Sequence[Item], seconds: float) -> list[list[Item]]:
    """Windows in rows: each of one recording, in the order of time, without a hole.

    Raises
    ------
    ValueError
        An item is no window of this length, or is not labelled.
    """
    for item in items:
        long = item.stop is not None and item.stop - item.start > seconds + NEAR
        if item.weak is None or item.stop is None or long:
            found = "no labels" if item.weak is None else "a whole recording" if item.stop is None else "a longer one"
            raise ValueError(f"{item.name}: expected a labelled window of {seconds:g} s (`data.window`), got {found}")
    return rows(items)


def rows(items: Sequence[Item]) -> list[list[Item]]:
    """Items of one file that follow one another without a hole, in the order of time; others are rows by themselves."""
    ordered = sorted(items, key=lambda item: (str(item.path), item.start))
    out = [ordered[:1]] if ordered else []
    for before, item in pairwise(ordered):
        if item.path == before.path and before.stop is not None and abs(item.start - before.stop) <= NEAR:
            out[-1].append(item)
        else:
            out.append([item])
    return out


def _cut(item: Item, size: float, seconds: float) -> list[Item]:
    out = []
    for k in range(max(1, int(seconds / size + 0.5))):
        start, stop = k * size, min((k + 1) * size, seconds)
        heard = sorted({s.label for s in item.strong or () if _shared(s, start, stop) >= LEAST})
        weak = tuple(heard) if item.strong is not None else None
        place = {"start": item.start + start, "stop": item.start + stop, "group": item.group or item.name}
        out.append(replace(item, name=f"{item.name}@{start:g}", weak=weak, strong=None, order=None, **place))
    return out


def _shared(sound: Sound, start: float, stop: float) -> float:
    return min(sound.offset, stop) - max(sound.onset, start)
