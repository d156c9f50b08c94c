"""How much sound a core gets through: recordings as fast as it can, and streams in real time.

Recordings are timed by the processor's clock, which other programs hardly disturb. Streams are tried out: so many at
once, in real time, on one core; the largest number that keeps up is found by bisection.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import measure, rig
from bench.detectors import PlainLiteRt, SlidingWindow
from bench.measure import Contender, Timing
from bench.result import Figure, Result, figure
from bench.rig import PacedSource, Stamps
from bench.scene import busy_scene
from edge.blocks import AudioBlock, Event, Float32
from edge.clock import SECOND, SampleClock, SystemClock
from edge.decode.event import EventMaker
from edge.demo import RATE
from edge.inference import store
from edge.inference.card import Card
from edge.inference.model import Model
from edge.inference.runtimes import available
from edge.pipeline import Pipeline
from edge.resample import Resampler
from edge.ring import Ring
from edge.sources.soundfile import SoundFileSource

OURS, PLAIN = "wheatear, file to events", "plain LiteRT loop"
HAND = {
    None: "by hand: librosa + ONNX Runtime, 1 s every 100 ms",
    1: "by hand, held to one thread",
}
BLOCKS_S = (0.01, 0.1)
KEEPS_UP_S = 0.25  # sound still unheard at the end of a trial
LEAD_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to run.

    Attributes
    ----------
    seconds
        Length of the recording; a tenth of it for what is written by hand.
    trial_s
        Seconds that each number of streams is tried for; 0 for no trials.
    third_party
        Folder of a window model, such as BirdNET-STM32 with its card, to run beside a plain loop.
    """

    model: str = "esc10-s"
    seconds: float = 300.0
    rounds: int = 5
    trial_s: float = 5.0
    third_party: Path | None = None


def run(options: Options) -> list[Result]:
    """Recordings first, then streams."""
    results = [_files(options)]
    if options.trial_s:
        results.append(_streams(options))
    return results


def _files(options: Options) -> Result:
    with tempfile.TemporaryDirectory(prefix="wheatear-bench-") as folder:
        groups = [[*_ours(options, Path(folder)), *_by_hand(options)]]
        if options.third_party:
            groups.append(list(_third_party(options.third_party, options.seconds, Path(folder))))
        timings = measure.back_to_back([c for group in groups for c in group], options.rounds, time.process_time_ns)
    figures = []
    for group in groups:
        ours = timings[group[0].name]
        figures += [f for contender in group for f in _cost(timings[contender.name], ours)]
    warning = measure.warning(list(timings.values()))
    notes = ["Processor time, models loaded; one core-hour is one core, busy for an hour."]
    settings = {"model": options.model, "seconds": options.seconds, "rounds": options.rounds}
    return Result(benchmark="throughput", settings=settings, figures=figures, notes=notes + [warning] * bool(warning))


def _cost(timing: Timing, ours: Timing) -> list[Figure]:
    """Cost, its inverse, and how often it contains the cost of the first of the group."""
    seconds, base = ([float(np.median(times)) for times in t.rounds] for t in (timing, ours))
    quotients = [a / b for a, b in zip(seconds, base, strict=True)]
    return [
        figure(timing.name, "per second of sound", [1000 * s for s in seconds], "ms", "less"),
        figure(timing.name, "hours of sound per core-hour", [1 / s for s in seconds], "", "more"),
        *([] if timing is ours else [figure(timing.name, "times the first", quotients)]),
    ]


def _ours(options: Options, folder: Path) -> Iterator[Contender]:
    """From a file to events with each of the model's files; the default one first."""
    sound = _write(folder / "scene.wav", busy_scene(options.seconds)[0], RATE)
    files = [file for file in store.load_card(store.find(options.model)).files if available(file.engine)]
    yield _hearing(OURS, Model.load(options.model), sound, options.seconds)
    for file in files:
        model = Model.load(options.model, file.engine, file.precision)
        yield _hearing(f"{OURS}, {file.engine} {file.precision}", model, sound, options.seconds)


def _hearing(name: str, model: Model, sound: Path, seconds: float) -> Contender:
    return Contender(name, lambda path: hear(model, path), [sound], seconds)


def hear(model: Model, path: Path) -> list[Event]:
    """Events of a sound file, by way of source, ring and pipeline, as in the daemon."""
    source, events = SoundFileSource(path), list[Event]()
    source.open()
    clock = SampleClock(source.rate)
    ring = Ring(round(rig.RING_SECONDS * source.rate), source.rate)
    pipeline = Pipeline(model, EventMaker("bench", "file", model.id, source.rate, clock))
    source.start(ring, SystemClock(), clock)
    try:
        rig.follow(ring, pipeline, events.append)
    finally:
        source.close()
    return events + pipeline.flush("stop")


def _by_hand(options: Options) -> Iterator[Contender]:
    folder = store.find(options.model)
    if SlidingWindow.suits(store.load_card(folder)):
        samples, _ = busy_scene(max(5.0, options.seconds / 10))
        for threads, how in HAND.items():
            yield Contender(how, SlidingWindow(folder, threads), [samples], len(samples) / RATE)


def _third_party(folder: Path, seconds: float, scratch: Path) -> Iterator[Contender]:
    """A foreign model through our runtime, and the same windows through a plain loop."""
    card = store.load_card(folder)
    samples = _resampled(busy_scene(seconds)[0], card)
    sound = _write(scratch / "third-party.wav", samples, card.input.rate)
    yield _hearing(f"{OURS}, {card.name}", Model.load(folder), sound, seconds)
    if PlainLiteRt.suits(card):
        yield Contender(f"{PLAIN}, {card.name}", PlainLiteRt(folder), [samples], seconds)


def _resampled(samples: Float32, card: Card) -> Float32:
    resampler = Resampler(RATE, card.input.rate)
    return np.concatenate([resampler.push(AudioBlock("bench", 0, RATE, samples)).samples, resampler.flush().samples])


def _write(path: Path, samples: Float32, rate: int) -> Path:
    import soundfile

    soundfile.write(path, samples, rate)
    return path


def _streams(options: Options) -> Result:
    model = Model.load(options.model)
    figures = []
    for block in BLOCKS_S:
        with one_core():
            most = bisect(lambda count, block=block: keeps_up(model, count, options.trial_s, block))
        row = f"sound in blocks of {1000 * block:g} ms"
        figures.append(Figure(row=row, column="streams on one core", value=most, better="more", rounds=[float(most)]))
    return Result(
        benchmark="streams",
        settings={"model": options.model, "trial s": options.trial_s},
        figures=figures,
        notes=["In real time with sources, journal and publisher, one process; a busy machine makes it fewer."],
    )


def bisect(fits: Callable[[int], bool], first: int = 32, most: int = 2048) -> int:
    """Largest number that fits, up to an eighth of itself: doubled while it does, then halved in between.

    >>> bisect(lambda n: n <= 100)
    96
    """
    low, high = 0, first
    while high <= most and fits(high):
        low, high = high, 2 * high
    if high > most:
        return low
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def keeps_up(model: Model, count: int, seconds: float, block_s: float) -> bool:
    """Whether so many streams lose nothing and stay with the clock."""
    samples, _ = busy_scene(1.0 + seconds)
    block = round(block_s * RATE)
    stamps, names = Stamps(), [f"s{i}" for i in range(count)]
    with rig.place("ipc") as (folder, endpoint), rig.outbox(folder, endpoint, stamps, names) as box:
        begin = rig.now() + round(LEAD_S * SECOND)
        streams = [
            rig.Stream(
                name,
                model,
                stamps,
                PacedSource(rig.rolled(samples, i / count), RATE, block, begin + rig.stagger(i)),
            )
            for i, name in enumerate(names)
        ]
        with rig.playing(streams, box.submit):
            time.sleep(max(0.0, (begin - rig.now()) / SECOND + 1.0 + seconds))
            return all(stream.backlog <= KEEPS_UP_S + block_s and not stream.ring.lost for stream in streams)
