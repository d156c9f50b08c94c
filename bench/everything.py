"""All benchmarks one after another, each in a process of its own: none inherits another's memory and threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench import result
from bench.frontend import OURS, Case
from bench.result import Document, Figure, Result, figure, timed
from edge.errors import WheatearError


class BenchError(WheatearError):
    """A benchmark did not come to its end."""

    exit_code = 1


def run(model: str, third_party: Path | None, short: bool, tell: Callable[[str], object]) -> Document:
    """The results of every benchmark in one document.

    Parameters
    ----------
    model
        Name or folder.
    third_party
        Folder of BirdNET-STM32, or None.
    short
        A fraction of everything, to see that it works.
    tell
        Called with each command before it runs.

    Raises
    ------
    BenchError
        One of them failed; its message is on standard error.
    """
    results: list[Result] = []
    for arguments in commands(model, third_party, short):
        tell(f"bench {' '.join(arguments)}")
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments, "--json"], stdout=subprocess.PIPE, check=False
        )
        if done.returncode:
            raise BenchError(f"bench {arguments[0]} failed, its message is above")
        results += result.parse(done.stdout, f"bench {arguments[0]}").results
    return result.document(results)


def commands(model: str, third_party: Path | None, short: bool) -> list[list[str]]:
    """What is run, as typed behind `wheatear bench`."""
    seconds, streams = ("10", "4") if short else ("120", "32")
    also = ["--third-party", str(third_party)] if third_party else []
    return [
        ["latency", "--model", model, "--duration", seconds],
        ["latency", "--model", model, "--duration", seconds, "--streams", streams],
        ["throughput", "--model", model, *also, *(("--duration", "10", "--rounds", "3", "--trial", "0") * short)],
        ["model", model, *(("--duration", "2", "--rounds", "3") * short)],
        ["frontend", *(("--seconds", "1", "--rounds", "3", "--no-paced") * short)],
    ]


def front_end(cases: Sequence[Case]) -> list[Result]:
    """The front end's cases in the form that is saved and compared."""
    return [Result(benchmark="front end", settings={"case": case.title}, figures=_figures(case)) for case in cases]


def _figures(case: Case) -> list[Figure]:
    figures = []
    for name, timing in case.hops.items():
        if name in case.offline:
            figures.append(timed(name, "offline, a frame", case.offline[name]))
        figures += [timed(name, "one hop p50", timing), timed(name, "one hop p99", timing, 99)]
        pairs = zip(timing.rounds, case.hops[OURS].rounds, strict=True)
        figures.append(figure(name, "hop, times ours", [float(np.median(a) / np.median(b)) for a, b in pairs]))
        if name in case.errors:
            figures.append(Figure(row=name, column="largest error", value=case.errors[name], better="less"))
    return figures
