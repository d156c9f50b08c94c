"""Microphones: a real one through PulseAudio, and a table of devices for choosing."""

import builtins
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from edge.clock import ManualClock, SampleClock, SystemClock
from edge.commands.devices import devices as devices_command
from edge.errors import SourceError
from edge.ring import Ring
from edge.sources.base import Feed
from edge.sources.microphone import Device, MicrophoneSource, find, list_devices

DEVICES = [
    Device(0, "HDA Intel: Analog (hw:0,0)", "ALSA", 2, 44100, False),
    Device(2, "USB Audio: one (hw:1,0)", "ALSA", 1, 48000, True),
    Device(5, "USB Audio: two (hw:2,0)", "ALSA", 1, 48000, False),
    Device(7, "two", "ALSA", 1, 48000, False),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 2), (5, 5), ("intel", 0), ("USB Audio: two (hw:2,0)", 5), ("TWO", 7), ("hw:2", 5)]
)
def test_a_device_is_found(wanted, index):
    assert find(DEVICES, wanted).index == index


def test_an_ambiguous_name_lists_the_candidates():
    with pytest.raises(SourceError) as error:
        find(DEVICES, "usb")
    assert str(error.value) == (
        "an input device named `usb`: there are 2: 2 `USB Audio: one (hw:1,0)`, 5 `USB Audio: two (hw:2,0)`; "
        "choose one by its index"
    )


@pytest.mark.parametrize("wanted", ["bat detector", 3])
def test_an_unknown_device_lists_all(wanted):
    with pytest.raises(SourceError) as error:
        find(DEVICES, wanted)
    text = str(error.value)
    assert str(wanted) in text
    assert all(f"{device.index} `{device.name}`" in text for device in DEVICES)
    assert "\n" not in text


def test_no_device_at_all():
    with pytest.raises(SourceError, match="there is none: plug one in, or see `arecord -l`"):
        find([], None)


def test_missing_portaudio_is_the_line_to_type(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SourceError, match=r"PortAudio is missing .*: sudo apt-get install libportaudio2"):
        MicrophoneSource().open()


def test_sounddevice_is_imported_lazily():
    code = "import sys, edge.sources.parse; print('sounddevice' in sys.modules, 'soundfile' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_overflow_is_an_estimated_gap_and_a_new_epoch():
    """No sound server overflows on demand: the callback is called as PortAudio would."""
    source, clock, ring, sample_clock = MicrophoneSource(), ManualClock(), Ring(10_000, 1000), SampleClock(1000)
    source.rate = 1000
    source._feed = Feed(source, ring, clock, sample_clock, source._stop)
    source._feed.begin()
    for overflow, pause in ((False, 0.1), (False, 0.1), (True, 0.4), (False, 0.1)):
        clock.advance(int(pause * 1e9))
        source._receive(np.ones((100, 2), np.float32), 100, None, SimpleNamespace(input_overflow=overflow))
    first, second = ring.read(10_000, 0), ring.read(10_000, 0)
    assert (len(first.samples), first.gap) == (200, 0)
    assert (len(second.samples), second.gap, second.exact, second.start) == (200, 300, False, 0)
    assert first.epoch < second.epoch
    assert sample_clock.utc_ns(100, first.epoch)[0] == ManualClock().utc_ns() + 100_000_000
    assert sample_clock.utc_ns(200, second.epoch)[0] == clock.utc_ns()


def listen(source, seconds):
    """Open and start; return the ring and the samples of `seconds`."""
    source.open()
    ring = Ring(source.rate * 10, source.rate)
    sample_clock = SampleClock(source.rate)
    source.start(ring, SystemClock(), sample_clock)
    samples, deadline = [], time.monotonic() + 20
    while sum(map(len, samples)) < seconds * source.rate and time.monotonic() < deadline:
        if block := ring.read(source.rate, 1):
            samples.append(block.samples)
    return ring, sample_clock, np.concatenate(samples)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_tone_arrives_at_its_frequency_and_level(pulse_microphone, rate):
    pulse_microphone.play(0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000 * 6) / 16_000), 16_000)
    source = MicrophoneSource("mic", rate_hint=rate)
    ring, sample_clock, samples = listen(source, 2.5)
    now = SystemClock().utc_ns()
    source.close()
    assert (source.rate, source.name, source.bad_samples, ring.lost) == (rate, "microphone mic", 0, 0)
    heard = samples[-rate:]  # the last second; the tone may have begun late
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(rate)))
    assert abs(int(spectrum.argmax()) - 1000) <= 1
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    utc, uncertainty = sample_clock.utc_ns(len(samples))
    assert abs(now - utc) < 1_000_000_000
    assert uncertainty < 100_000_000


def test_a_device_that_is_lost_is_an_error_and_can_come_back(pulse_microphone):
    source = MicrophoneSource(rate_hint=16_000)
    ring, _, _ = listen(source, 0.5)
    pulse_microphone.kill()
    deadline = time.monotonic() + 15

    def read_on():
        while time.monotonic() < deadline:
            ring.read(16_000, 1)

    with pytest.raises(SourceError, match=r"microphone default: stopped: .* gone; plug it in again"):
        read_on()
    source.close()
    source.close()
    with pytest.raises(SourceError):
        MicrophoneSource("mic").open()
    pulse_microphone.plug_in()
    again = MicrophoneSource("mic", rate_hint=16_000)
    ring, _, samples = listen(again, 0.5)
    again.close()
    assert len(samples) >= 8_000


def test_devices_lists_it(pulse_microphone):
    named = [device.name for device in list_devices()]
    assert "mic" in named
    done = CliRunner().invoke(devices_command, ["--json"])
    assert "mic" in [device["name"] for device in json.loads(done.output)]
    assert sum(device["default"] for device in json.loads(done.output)) == 1
    lines = CliRunner().invoke(devices_command, []).output.splitlines()
    assert any(line.split()[1] == "mic" for line in lines if not line.startswith("*"))
    assert [line for line in lines if line.startswith("*")]


def test_an_unknown_device_of_a_real_system(pulse_microphone):
    with pytest.raises(SourceError, match=r"expected an input device named `bat`; there is .*`mic`"):
        MicrophoneSource("bat").open()
