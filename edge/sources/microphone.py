"""Microphones through PortAudio.

The callback copies and stamps, no more. What PortAudio reports is never ignored: an overflow begins a new epoch with an
estimate of what was lost, and a device that goes away or falls silent closes the ring with an error.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge.blocks import Float32
from edge.clock import SECOND, Clock, SampleClock
from edge.errors import SourceError
from edge.sources.base import BaseSource, Channels, Feed, Sink, channels_needed, check_format, printable, to_mono

LATENCY_S = 0.1  # room for a busy system; nothing here needs less
LONGEST_S = 0.5  # handed over at once
SILENCE_S = 3.0  # blocks come every few hundredths; PortAudio may spin for ever on a server that died while starting
WATCH_S = 0.25
BUFFER_NS = 25_000_000  # what a sound server holds back, unseen by stamps (PulseAudio: 14 ms measured)

_portaudio_lock = threading.RLock()  # PortAudio opens and closes in one thread at a time
_open_streams: set[int] = set()


@dataclass(frozen=True, slots=True)
class Device:
    """An input: PortAudio index, name, host interface, channels, its own rate, and whether it is the default one."""

    index: int
    name: str
    api: str
    channels: int
    rate: int
    default: bool


class MicrophoneSource(BaseSource):
    """A microphone.

    Parameters
    ----------
    device
        PortAudio index, name or a part of it; None for the default input.
    rate_hint
        Samples per second wanted; the device's own rate is used where it cannot.
    channel
        Index from 0, or ``"mix"``: the mean of the first two channels.
    silence_s
        Seconds without a callback after which the device counts as lost.
    """

    floor_ns = BUFFER_NS
    reconnects = True
    zeros_are_a_fault = True
    longest_wait_s = 3.0

    def __init__(
        self,
        device: int | str | None = None,
        *,
        rate_hint: int | None = None,
        channel: Channels = "mix",
        silence_s: float = SILENCE_S,
    ) -> None:
        super().__init__("microphone" if device is None else f"microphone {device}", live=True)
        self._wanted = device
        self._rate_hint = rate_hint
        self._channel = channel
        self._silence_s = silence_s
        self._stream: Any = None
        self._feed: Feed | None = None
        self._ring: Sink | None = None
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._called_ns = 0  # by the injected clock: the count of lost samples comes from it
        self._alive = 0.0  # by the machine's clock: liveness is about hardware

    def open(self) -> None:
        """Find the device and open it at the wanted rate, or else its own."""
        with _portaudio_lock:
            sd = _portaudio(refresh=True)
            device = find(_devices(sd), self._wanted)
            self.name = f"microphone {device.name}"
            check_format(self.name, device.rate, device.channels, self._channel)
            channels = channels_needed(self._channel, device.channels)
            self.rate = self._choose_rate(sd, device, channels)
            latency = max(LATENCY_S, 2 * self.gather_s, sd.query_devices(device.index)["default_high_input_latency"])
            block = round(self.rate * min(self.gather_s, LONGEST_S))
            self.period_s = block / self.rate
            try:
                self._stream = sd.InputStream(
                    device=device.index,
                    samplerate=self.rate,
                    channels=channels,
                    dtype="float32",
                    blocksize=block,  # 0: as PortAudio likes
                    latency=latency,
                    callback=self._receive,
                    finished_callback=self._finished,
                )
            except sd.PortAudioError as problem:
                raise SourceError(
                    f"{self.name}: cannot be opened at {self.rate} Hz: {_one_line(problem)}; "
                    "does another program hold it? (fuser -v /dev/snd/*)"
                ) from None
            _open_streams.add(id(self))

    def start(self, ring: Sink, clock: Clock, sample_clock: SampleClock) -> None:
        """Begin to deliver into `ring`, under a new epoch."""
        self._ring = ring
        self._feed = Feed(self, ring, clock, sample_clock, self._stop)
        self._feed.begin()
        self._called_ns = clock.monotonic_ns()
        self._alive = time.monotonic()
        with _portaudio_lock:
            sd = _portaudio()
            try:
                self._stream.start()
            except sd.PortAudioError as problem:
                self._fail(f"cannot be started: {_one_line(problem)}; is it still plugged in?")
                return
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """End delivery and close the ring; may be called more than once."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        with _portaudio_lock:
            if self._stream is not None:
                self._stream.close(ignore_errors=True)
                self._stream = None
            _open_streams.discard(id(self))
        if self._ring is not None:
            self._ring.close()

    def _choose_rate(self, sd: Any, device: Device, channels: int) -> int:
        if self._rate_hint is None:
            return device.rate
        try:
            sd.check_input_settings(device.index, channels, "float32", samplerate=self._rate_hint)
        except sd.PortAudioError:
            return device.rate
        return self._rate_hint

    def _receive(self, frames: Float32, count: int, _time: Any, status: Any) -> None:
        """Take a block ``[N, C]`` from the audio thread."""
        feed = self._feed
        if feed is None or self._stop.is_set():
            return
        now = feed.clock.monotonic_ns()
        if status.input_overflow:
            feed.begin(lost=max((now - self._called_ns) * self.rate // SECOND - count, 0))
        feed.put(to_mono(frames, self._channel), wait=False, stamp=True)
        self._called_ns = now
        self._alive = time.monotonic()

    def _finished(self) -> None:
        """PortAudio ended the stream; unless we asked for it, the device is gone."""
        if not self._stop.is_set():
            self._fail("stopped: the device or its sound server is gone; plug it in again, see `wheatear devices`")

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_S):
            if not self._stream.active:
                self._finished()
            elif time.monotonic() - self._alive > self._silence_s:
                self._fail(f"delivered nothing for {self._silence_s:g} s; plug it in again, see `wheatear devices`")
            else:
                continue
            return

    def _fail(self, what: str) -> None:
        if self._ring is not None:
            self._ring.close(SourceError(f"{self.name}: {what}"))


def list_devices() -> list[Device]:
    """Return all inputs.

    Raises
    ------
    SourceError
        Where PortAudio is missing; the message is the line to type.
    """
    with _portaudio_lock:
        return _devices(_portaudio(refresh=True))


def find(devices: list[Device], wanted: int | str | None) -> Device:
    """Return the one device meant by an index, a name or a part of a name; the default one for None.

    Raises
    ------
    SourceError
        With all devices where none is meant, with the candidates where several are.
    """
    if wanted is None:
        found = [device for device in devices if device.default] or devices[:1]
        what = "a microphone"
    elif isinstance(wanted, int):
        found = [device for device in devices if device.index == wanted]
        what = f"an input device with index {wanted}"
    else:
        name = wanted.casefold()
        found = [device for device in devices if device.name.casefold() == name]
        found = found or [device for device in devices if name in device.name.casefold()]
        what = f"an input device named `{printable(wanted)}`"
    if len(found) == 1:
        return found[0]
    if found:
        raise SourceError(f"{what}: there are {len(found)}: {_names(found)}; choose one by its index")
    raise SourceError(f"expected {what}; there is {_names(devices) or 'none: plug one in, or see `arecord -l`'}")


def _names(devices: list[Device]) -> str:
    return ", ".join(f"{device.index} `{device.name}`" for device in devices)


def _portaudio(refresh: bool = False) -> ModuleType:
    """Import sounddevice; where nothing of ours is open, let PortAudio look for devices again."""
    try:
        import sounddevice as sd
    except (ImportError, OSError) as problem:
        raise SourceError(
            f"microphone: PortAudio is missing ({_one_line(problem)}): sudo apt-get install libportaudio2"
        ) from None
    if refresh and not _open_streams:  # PortAudio lists devices only once, when it is initialised
        sd._terminate()
        sd._initialize()
    return sd  # type: ignore[no-any-return]


def _devices(sd: Any) -> list[Device]:
    default = sd.default.device[0]
    if default < 0:
        default = next((api["default_input_device"] for api in sd.query_hostapis()), -1)
    return [
        Device(
            entry["index"],
            printable(entry["name"]),
            sd.query_hostapis(entry["hostapi"])["name"],
            entry["max_input_channels"],
            int(entry["default_samplerate"]),
            entry["index"] == default,
        )
        for entry in sd.query_devices()
        if entry["max_input_channels"] > 0
    ]


def _one_line(problem: BaseException) -> str:
    return printable(str(problem))
