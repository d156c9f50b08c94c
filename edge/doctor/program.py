"""Configuration, models, ports."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.config import Config
from edge.config.profile import resolve
from edge.decode.event import EventMaker
from edge.doctor.finding import Finding, fail, ok, warn
from edge.pipeline import Pipeline
from edge.publish.zeromq import TOPIC_ROOT, split_endpoint
from edge.supervise.models import open_model

SPEED_S = 5.0  # of sound that a model is timed with
BUSY, TOO_BUSY = 0.5, 1.0  # of one core
HEARTBEAT_S = 2.5


def configuration(config: Config, path: Path | None) -> Finding:
    """What is configured; that it is valid was found out when it was read."""
    profile = resolve(config.device_profile)
    names = ", ".join(config.stream_names)
    where = str(path) if path else "defaults"
    return ok("configuration", f"{where}: device {config.device_name}, streams {names}, profile {profile.name}")


def models(config: Config) -> Iterator[Finding]:
    """Whether each model loads, and how much of a core it takes."""
    profile = resolve(config.device_profile)
    wishes = {wish for stream in config.streams for wish in stream.wishes}
    for wish in sorted(wishes):
        model = open_model(*wish, profile)
        share = speed(Pipeline(model, maker(model.card.input.rate)), model.card.input.rate)
        count = sum(wish in stream.wishes for stream in config.streams)
        text = f"{model.id} with {model.engine_name}: {share:.1%} of a core for a stream, {count} of them"
        name = f"model {model.card.name}"
        if share * count > TOO_BUSY:
            yield fail(
                name, f"{text}: too slow for this computer", 'precision = "int8", a smaller model, fewer streams'
            )
        elif share * count > BUSY:
            yield warn(name, text, 'precision = "int8" leaves more room')
        else:
            yield ok(name, text)


def maker(rate: int) -> EventMaker:
    """Makes events that nobody gets."""
    return EventMaker("doctor", "doctor", "", rate, SampleClock(rate))


def speed(pipeline: Pipeline, rate: int) -> float:
    """Seconds of work for a second of sound, once warm."""
    noise = np.random.default_rng(0).normal(0, 0.1, round(2 * SPEED_S * rate)).astype(np.float32)
    half = len(noise) // 2
    pipeline.push(AudioBlock("doctor", 0, rate, noise[:half]))
    began = time.perf_counter()
    pipeline.push(AudioBlock("doctor", half, rate, noise[half:]))
    return (time.perf_counter() - began) / SPEED_S


def ports(config: Config) -> Iterator[Finding]:
    """Whether the endpoints can be had, or a running daemon has them."""
    for name, endpoint in (("events", config.publish.events), ("replay", config.publish.replay)):
        yield port(f"port {name}", endpoint, config.publish.events)


def port(name: str, endpoint: str, events: str) -> Finding:
    """Whether one endpoint can be bound."""
    scheme, host, number = split_endpoint(endpoint)
    if scheme != "tcp":
        folder = Path(host).parent
        if os.access(folder, os.W_OK | os.X_OK):
            return ok(name, f"{endpoint}: its folder can be written")
        return fail(name, f"{endpoint}: {folder} cannot be written", "another path under [publish]")
    if number == "*":
        return ok(name, f"{endpoint}: any free one")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("" if host == "*" else host.strip("[]"), int(number)))
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_wheatear(events):
            return ok(name, f"{endpoint}: a running wheatear has it")
        fix = f"ss -ltnp 'sport = :{number}' says who has it; or another one under [publish]"
        return fail(name, f"{endpoint}: {os.strerror(error.errno or 0)}", fix)
    return ok(name, f"{endpoint}: free")


def is_wheatear(endpoint: str) -> bool:
    """Whether a publisher of ours answers here; one that encrypts does not."""
    import zmq

    scheme, host, number = split_endpoint(endpoint)
    near = f"{scheme}://{'127.0.0.1' if host in ('*', '0.0.0.0') else host}:{number}"  # noqa: S104  # asked, not bound
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.linger = 0
        listener.subscribe(TOPIC_ROOT)
        listener.connect(near)
        return bool(listener.poll(round(1000 * HEARTBEAT_S)))
