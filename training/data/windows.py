"""Weak labels of stretches: what a person would say who hears a recording piece by piece, and only whether.

recording    ▁▁▁▇▇▇▇▁▁▁▁▁▁▁▁▇▁▁▁▁      strong: when
windows      │  0  │  1  │  2  │  3  │
weak         │  ✓  │  ✓  │  –  │  ✓  │    a sound of at least LEAST seconds lies in it, nobody says where
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from training.data.dataset import Dataset, Item, Sound

LEAST = 0.1  # seconds of a sound that are heard


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
