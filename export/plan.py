"""What a network costs and how late it is, before anything is written: ``wheatear export RUN --plan``."""

from __future__ import annotations

import math

import numpy as np

from edge.blocks import AudioBlock
from edge.decode.decoder import lookahead, rule_of
from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from edge.resample import Resampler
from export.step import Step
from training.layers import table
from training.layers.table import Row

MICROPHONE = 48_000  # Hz, what most devices record at


def layers(step: Step, spec: FrontEndSpec) -> list[Row]:
    """All layers that are not made of others, in order."""
    return table.layers(step.body, step.head, step.shapes, spec.rate / spec.hop)


def latency(step: Step, spec: FrontEndSpec, rules: Decode, label: str = "") -> dict[str, float]:
    """Seconds from the onset of a sound to its event that follow from the algorithm, at the most.

    They say how long each stage waits; what a machine computes in is not in them.
    """
    rule, at, frame = rule_of(rules, label), step.timeline, spec.hop / spec.rate
    return {
        f"resampler from {MICROPHONE} Hz": resampling(spec),
        "framing": spec.reach / spec.rate,
        "lookahead": at.delay * at.rate * frame,
        "chunk": (step.chunk - 1) * frame,
        "smoothing": lookahead(rule, at.rate * frame),
        "minimum duration": rule.min_duration,
    }


def resampling(spec: FrontEndSpec, source: int = MICROPHONE) -> float:
    """Seconds by which the resampler holds its output back, measured on a second of silence in blocks of 10 ms."""
    resampler, size, out = Resampler(source, spec.rate, spec.resampler), source // 100, 0
    for i in range(100):
        block = AudioBlock("plan", i * size, source, np.zeros(size, np.float32))
        out += len(resampler.push(block).samples)
    return max(0.0, 1.0 - out / spec.rate)


def text(step: Step, spec: FrontEndSpec, rules: Decode) -> str:
    """The plan as tables for a terminal."""
    rows = layers(step, spec)
    cells = [("layer", "kind", "rate", "delay", "lookahead", "state", "M mult/s")]
    cells += [
        (r.path, r.kind, str(r.rate), str(r.delay), str(r.ahead), _shapes(r.states), f"{r.cost / 1e6:.2f}")
        for r in rows
    ]
    state = sum(math.prod(shape) for r in rows for shape in r.states)
    at = step.timeline
    totals = (
        f"chunk {step.chunk} frames = {step.chunk * spec.hop / spec.rate * 1e3:.0f} ms, one score every {at.rate} "
        f"frames, delay {at.delay} scores, lookahead {at.ahead} frames\n"
        f"{sum(r.cost for r in rows) / 1e6:.2f} million multiply-adds per second of sound, {state} numbers of state"
    )
    return "\n".join([_aligned(cells), "", totals, "", _latencies(step, spec, rules)])


def _latencies(step: Step, spec: FrontEndSpec, rules: Decode) -> str:
    parts = latency(step, spec, rules)
    lines = [("from onset to event, at most", "ms"), *((name, f"{s * 1e3:.0f}") for name, s in parts.items())]
    lines.append(("together", f"{sum(parts.values()) * 1e3:.0f}"))
    for label in rules.labels:
        lines.append((f"together for {label}", f"{sum(latency(step, spec, rules, label).values()) * 1e3:.0f}"))
    return _aligned(lines)


def _shapes(states: list[list[int]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in states) or "-"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )
