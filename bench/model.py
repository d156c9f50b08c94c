"""What each file of a model costs: to load, to keep, for a step, and for a second of sound."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import measure
from bench.measure import Contender
from bench.result import Figure, Result, figure, timed
from bench.scene import busy_scene
from edge.blocks import AudioBlock, FeatureBlock, Float32
from edge.demo import RATE
from edge.frontend.stream import FrontEnd, Waveform
from edge.inference import store
from edge.inference.card import ModelFile, Stateful
from edge.inference.model import Model
from edge.inference.runtimes import available
from edge.resample import Resampler

PACE_S = 0.02
LOADS = 3

_LOAD = """
import sys, time
begin = time.perf_counter()
from bench.vitals import resident
from edge.inference.model import Model
imported, before = time.perf_counter(), resident()
model = Model.load(*sys.argv[1:])
done = time.perf_counter()
print(1000 * (done - imported), resident() - before)
"""


@dataclass(frozen=True)
class Candidate:
    """A file of a model, loaded."""

    name: str
    folder: Path
    file: ModelFile
    model: Model


def run(folders: Sequence[str] = ("esc10-s",), seconds: float = 20.0, rounds: int = 7) -> list[Result]:
    """One table a model: all its files that can be run here.

    Parameters
    ----------
    folders
        Names or folders of models.
    seconds
        Length of the sound.
    rounds
        Of interleaved measuring.
    """
    return [_model(name, seconds, rounds) for name in folders]


def _model(name: str, seconds: float, rounds: int) -> Result:
    folder = store.find(name)
    candidates = [
        Candidate(f"{file.engine} {file.precision}", folder, file, Model.load(folder, file.engine, file.precision))
        for file in store.load_card(folder).files
        if available(file.engine)
    ]
    blocks = {c.name: steps(c.model, seconds) for c in candidates}
    contenders = [Contender(c.name, _Steps(c.model, blocks[c.name][0]), blocks[c.name]) for c in candidates]
    slow = [Contender(c.name, c.run, c.items[:100]) for c in contenders]
    busy = measure.back_to_back(contenders, rounds)
    whole = [Contender(c.name, _all(c.run), [c.items], _seconds(candidates[0].model, c.items)) for c in contenders]
    cost = measure.back_to_back(whole, rounds, time.process_time_ns)
    paced = measure.paced(slow, PACE_S, 3)
    figures: list[Figure] = []
    scores = {c.name: _scores(c.model, blocks[c.name]) for c in candidates}
    first = candidates[0].name
    for c in candidates:
        figures += [
            timed(c.name, "step p50", busy[c.name], 50),
            timed(c.name, "step p99", busy[c.name], 99),
            timed(c.name, "paced step p50", paced[c.name], 50),
            timed(c.name, "paced step p99", paced[c.name], 99),
            timed(c.name, "per second of sound", cost[c.name], 50, "ms"),
            *loads(c),
            Figure(row=c.name, column="size", value=(c.folder / c.file.name).stat().st_size / 1024, unit="KiB"),
            Figure(row=c.name, column=f"largest difference from {first}", value=_apart(scores[c.name], scores[first])),
        ]
    warning = measure.warning([*busy.values(), *paced.values()])
    settings = {"model": candidates[0].model.id, "seconds": seconds, "rounds": rounds}
    notes = [
        f"Frames to scores, without front end and decisions; paced: a step every {1000 * PACE_S:g} ms. The cost of a "
        "second of sound is processor time, steps are by the wall clock."
    ]
    return Result(benchmark="model", settings=settings, figures=figures, notes=notes + [warning] * bool(warning))


class _Steps:
    """Feeds a scorer one step after another, beginning again where the sound begins again."""

    def __init__(self, model: Model, first: FeatureBlock) -> None:
        self._scorer, self._first = model.stream(), first

    def __call__(self, block: FeatureBlock) -> object:
        if block is self._first:
            self._scorer.reset(block.epoch, block.first_frame)
        return self._scorer.push(block)


def _all(step: Callable[[FeatureBlock], object]) -> Callable[[Sequence[FeatureBlock]], None]:
    def run(blocks: Sequence[FeatureBlock]) -> None:
        for block in blocks:
            step(block)

    return run


def steps(model: Model, seconds: float) -> list[FeatureBlock]:
    """Sound as the features of one step each."""
    card = model.card
    resampler = Resampler(RATE, card.input.rate)
    samples = resampler.push(AudioBlock("bench", 0, RATE, busy_scene(seconds)[0]))
    front = FrontEnd(model.spec) if model.spec else Waveform(card.input.rate)
    front.reset("bench", 0)
    frames = front.push(samples)
    length = card.stream.chunk if isinstance(card.stream, Stateful) else card.stream.hop
    return [
        FeatureBlock(frames.epoch, first, frames.hop, frames.rate, frames.frames[first : first + length])
        for first in range(0, len(frames.frames) - length + 1, length)
    ]


def _scores(model: Model, blocks: Sequence[FeatureBlock]) -> Float32:
    scorer = model.stream()
    return np.concatenate([scorer.push(block).scores for block in blocks])


def _apart(a: Float32, b: Float32) -> float:
    return float(np.abs(a - b).max()) if len(a) else 0.0


def _seconds(model: Model, blocks: Sequence[FeatureBlock]) -> float:
    return sum(len(block.frames) for block in blocks) * blocks[0].hop / model.card.input.rate


def loads(candidate: Candidate) -> list[Figure]:
    """Time to load and memory that it takes, each in a process of its own with a warm disk."""
    arguments = [str(candidate.folder), candidate.file.engine, candidate.file.precision]
    found = []
    for _ in range(LOADS + 1):
        done = subprocess.run([sys.executable, "-c", _LOAD, *arguments], check=True, capture_output=True, text=True)
        found.append([float(number) for number in done.stdout.split()])
    times, sizes = zip(*found[1:], strict=True)
    return [
        figure(candidate.name, "load with its runtime", times, "ms", "less"),
        figure(candidate.name, "memory with its runtime", sizes, "MiB", "less"),
    ]
