"""The best that a detector of frames can do on given times: nothing but perfect frames, decoded.

labelled     ├─note─┤├──note──┤      ├─note─┤        times as a person set them
frames       ███████████████████      ███████         a class sounds in a frame or does not: what touches is one
joined                                                what stands at most `gap` apart is one, here and there
apart        ██████  ██████████      ███████         or a pause is left in the frames where two touch: the cut is known

A person who set the times again would not set them alike: moved by some hundredths of a second, the same labels tell
how much of a miss is the labels' own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from training.data.annotations import merge
from training.data.dataset import Dataset, Sound
from training.evaluation.report import table
from training.metrics.collar import event_figures

FRAME = 0.02  # seconds: what stands nearer is one in any decoder's frames
AGAIN = 5  # times that boundaries are moved anew
COLLARS = (0.2, 0.5)
Framed = Callable[[Sequence[Sound]], Sequence[Sound]]  # what frames make of sounds


def ceiling(
    dataset: Dataset, gaps: Sequence[float], jitters: Sequence[float], apart: float = 0.0, seed: int = 0
) -> dict[str, Any]:
    """Return a table of event F1 of perfect frames, by how labels are joined and how surely they were set.

    Parameters
    ----------
    dataset
        Recordings; those with times count.
    gaps
        Seconds up to which sounds of a class are joined, in what is asked for and in what is told; 0: nothing is
        joined in what is asked for.
    jitters
        Deviations in seconds by which the frames' boundaries are moved.
    apart
        Adds a row: nothing is joined, and so many seconds of silence are left in the frames where sounds touch; 0:
        no such row.

    Raises
    ------
    ValueError
        No recording has times.
    """
    timed = [item.strong for item in dataset.items if item.strong]
    if not timed:
        raise ValueError(f"{dataset.name}: expected recordings with the times of their sounds, got none")
    columns = [
        "joined up to",
        "events",
        *(f"F1 ({c * 1e3:.0f} ms), ends moved by {j:g} s" for j in jitters for c in COLLARS),
    ]
    frames = [(f"{gap:g} s", gap, _joined(max(gap, FRAME))) for gap in gaps]
    frames += [(f"0 s, {apart:g} s apart", 0.0, lambda sounds: drawn_apart(sounds, apart))] if apart else []
    rows = []
    for name, gap, framed in frames:
        asked = [merge(sounds, gap) if gap else sounds for sounds in timed]
        figures = [
            _f1(dataset.labels, timed, asked, framed, jitter, collar, seed) for jitter in jitters for collar in COLLARS
        ]
        rows.append([name, sum(map(len, asked)), *(f"{value:.3f}" for value in figures)])
    text = (
        "Event F1 of a detector that tells each frame as labelled: what no network that scores frames, and leaves no "
        "pause where sounds touch, can pass. Ends are moved at random, normally distributed, as by a person who sets "
        "them again."
    )
    return table(f"{dataset.name}: what perfect frames would reach", columns, rows, text)


def _f1(
    labels: Sequence[str],
    timed: Sequence[Sequence[Sound]],
    asked: Sequence[Sequence[Sound]],
    framed: Framed,
    jitter: float,
    collar: float,
    seed: int,
) -> float:
    rng = np.random.default_rng(seed)
    rounds = AGAIN if jitter else 1
    told = [framed(moved(sounds, jitter, rng)) for _ in range(rounds) for sounds in timed]
    return event_figures(list(asked) * rounds, told, labels, collar).f1


def _joined(gap: float) -> Framed:
    return lambda sounds: merge(sounds, gap)


def drawn_apart(sounds: Sequence[Sound], apart: float) -> list[Sound]:
    """Return the sounds with a pause of `apart` seconds between those of a class that would be nearer.

    It lies around the later one's onset; what has no length left keeps `FRAME`.
    """
    out: list[Sound] = []
    last: dict[int, int] = {}
    for sound in sorted(sounds, key=lambda sound: sound.onset):
        onset = sound.onset
        before = last.get(sound.label)
        if before is not None and out[before].offset > onset - apart:
            earlier = out[before]
            out[before] = replace(earlier, offset=max(min(earlier.offset, onset - apart / 2), earlier.onset + FRAME))
            onset += apart / 2
        last[sound.label] = len(out)
        out.append(replace(sound, onset=onset, offset=max(sound.offset, onset + FRAME)))
    return out


def moved(sounds: Sequence[Sound], deviation: float, rng: np.random.Generator) -> list[Sound]:
    """Return the sounds with both ends moved; what has no length left, or would begin before 0, keeps to its bounds."""
    out = []
    for sound in sounds:
        onset, offset = np.array([sound.onset, sound.offset]) + deviation * rng.standard_normal(2)
        onset = max(float(onset), 0.0)
        out.append(replace(sound, onset=onset, offset=max(float(offset), onset + FRAME)))
    return out
