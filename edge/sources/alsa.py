"""Microphones by what they are, not by number: straight through ALSA.

PortAudio looks for devices once, when it is initialised, and cannot look again while another stream is open; a card
that was plugged in again under another number stays unseen. Where a sound server dies while a stream starts, it spins
and never comes back. ALSA opens a card by its id at any time. It is called
through ctypes: its library is there wherever PortAudio is, and a dozen functions are all that capture needs
(https://www.alsa-project.org/alsa-doc/alsa-lib/pcm.html).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import threading
from functools import cache
from typing import Any

import numpy as np

from edge.clock import SECOND
from edge.errors import SourceError
from edge.sources.base import (
    LOWEST_RATE,
    Channels,
    Feed,
    ThreadSource,
    channels_needed,
    check_format,
    printable,
    to_mono,
)
from edge.sources.identity import cards, find_card

CAPTURE, NONBLOCK, INTERLEAVED, FLOAT = 1, 1, 3, 14  # snd_pcm_stream_t, open mode, snd_pcm_access_t, FLOAT_LE
RATES = (48_000, 44_100, 96_000, 32_000, 192_000, 384_000, 250_000, 16_000, 8_000)
PERIOD_S = (0.05, 0.5)  # bounds of what is handed over at once
PERIODS = 4  # that the buffer holds: snd_pcm_set_params divides it so
WAIT_MS = 250
SILENCE_S = 3.0
MOST_CHANNELS = 32
BUFFER_NS = 25_000_000
LOST = (errno.ENODEV, errno.EBADFD, errno.EIO, errno.ENOENT, errno.ENOTTY)


class AlsaSource(ThreadSource):
    """A microphone.

    Parameters
    ----------
    device
        None for the default one; ``usb:0d8c:0014`` (with ``@1-1.2``: in that socket), ``card:Device``, or ``alsa:NAME``
        of any ALSA device.
    rate_hint
        Samples per second wanted; a rate that the device has is used where it cannot.
    channel
        Index from 0, or ``"mix"``: the mean of the first two channels.
    silence_s
        Seconds without a sample after which the device counts as lost.
    """

    floor_ns = BUFFER_NS
    reconnects = True
    zeros_are_a_fault = True
    longest_wait_s = 3.0

    def __init__(
        self,
        device: str | None = None,
        *,
        rate_hint: int | None = None,
        channel: Channels = "mix",
        silence_s: float = SILENCE_S,
    ) -> None:
        super().__init__(f"microphone {device or 'default'}", live=True)
        self._wanted = device
        self._rate_hint = rate_hint
        self._channel = channel
        self._silence_s = silence_s
        self._channels = 0
        self._pcm: Any = None
        self._releasing = threading.Lock()

    def open(self) -> None:
        """Find the card and open it at the wanted rate, or else one of its own."""
        problem = ""
        for name in self._devices():
            pcm = ctypes.c_void_p()
            code = _library().snd_pcm_open(ctypes.byref(pcm), name.encode(), CAPTURE, NONBLOCK)
            if code >= 0:
                self._pcm = pcm
                break
            problem = problem or f"cannot be opened as `{printable(name)}`: {_why(code)}"
        else:
            raise SourceError(f"{self.name}: {problem}; is it plugged in, or held by another? (fuser -v /dev/snd/*)")
        try:
            self._set_up()
        except SourceError:
            self.release()
            raise

    def deliver(self, feed: Feed) -> None:
        """Read until told to stop; an overrun begins a new epoch with an estimate of what was lost."""
        alsa = _library()
        period = round(self.rate * self.period_s)
        frames = np.empty((period, self._channels), np.float32)
        self._check(alsa.snd_pcm_start(self._pcm))
        heard = asked = feed.clock.monotonic_ns()
        while not self.stop.is_set():
            alsa.snd_pcm_wait(self._pcm, WAIT_MS)
            count = alsa.snd_pcm_readi(self._pcm, frames.ctypes.data, period)
            now = feed.clock.monotonic_ns()
            if count > 0:
                feed.put(to_mono(frames[:count], self._channel), wait=False, stamp=True)
                heard = asked = now
            elif count in (-errno.EPIPE, -errno.ESTRPIPE):
                self._check(alsa.snd_pcm_prepare(self._pcm))
                self._check(alsa.snd_pcm_start(self._pcm))
                feed.begin(lost=(now - heard) * self.rate // SECOND)
                heard = now
            elif count != -errno.EAGAIN and count < 0:
                self._check(count)
            elif now - asked > self._silence_s * SECOND:
                raise SourceError(f"{self.name}: delivered nothing for {self._silence_s:g} s; plug it in again")

    def release(self) -> None:
        """Close the device."""
        with self._releasing:
            pcm, self._pcm = self._pcm, None
        if pcm is not None:
            _library().snd_pcm_close(pcm)

    def _devices(self) -> list[str]:
        """ALSA's names of what is wanted; the default is a sound server's, or else the first card that has an input."""
        if self._wanted is None:
            return ["default", *(f"plughw:CARD={card.id}" for card in cards())]
        if self._wanted.startswith("alsa:"):
            return [self._wanted.removeprefix("alsa:")]
        card = find_card(self._wanted, cards())
        self.name = f"microphone {card.name} ({self._wanted})"
        return [f"plughw:CARD={card.id}"]  # plug converts the sample format; the rate stays the card's own

    def _set_up(self) -> None:
        available = self._available()
        self._channels = channels_needed(self._channel, available)
        check_format(self.name, LOWEST_RATE, available, self._channel)
        alsa, code = _library(), 0
        latency_us = round(1e6 * PERIODS * min(max(self.gather_s, PERIOD_S[0]), PERIOD_S[1]))
        for rate in dict.fromkeys([self._rate_hint, *RATES] if self._rate_hint else RATES):
            code = alsa.snd_pcm_set_params(self._pcm, FLOAT, INTERLEAVED, self._channels, rate, 0, latency_us)
            if code >= 0:
                self.rate = int(rate or 0)
                self.period_s = self._period() / self.rate
                return
        raise SourceError(f"{self.name}: cannot be set to any rate from 8 to 384 kHz: {_why(code)}")

    def _period(self) -> int:
        """Frames after which the card wakes us: as near to those wanted as it can."""
        buffer, period = ctypes.c_ulong(0), ctypes.c_ulong(0)
        self._check(_library().snd_pcm_get_params(self._pcm, ctypes.byref(buffer), ctypes.byref(period)))
        return max(1, period.value)

    def _available(self) -> int:
        """Channels that the device has."""
        alsa = _library()
        parameters, most = ctypes.c_void_p(), ctypes.c_uint(0)
        alsa.snd_pcm_hw_params_malloc(ctypes.byref(parameters))
        try:
            if alsa.snd_pcm_hw_params_any(self._pcm, parameters) < 0:
                return 1
            alsa.snd_pcm_hw_params_get_channels_max(parameters, ctypes.byref(most))
        finally:
            alsa.snd_pcm_hw_params_free(parameters)
        return max(1, min(most.value, MOST_CHANNELS))

    def _check(self, code: int) -> None:
        if code < 0:
            gone = " the device is gone: plug it in again;" if -code in LOST else ""
            raise SourceError(f"{self.name}: stopped:{gone} ALSA says: {_why(code)}")


@cache
def _library() -> Any:
    """The ALSA library with its types told.

    Raises
    ------
    SourceError
        Where it is missing; the message is the line to type.
    """
    try:
        alsa = ctypes.CDLL(ctypes.util.find_library("asound") or "libasound.so.2")
    except OSError as problem:
        raise SourceError(
            f"microphone: ALSA is missing ({printable(str(problem))}): sudo apt-get install libasound2"
        ) from None
    pointer, number, unsigned = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
    alsa.snd_pcm_open.argtypes = [pointer, ctypes.c_char_p, number, number]
    alsa.snd_pcm_readi.argtypes = [pointer, pointer, ctypes.c_ulong]
    alsa.snd_pcm_readi.restype = ctypes.c_long
    alsa.snd_pcm_set_params.argtypes = [pointer, number, number, unsigned, unsigned, number, unsigned]
    alsa.snd_pcm_wait.argtypes = [pointer, number]
    alsa.snd_pcm_get_params.argtypes = [pointer, pointer, pointer]
    for name in ("start", "prepare", "close"):
        getattr(alsa, f"snd_pcm_{name}").argtypes = [pointer]
    alsa.snd_pcm_hw_params_malloc.argtypes = [pointer]
    alsa.snd_pcm_hw_params_free.argtypes = [pointer]
    alsa.snd_pcm_hw_params_any.argtypes = [pointer, pointer]
    alsa.snd_pcm_hw_params_get_channels_max.argtypes = [pointer, pointer]
    alsa.snd_strerror.argtypes = [number]
    alsa.snd_strerror.restype = ctypes.c_char_p
    alsa.snd_lib_error_set_handler(_quiet())
    return alsa


@cache
def _quiet() -> Any:
    """A handler that says nothing: ALSA writes its complaints to standard error, ours go into the exception."""
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(
        lambda *_: None
    )


def _why(code: int) -> str:
    return printable(_library().snd_strerror(code).decode(errors="replace"))
