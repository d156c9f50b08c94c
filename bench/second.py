"""What a second stage saves: processor time of a stream with it, without it, and with its model always listening."""

from __future__ import annotations

import time

from msgspec.structs import replace

from bench.result import Result, figure
from edge.clock import SystemClock
from edge.config import Config
from edge.config.streams import Stream
from edge.daemon import open_source
from edge.errors import ConfigError
from edge.status import DeviceStatus
from edge.supervise.supervisor import Supervisor

TICK_S = 0.01


def run(config: Config, rounds: int = 5) -> Result:
    """Hear a file as fast as it goes: the first stage alone, both as configured, both all the time, in turns.

    Parameters
    ----------
    config
        Of one stream of a file, with a second stage.
    rounds
        Of all three.

    Raises
    ------
    ConfigError
        Another configuration.
    WheatearError
        A model or the file cannot be had.
    """
    stream = config.streams[0]
    second = stream.second
    if second is None or len(config.streams) > 1:
        got = f"{len(config.streams)} streams" if second else "one without"
        raise ConfigError(
            f"$.streams: expected one stream with a `second`, got {got}; say what it is in [streams.second]"
        )
    if stream.fuse:
        raise ConfigError(
            "$.streams[0].fuse: expected a first stage of one model, got several fused ones; leave one under `model`"
        )
    ways = {
        "first stage alone": replace(stream, second=None),
        "second stage as configured": stream,
        "both always": replace(stream, second=None, model=(*stream.models, second.model)),
    }
    heard: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, one in ways.items():
            heard[way].append(_hear(config, one))
    figures = [
        figure(way, column, [entry[number] for entry in found], unit, "less" if number == 0 else "")
        for way, found in heard.items()
        for number, (column, unit) in enumerate((("processor", "% of a core"), ("second stage heard", "%")))
    ]
    about: dict[str, str | int | float] = {"sound": stream.source.rpartition("/")[2], "rounds": rounds}
    about |= {"first": ", ".join(stream.models), "second": second.model}
    return Result(benchmark="second stage", settings=about, figures=figures)


def _hear(config: Config, stream: Stream) -> tuple[float, float]:
    """Processor time for the time of the sound, and the share of it that the second stage was given; %."""
    status = DeviceStatus("bench")
    one = replace(config, streams=(stream,))
    supervisor = Supervisor(one, status, open_source, lambda _: None, SystemClock())
    supervisor.prepare()
    began = time.process_time()
    supervisor.begin()
    while not supervisor.over:
        time.sleep(TICK_S)
    spent = time.process_time() - began
    supervisor.stop()
    supervisor.outcome()
    told = status.stream(stream.stream_name)
    both = len(stream.models) > len(config.streams[0].models)
    return 100 * spent * told.rate / told.samples, 100.0 if both else 100 * told.second_share
