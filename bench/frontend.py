"""The front end against what a user could pick instead: time per frame, and error against a float64 computation."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench import measure, report
from bench.measure import Contender, Timing
from bench.peers import PEERS, Peer, floor
from edge.blocks import AudioBlock
from edge.errors import ConfigError
from edge.frontend import filterbank
from edge.frontend.extractor import Extractor
from edge.frontend.spec import FrontEndSpec, parse
from edge.frontend.stream import FrontEnd

CASES = {
    "16 kHz, window 400, hop 160, FFT 512, 64 mel": parse(
        {
            "rate": 16000,
            "frames": {"window": 400, "hop": 160},
            "bands": {"kind": "mel", "count": 64},
            "scale": {"kind": "ln"},
        }
    ),
    "48 kHz, window 2048, hop 480, FFT 2048, 128 mel": parse(
        {
            "rate": 48000,
            "frames": {"window": 2048, "hop": 480},
            "bands": {"kind": "mel", "count": 128, "low": 50.0, "high": 15000.0},
            "scale": {"kind": "ln"},
        }
    ),
}
OURS, PLAIN, BLOCKS = "wheatear", "wheatear, plain kernel", "wheatear, in blocks"
VERSIONS = ("wheatear", "numpy", "numba", "llvmlite", "mkl", *PEERS)


@dataclass
class Case:
    """Results for one spec; timings by contender."""

    title: str
    offline: dict[str, Timing]
    hops: dict[str, Timing]
    paced: dict[str, Timing]
    errors: dict[str, float] = field(default_factory=dict)


def run(against: Sequence[str] = (), seconds: float = 20.0, rounds: int = 9, pacing: bool = True) -> list[Case]:
    """Measure all cases in this process.

    Parameters
    ----------
    against
        Names of peers; by default all that are installed.
    seconds
        Length of the recording.
    rounds
        Of interleaved measuring.
    pacing
        Also one hop every 5 ms.

    Raises
    ------
    ConfigError
        Where a peer is unknown or not installed.
    """
    names = list(against) or [name for name in PEERS if report.installed(name)]
    for name in names:
        if name not in PEERS:
            raise ConfigError(f"bench frontend: expected peers of {', '.join(PEERS)}, got {name!r}")
        if not report.installed(name):
            raise ConfigError(f"bench frontend: {name} is not installed: pip install 'wheatear[bench]'")
    return [_case(title, spec, names, seconds, rounds, pacing) for title, spec in CASES.items()]


def _case(title: str, spec: FrontEndSpec, names: Sequence[str], seconds: float, rounds: int, pacing: bool) -> Case:
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(seconds * spec.rate))).astype(np.float32)
    peers = {name: PEERS[name](spec) for name in names}
    ours, plain, blocks = Extractor(spec), Extractor(spec, 1), FrontEnd(spec)
    hops = [samples[i : i + spec.hop].copy() for i in range(0, len(samples) - spec.hop + 1, spec.hop)]

    frames = len(ours.transform(samples, threads=1))
    whole = [
        Contender(OURS, lambda x: ours.transform(x, threads=1), [samples], frames),
        Contender(PLAIN, lambda x: plain.transform(x, threads=1), [samples], frames),
        *(Contender(name, peer.offline, [samples], frames) for name, peer in peers.items()),
    ]
    single = [
        Contender(OURS, ours.push, hops),
        Contender(BLOCKS, _Blocks(blocks), _audio(hops, spec)),
        Contender(PLAIN, plain.push, hops),
        *(Contender(name, peer.hop, [peer.prepare(hop) for hop in hops]) for name, peer in peers.items()),
    ]
    slow = [Contender(c.name, c.run, c.items[:200]) for c in single]
    return Case(
        title,
        measure.back_to_back(whole, rounds),
        measure.back_to_back(single, rounds),
        measure.paced(slow) if pacing else {},
        {OURS: _error(spec, ours), PLAIN: _error(spec, plain), **{n: _error(spec, p) for n, p in peers.items()}},
    )


class _Blocks:
    """The front end as the daemon calls it, audio blocks in and feature blocks out."""

    def __init__(self, front: FrontEnd) -> None:
        self._front = front

    def __call__(self, block: AudioBlock) -> object:
        if not block.start:  # the recording begins again
            self._front.reset(block.epoch, 0)
        return self._front.push(block)


def _audio(hops: Sequence[np.ndarray], spec: FrontEndSpec) -> list[AudioBlock]:
    """Hops as a source gives them: making blocks is its work."""
    return [AudioBlock("bench", i * spec.hop, spec.rate, hop) for i, hop in enumerate(hops)]


def _error(spec: FrontEndSpec, computer: Peer | Extractor) -> float:
    """Largest deviation from the float64 definition, in nepers of log-mel, on broadband noise."""
    x = (0.1 * np.random.default_rng(1).standard_normal(2 * spec.rate)).astype(np.float32)
    if isinstance(computer, Peer):
        return float(np.abs(computer.offline(x) - reference(computer.reference_spec(), x)).max())
    return float(np.abs(computer.transform(x, threads=1) - reference(spec, x)).max())


def reference(spec: FrontEndSpec, samples: np.ndarray) -> np.ndarray:
    """Log-mel features by their definition, float64, ``[T, F]``."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), spec.frames.window)[:: spec.hop]
    spectrum = np.fft.rfft(frames * filterbank.taper(spec.frames.taper, spec.frames.window), spec.frames.size)
    return np.asarray(np.log(np.maximum(np.abs(spectrum) ** 2 @ filterbank.bank(spec).T, floor(spec))))


_FIRST_FRAME = """
import sys, time
from edge.frontend.extractor import Extractor
from edge.frontend.spec import parse
import json, numpy as np
spec = parse(json.loads(sys.argv[1]))
Extractor(spec).push(np.zeros(spec.frames.window, np.float32))
done = time.time()
status = open("/proc/self/status").read()
print(done - float(sys.argv[2]), int(status.split("VmRSS:")[1].split()[0]) / 1024)
"""


def start(runs: int = 7) -> tuple[float, float]:
    """Seconds from process start to the first frame, and MiB resident then: medians of processes with a warm cache."""
    import msgspec

    spec = msgspec.json.encode(next(iter(CASES.values()))).decode()
    figures = []
    for _ in range(runs + 1):
        command = [sys.executable, "-c", _FIRST_FRAME, spec, repr(time.time())]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
        figures.append([float(number) for number in done.stdout.split()])
    seconds, mib = np.median(figures[1:], axis=0)
    return float(seconds), float(mib)


def hour(seconds: int = 3600, rounds: int = 3) -> dict[str, Timing]:
    """An hour of sound by one thread and by two, seconds a recording, by name."""
    spec = next(iter(CASES.values()))
    samples = np.random.default_rng(0).standard_normal(seconds * spec.rate, np.float32)
    extractor = Extractor(spec)

    def by(threads: int) -> Contender:
        name = f"{OURS}, {threads} thread{'s' * (threads > 1)}"
        return Contender(name, lambda x: extractor.transform(x, threads=threads), [samples])

    return measure.back_to_back([by(1), by(2)], rounds)


def hour_table(timings: dict[str, Timing]) -> str:
    """`hour` as Markdown."""
    one = next(iter(timings.values()))
    rows = [[name, f"{timing.p50:.3f}", f"{one.ratio(timing):.2f}"] for name, timing in timings.items()]
    return report.markdown(("", "seconds", "times as fast as one"), rows)


def table(case: Case) -> str:
    """A case as Markdown: times of our own, times and ratios of others."""
    header = (
        "",
        "offline µs/frame",
        "ratio",
        "one hop µs, p50 / p99",
        "ratio",
        "paced µs, p50 / p99",
        "ratio",
        "error",
    )
    rows = []
    for name in case.hops:
        row = [name]
        for timings, both in ((case.offline, False), (case.hops, True), (case.paced, True)):
            timing = timings.get(name)
            if timing is None:
                row += ["", ""]
                continue
            row.append(f"{timing.p50 * 1e6:.2f}" + (f" / {timing.p99 * 1e6:.2f}" if both else ""))
            row.append("1" if name == OURS else f"{timing.ratio(timings[OURS]):.1f}")
        rows.append([*row, f"{case.errors[name]:.0e}" if name in case.errors else ""])
    return report.markdown(header, rows)


def document(cases: Sequence[Case], started: tuple[float, float]) -> str:
    """The section of the documentation that this benchmark writes."""
    about = report.machine(VERSIONS)
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    seconds, mib = started
    notes = [
        f"{about['processor']} ({about['architecture']}), one thread, Python {about['python']}; {versions}.",
        "Ratio: how many times longer than wheatear. Error: largest deviation from float64 in nepers, on noise.",
        f"Process start to first frame, warm cache: {seconds:.2f} s; resident then: {mib:.0f} MiB.",
        noise(cases),
    ]
    parts = [f"**{case.title}**\n\n{table(case)}" for case in cases]
    parts.append(f"**An hour of sound, {cases[0].title}, {os.cpu_count()} processors**\n\n{hour_table(hour())}")
    return "\n\n".join([*parts, *(note for note in notes if note)])


def noise(cases: Sequence[Case]) -> str:
    """Warning about the machine."""
    return measure.warning([t for c in cases for timings in (c.offline, c.hops) for t in timings.values()])
