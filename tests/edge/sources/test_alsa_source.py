"""ALSA itself, through PulseAudio's plugin: one delivery a chunk, and nothing lost by waking seldom."""

import threading
import time

import numpy as np
import pytest

from edge.clock import SampleClock, SystemClock
from edge.sources import alsa
from edge.sources.alsa import AlsaSource

RATE = 16_000


class Deliveries:
    """A ring that keeps what it was given, in the pieces it was given."""

    def __init__(self):
        self.pieces, self.losses = [], []
        self.enough = threading.Event()

    def begin(self, epoch, start=0, lost=0, exact=True):
        self.losses.append(lost)

    def write(self, samples):
        self.pieces.append(samples.copy())
        if sum(map(len, self.pieces)) >= 2.5 * RATE:
            self.enough.set()

    def close(self, error=None):
        self.enough.set()


@pytest.mark.parametrize(("gather_s", "period_s"), [(0.0, 0.05), (0.1, 0.1), (0.25, 0.25)])
def test_sound_comes_in_the_pieces_that_were_asked_for(pulse_microphone, gather_s, period_s):
    alsa._library().snd_config_update_free_global()  # another test's home may have been read
    pulse_microphone.play(0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE * 8) / RATE), RATE)
    source, ring, clock = AlsaSource("alsa:mic", rate_hint=RATE), Deliveries(), SampleClock(RATE)
    source.gather_s = gather_s
    source.open()
    assert source.period_s == pytest.approx(period_s, rel=0.05)
    source.start(ring, SystemClock(), clock)
    assert ring.enough.wait(20)
    now = time.time_ns()
    source.close()
    assert ring.losses == [0]
    assert np.median([len(piece) for piece in ring.pieces]) == pytest.approx(period_s * RATE, rel=0.05)
    heard = np.concatenate(ring.pieces)[-RATE:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(RATE)))
    assert abs(int(spectrum.argmax()) - 1000) <= 1
    utc, uncertainty = clock.utc_ns(sum(map(len, ring.pieces)))
    assert abs(now - utc) < 1_000_000_000
    assert uncertainty < 100_000_000
