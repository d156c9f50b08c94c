"""The sound system, and what the microphones give."""

from __future__ import annotations

import math
import shutil
import time

import numpy as np

from edge.blocks import Float32
from edge.clock import SampleClock, SystemClock
from edge.config.secrets import reveal
from edge.config.streams import Stream
from edge.doctor.finding import Finding, fail, ok, warn
from edge.errors import SourceError
from edge.ring import Ring
from edge.sources.microphone import list_devices
from edge.sources.parse import kind_of, make_source

PATIENCE_S = 10.0
CLIPPED, FULL_SCALE = 1e-3, 0.999  # share of samples, magnitude
QUIET_DBFS, OFFSET = -75.0, 0.02
MIXER = "alsamixer, F4 for capture, F6 for the card"


def devices() -> Finding:
    """Whether there is a sound system with a microphone."""
    found = list_devices()
    if not found:
        return fail("sound system", "no microphone is there", "plug one in; see `arecord -l` and `wheatear devices`")
    default = next((device.name for device in found if device.default), "none")
    return ok("sound system", f"{len(found)} microphones; the default one is {default}")


def hear(stream: Stream, seconds: float) -> list[Finding]:
    """What a stream's source gives."""
    name = f"sound of {stream.stream_name}"
    source = reveal(stream.source)
    kind = kind_of(source)[0]
    if source == "-":
        return [ok(name, "standard input, not heard here")]
    if kind == "url" and shutil.which("ffmpeg") is None:
        return [fail(name, "FFmpeg is missing, which network streams need", "sudo apt-get install ffmpeg")]
    try:
        samples, rate = record(stream, source, seconds)
    except SourceError as error:
        return [_refused(name, str(error))]
    if not len(samples):
        return [fail(name, f"nothing came within {PATIENCE_S:g} s", "unplug the microphone and plug it in again")]
    return levels(name, samples, rate)


def _refused(name: str, error: str) -> Finding:
    text, _, fix = error.rpartition("; ")
    if text:
        return fail(name, text, fix)
    text, _, fix = error.rpartition(": ")
    return fail(name, text or fix, fix)


def record(stream: Stream, source: str, seconds: float) -> tuple[Float32, int]:
    """The first `seconds` of a source, float32 ``[N]``, and its rate."""
    one = make_source(source, channel=stream.channel, pcm=stream.pcm or None, start=stream.start or None)
    try:
        one.open()
        wanted = round(seconds * one.rate)
        ring = Ring(2 * wanted + one.rate, one.rate)
        one.start(ring, SystemClock(), SampleClock(one.rate))
        pieces: list[Float32] = []
        deadline = time.monotonic() + seconds + PATIENCE_S
        while sum(map(len, pieces)) < wanted and time.monotonic() < deadline and not ring.ended:
            block = ring.read(wanted, 0.2)
            if block is not None:
                pieces.append(block.samples)
        return np.concatenate([*pieces, np.zeros(0, np.float32)])[:wanted], one.rate
    finally:
        one.close()


def levels(name: str, samples: Float32, rate: int) -> list[Finding]:
    """What is wrong with samples ``[N]`` at `rate` Hz: silent, stuck, clipping, off zero, quiet."""
    wide = samples.astype(np.float64)
    mean, peak = float(wide.mean()), float(np.abs(wide).max())
    rms = float(np.sqrt(np.mean((wide - mean) ** 2)))
    decibels = 20 * math.log10(rms) if rms else -math.inf
    text = f"{len(samples) / rate:.1f} s at {rate} Hz, {decibels:.0f} dBFS, peak {peak:.2f}"
    if rms == 0:
        what = "digital silence" if mean == 0 else f"stuck at {mean:.3f}"
        return [fail(name, f"{text}: {what}", f"is it muted or the wrong device? {MIXER}; `wheatear devices`")]
    found = []
    clipped = float(np.mean(np.abs(wide) >= FULL_SCALE))
    if clipped > CLIPPED:
        found.append(warn(name, f"{text}: {clipped:.1%} of the samples are clipped", f"lower the gain: {MIXER}"))
    if abs(mean) > OFFSET:
        fix = "set high_pass_hz = 20 for this stream; a large offset is a broken microphone"
        found.append(warn(name, f"{text}: off zero by {mean:+.3f}", fix))
    if decibels < QUIET_DBFS:
        found.append(warn(name, f"{text}: hardly anything", f"raise the gain: {MIXER}"))
    return found or [ok(name, text)]
