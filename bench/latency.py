"""The whole way in real time: from the moment a sample has sounded to an event in a subscriber's hands.

    onset                      last sample needed               received
      |──── declared latency ────────|─────── behind it ───────────|
      |  window, chunk, median,      |  source ring front end engine decoder journal publisher socket
      |  minimum duration            |

How long a detector must hear before it can decide is a property of the model and its rules, the same on every machine;
`decisions` finds the sample for each event without a clock. What comes behind that sample is the machine's and ours.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench import rig
from bench.measure import NOISY
from bench.result import Figure, Result
from bench.rig import STAGES, Heard, Journey, Key, Listener, PacedSource, StampedJournal, StampedPublisher, Stamps
from bench.scene import busy_scene
from bench.vitals import Vitals, load
from edge.blocks import Event, Float32
from edge.clock import SECOND
from edge.decode.decoder import lookahead, rule_of
from edge.demo import RATE, Truth
from edge.errors import ConfigError
from edge.inference.card import Card, Decode, Stateful
from edge.inference.engine import EngineName
from edge.inference.model import Model, Precision

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
PARTS = 5  # of a run, to see how far a percentile wanders by itself
LEAD_S = 0.5  # from the start of the threads to the first sample
TOTAL, SOUND, DECLARED = "behind the last sample needed", "sound began → received", "of it declared by the model"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to run.

    Attributes
    ----------
    block_s
        Seconds of sound that a source delivers at a time.
    load
        Other processes that keep cores busy meanwhile.
    sound
        A recording to play instead of the synthesised scene.
    """

    model: str = "esc10-s"
    engine: EngineName | None = None
    precision: Precision | None = None
    streams: int = 1
    seconds: float = 60.0
    endpoint: Literal["tcp", "ipc"] = "tcp"
    block_s: float = 0.01
    load: int = 0
    sound: Path | None = None


@dataclass
class Run:
    """What a run left behind."""

    journeys: list[Journey]
    onsets: list[tuple[float, float]]  # (sound began → received, declared) of begins whose truth is known, seconds
    lost_samples: int
    gaps: int
    lost_events: int
    unexpected: int
    played_mib: float
    vitals: Vitals


def run(options: Options) -> list[Result]:
    """Measure, and give the tables of stages and of costs.

    Raises
    ------
    ConfigError
        The model hears nothing in the sound, so nothing can be measured.
    """
    done = measure(options)
    if not done.journeys:
        raise ConfigError(
            f"bench latency: expected events of {options.model} in {options.seconds:g} s of sound, got none: "
            "run it longer, or give --sound FILE with something that it knows"
        )
    return [stages(done, options), costs(done, options)]


def measure(
    options: Options,
    journal: type[StampedJournal] = StampedJournal,
    publisher: type[StampedPublisher] = StampedPublisher,
    model: Model | None = None,
) -> Run:
    """Play the scene to every stream at once and collect what happened; parts may be replaced by slower ones."""
    model = model or Model.load(options.model, options.engine, options.precision)
    samples, rate, truth = sound(options)
    block = max(1, round(options.block_s * rate))
    plays = [rig.rolled(samples, i / options.streams) for i in range(options.streams)]
    expected = {
        (f"s{i}", *identity(event)): (number + 1) * block
        for i, play in enumerate(plays)
        for event, number in rig.decisions(model, play, rate, block)
    }
    stamps, events = Stamps(), dict[Key, Event]()
    names = [f"s{i}" for i in range(options.streams)]
    with (
        rig.place(options.endpoint) as (folder, endpoint),
        rig.outbox(folder, endpoint, stamps, names, journal, publisher) as box,
        Listener(endpoint) as listener,
    ):
        listener.ready()

        def submit(event: Event) -> None:
            events[rig.key(event)] = event
            box.submit(event)

        begin = rig.now() + round(LEAD_S * SECOND)
        streams = [
            rig.Stream(name, model, stamps, PacedSource(play, rate, block, begin + rig.stagger(i)))
            for i, (name, play) in enumerate(zip(names, plays, strict=True))
        ]
        with load(options.load), Vitals() as vitals:
            _play(streams, submit)
        heard = listener.finish(len(events))
    sources = {stream.name: stream.source for stream in streams}
    journeys = travel(heard, events, stamps, expected, sources)
    return Run(
        journeys,
        _onsets(journeys, sources["s0"], truth, declared(model.card), rate),
        sum(stream.ring.lost for stream in streams),
        sum(event.type == "gap" for event in events.values()),
        len(set(events) - {one.key for one in heard}),
        sum((event.stream, *identity(event)) not in expected for event in events.values()),
        sum(play.nbytes for play in plays) / 2**20,
        vitals,
    )


def sound(options: Options) -> tuple[Float32, int, list[Truth]]:
    """Samples, rate and truth of what is played."""
    if options.sound is None:
        samples, truth = busy_scene(options.seconds)
        return samples, RATE, truth
    import soundfile

    try:
        frames, rate = soundfile.read(options.sound, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise ConfigError(f"{options.sound}: expected a sound file, cannot read it: {error}") from None
    return np.resize(frames.mean(axis=1), round(options.seconds * rate)).astype(np.float32), rate, []


def _play(streams: Sequence[rig.Stream], submit: Callable[[Event], object]) -> None:
    with rig.playing(streams, submit):
        for stream in streams:
            stream.ended.wait()


def identity(event: Event) -> tuple[str | None, str, int]:
    """What is the same for an event in every run, whatever the epoch is called."""
    return event.label, event.type, event.onset_sample


def travel(
    heard: Sequence[Heard],
    events: dict[Key, Event],
    stamps: Stamps,
    expected: dict[tuple[str, str | None, str, int], int],
    sources: dict[str, PacedSource],
) -> list[Journey]:
    """Put together each event's stamps, in the order of submission."""
    received = {one.key: one.ns for one in heard}
    journeys = []
    for key, event in events.items():
        after = expected.get((event.stream, *identity(event)))
        if after is None or key not in received or key not in stamps.committed:
            continue
        source = sources[event.stream]
        block = after // source.block - 1
        marks = (
            source.due(block),
            source.written[block],
            *stamps.decided[key],
            stamps.committed[key],
            stamps.sent[key],
            received[key],
        )
        journeys.append(Journey(event.stream, event.type, event.label or "", event.onset_sample, after, marks))
    return journeys


def declared(card: Card, rules: Decode | None = None) -> dict[str, float]:
    """Seconds from the first sample of a sound to the last one that its ``begin`` needs, at most, by label.

    The frame's window, the rest of its chunk, the network's delay; then the minimum duration and what smooths. A
    network that takes its time to believe, and thresholds, come on top: they depend on the sound.
    """
    rules = rules or card.decode
    hop = card.frontend.hop if card.frontend else 1
    reach = card.frontend.reach if card.frontend else 1
    rate, stream = card.input.rate, card.stream
    if isinstance(stream, Stateful):
        score = span = stream.rate * hop
        heard = reach + (stream.chunk - 1) * hop + stream.delay * score
    else:
        score, span = stream.hop * hop, stream.length * hop
        heard = reach + (stream.length - 1) * hop
    return {name: _ruled(rules, name, heard, score, span, rate) for name in _names(card)}


def _ruled(rules: Decode, name: str, heard: int, score: int, span: int, rate: int) -> float:
    rule = rule_of(rules, name)
    wait = max(0, math.ceil(round(rule.min_duration * rate - span) / score))
    return (heard + wait * score) / rate + lookahead(rule, score / rate)


def _names(card: Card) -> list[str]:
    return [label if isinstance(label, str) else label.name for label in card.labels]


def _onsets(
    journeys: Sequence[Journey], source: PacedSource, truth: Sequence[Truth], wait: dict[str, float], rate: int
) -> list[tuple[float, float]]:
    """For each true sound of the first stream: begin → its first report received, beside what the model declares."""
    found = []
    for t in truth:
        hits = [
            j
            for j in journeys
            if (j.stream, j.event_type, j.label) == ("s0", "begin", t.label)
            and t.onset <= j.decided_after / rate < t.offset + wait[t.label]
        ]
        if hits:
            began = source.begin_ns + round(t.onset * SECOND)
            found.append(((hits[0].marks[-1] - began) / SECOND, wait[t.label]))
    return found


def stages(done: Run, options: Options) -> Result:
    """Percentiles of every stage, of the whole, and of what the model itself takes."""
    columns = {name: [j.stages[i] for j in done.journeys] for i, name in enumerate(STAGES)}
    columns[TOTAL] = [j.total for j in done.journeys]
    figures = [f for name, seconds in columns.items() for f in _percentiles(name, seconds)]
    if done.onsets:
        heard, waits = zip(*done.onsets, strict=True)
        figures += _percentiles(SOUND, heard) + _percentiles(DECLARED, waits)
    notes = [f"{len(done.journeys)} events; each stage's percentiles are its own, within an event the stages add up."]
    return Result(benchmark="latency", settings=_settings(options), figures=figures, notes=notes + _noise())


def costs(done: Run, options: Options) -> Result:
    """What was lost, and what the run cost."""
    vitals, row = done.vitals, "run"
    figures = [
        Figure(row=row, column="dropped samples", value=done.lost_samples, better="less"),
        Figure(row=row, column="gaps", value=done.gaps, better="less"),
        Figure(row=row, column="events not received", value=done.lost_events, better="less"),
        Figure(row=row, column="events not foreseen", value=done.unexpected, better="less"),
        Figure(row=row, column="processor", value=100 * vitals.cpu, unit="%", better="less"),
        Figure(row=row, column="per stream", value=100 * vitals.cpu / options.streams, unit="%", better="less"),
        Figure(row=row, column="resident", value=vitals.rss_mib, unit="MiB", better="less"),
    ]
    if vitals.celsius is not None:
        figures.append(Figure(row=row, column="temperature", value=vitals.celsius, unit="°C"))
    if vitals.throttled is not None:
        figures.append(Figure(row=row, column="throttled", value=vitals.throttled, better="less"))
    notes = [
        "100 % is one core; sources and all stages but the subscriber are counted. "
        f"Resident memory holds {done.played_mib:.0f} MiB of sound that is played."
    ]
    return Result(benchmark="latency, cost", settings=_settings(options), figures=figures, notes=notes)


def _settings(options: Options) -> dict[str, str | int | float]:
    chosen = {"engine": options.engine, "precision": options.precision, "sound": options.sound}
    return {
        "model": options.model,
        **{name: str(value) for name, value in chosen.items() if value},
        "streams": options.streams,
        "seconds": options.seconds,
        "endpoint": options.endpoint,
        "block ms": round(1000 * options.block_s, 3),
        "load": options.load,
    }


def _percentiles(row: str, seconds: Sequence[float]) -> list[Figure]:
    """One figure a percentile, in milliseconds; its rounds are consecutive parts of the run."""
    times = 1000 * np.asarray(seconds)
    parts = [part for part in np.array_split(times, PARTS) if len(part)]
    return [
        Figure(
            row=row,
            column=name,
            value=float(np.percentile(times, q)),
            unit="ms",
            better="less",
            rounds=[float(np.percentile(part, q)) for part in parts],
        )
        for name, q in PERCENTILES.items()
    ]


def _noise() -> list[str]:
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    if busy <= cores * (1 + NOISY):
        return []
    return [f"Noisy machine, trust medians more than tails: load average {busy:.1f} on {cores} cores."]
