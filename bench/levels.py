"""What the levels of a stream cost: processor time of the stage, beside nothing else, for a second of sound."""

from __future__ import annotations

import time

import numpy as np

from bench.result import Result, figure
from edge.blocks import AudioBlock, Float32
from edge.clock import SampleClock
from edge.levels.stage import LevelStage

RATES = (16_000, 48_000)
BLOCKS_S = (0.01, 1.0)


def run(seconds: float = 120.0, rounds: int = 5) -> Result:
    """Measure microphones of the usual rates, in small and in large blocks, on noise."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * max(RATES))).astype(np.float32) * np.float32(0.1)
    figures = [
        figure(
            f"{rate / 1000:g} kHz, blocks of {1000 * block_s:g} ms",
            "processor",
            [_share(noise[: round(seconds * rate)], rate, round(block_s * rate)) for _ in range(rounds)],
            "% of a core",
            "less",
        )
        for rate in RATES
        for block_s in BLOCKS_S
    ]
    return Result(benchmark="levels", settings={"seconds": seconds, "rounds": rounds}, figures=figures)


def _share(samples: Float32, rate: int, size: int) -> float:
    """Processor time for the time of the sound, %."""
    stage = LevelStage("bench", "bench", SampleClock(rate), rate)
    began = time.process_time()
    for start in range(0, len(samples), size):
        stage.push(AudioBlock("bench", start, rate, samples[start : start + size]))
    stage.flush()
    return 100 * (time.process_time() - began) * rate / len(samples)
