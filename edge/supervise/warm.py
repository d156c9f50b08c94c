"""Every kernel that a configuration's streams will call, called once: numba keeps what it compiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.config import Config
from edge.config.profile import resolve
from edge.config.streams import Stream
from edge.decode.event import EventMaker
from edge.inference.model import Model
from edge.levels.meter import Meter
from edge.pipeline import Pipeline
from edge.ring import Ring
from edge.supervise.filter import Conditioner
from edge.supervise.models import open_model

SECONDS = 2


def compile_ahead(config: Config, models: Sequence[str] = ()) -> Iterator[str]:
    """Run every model of a configuration, or those that are named, on silence; give their ids.

    Raises
    ------
    WheatearError
        A model cannot be loaded or run.
    """
    streams = [Stream(model=name) for name in models] or config.streams
    profile, seen = resolve(config.device_profile), set()
    for stream in streams:
        for wish in stream.wishes:
            if wish not in seen:
                seen.add(wish)
                model = open_model(*wish, profile)
                run_once(model)
                yield model.id


def run_once(model: Model) -> None:
    """Hear two seconds of silence, so that nothing is left to compile when sound comes."""
    rate = model.card.input.rate
    ring, clock = Ring(SECONDS * rate, rate), SampleClock(rate)
    ring.begin("warm")
    ring.write(Conditioner(rate, 1.0, 100.0).push(np.zeros(SECONDS * rate, np.float32)))
    block = ring.poll(SECONDS * rate) or AudioBlock("warm", 0, rate, np.zeros(0, np.float32))
    Meter(rate).push(block)
    pipeline = Pipeline(model, EventMaker("warm", "warm", model.id, rate, clock))
    pipeline.push(block)
    pipeline.flush("stop")
