"""Sound files: what is read, when it was recorded, and what is said about files that are not what they seem."""

import struct
import threading
import time

import numpy as np
import pytest
import soundfile

from edge.clock import ManualClock, SampleClock
from edge.errors import SourceError
from edge.ring import Ring
from edge.sources.soundfile import SoundFileSource, audiomoth_start

SECOND = 1_000_000_000


def ramp(count, channels=1):
    """Distinct 16-bit values, scaled as libsndfile does."""
    values = (np.arange(count * channels) % 30000 / 32768).astype(np.float32)
    return values.reshape(count, channels)


def write(path, frames, rate=16000, subtype="PCM_16"):
    soundfile.write(path, frames, rate, subtype=subtype)
    return path


def chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(path, samples, rate=48000, bext=b"", promise=None):
    """A WAV by hand: 16 bit mono, optionally with a broadcast chunk and a false promise."""
    data = (samples * 32768).astype("<i2").tobytes()
    body = b"WAVE" + (chunk(b"bext", bext) if bext else b"")
    body += chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16))
    body += b"data" + struct.pack("<I", len(data) if promise is None else promise) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def collect(source, capacity=50_000):
    """Read a source to its end; return the samples, the sample clock, the ring and the error, if any."""
    source.open()
    ring, sample_clock = Ring(capacity, source.rate), SampleClock(source.rate)
    source.start(ring, ManualClock(), sample_clock)
    parts, error = [], None
    try:
        while not ring.ended:
            if block := ring.read(10_000, 5):
                assert block.gap == 0
                assert block.start == sum(map(len, parts))
                parts.append(block.samples)
        ring.read(1, 0)
    except SourceError as problem:
        error = str(problem)
    source.close()
    return np.concatenate(parts), sample_clock, ring, error


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
def test_every_sample_arrives(tmp_path, name):
    frames = ramp(300_000)
    source = SoundFileSource(write(tmp_path / name, frames))
    samples, clock, ring, error = collect(source)
    np.testing.assert_array_equal(samples, frames[:, 0])
    assert (source.frames, source.live, ring.lost, error) == (300_000, False, 0, None)
    assert clock.utc_ns(0) is None  # a file does not know when it was


def test_eight_channels_at_192_khz(tmp_path):
    frames = ramp(100_000, 8)
    path = write(tmp_path / "array.wav", frames, 192_000)
    samples, *_ = collect(SoundFileSource(path, channel=5))
    np.testing.assert_array_equal(samples, frames[:, 5])
    samples, *_ = collect(SoundFileSource(path))
    np.testing.assert_allclose(samples, frames.mean(axis=1), atol=1e-6)


def test_nan_and_infinity_become_0_and_are_counted(tmp_path, caplog):
    frames = ramp(100_000)
    frames[70_001:70_004, 0] = np.nan
    frames[90_000, 0] = -np.inf
    source = SoundFileSource(write(tmp_path / "bad.wav", frames, subtype="FLOAT"))
    samples, _, _, error = collect(source)
    assert (source.bad_samples, source.first_bad, error) == (4, 70_001, None)
    np.testing.assert_array_equal(samples, np.nan_to_num(frames[:, 0], neginf=0))
    assert "bad.wav: sample 70001 is not a number" in caplog.text


def test_a_truncated_flac_is_read_and_then_reported(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (100_000, 1)).astype(np.float32)
    path = write(tmp_path / "cut.flac", noise)
    path.write_bytes(path.read_bytes()[:100_000])
    samples, _, _, error = collect(SoundFileSource(path))
    assert len(samples) == 49_152  # 12 whole blocks of 4096: all that can be decoded
    np.testing.assert_allclose(samples, noise[: len(samples), 0], atol=1 / 32768)
    assert f"is truncated: expected 100000 samples, got {len(samples)}" in error


def test_realtime_waits_for_the_injected_clock(tmp_path):
    source = SoundFileSource(write(tmp_path / "a.wav", ramp(16_000)), realtime=True)
    source.open()
    clock, ring = ManualClock(), Ring(16_000, 16_000)
    source.start(ring, clock, SampleClock(16_000))
    assert ring.read(16_000, 0.1) is None  # no time has passed
    clock.advance(SECOND // 2)
    got = 0
    while block := ring.read(16_000, 0.2):
        got += len(block.samples)
    assert got == 8_000
    source.close()
    assert ring.ended


def test_a_truncated_wav_is_read_and_then_reported(tmp_path):
    path = wav(tmp_path / "cut.wav", ramp(1000)[:, 0], promise=10_000)
    samples, _, _, error = collect(SoundFileSource(path))
    np.testing.assert_array_equal(samples, ramp(1000)[:, 0])
    assert error.endswith(
        "cut.wav: is truncated: expected 5000 samples, got 1000, all of which were read; "
        "copy it again if the original is longer"
    )


@pytest.mark.parametrize("promise", [0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_not_truncated(tmp_path, promise):
    samples, _, _, error = collect(SoundFileSource(wav(tmp_path / "a.wav", ramp(1000)[:, 0], promise=promise)))
    assert (len(samples), error) == (1000, None)


def refusal(path, **options):
    with pytest.raises(SourceError) as error:
        SoundFileSource(path, **options).open()
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    return str(error.value)


def test_missing(tmp_path):
    assert f"{tmp_path}/none.wav: no such file; check the name" in refusal(tmp_path / "none.wav")


def test_folder(tmp_path):
    assert "expected a file, got a folder or device" in refusal(tmp_path)


def test_text_as_wav(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("Heard a wren this morning.\n")
    text = refusal(path)
    assert (
        "notes.wav: expected a sound file (WAV, FLAC, OGG, MP3, AIFF …), got a file that begins with b'Heard a w"
        in text
    )
    assert "check it with `file`" in text


def test_empty_file(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    assert "got an empty file" in refusal(path)


def test_no_samples(tmp_path):
    text = refusal(write(tmp_path / "none.wav", ramp(0)))
    assert "none.wav: expected sound, got 0 samples; record or copy it again" in text
    text = refusal(wav(tmp_path / "cut.wav", ramp(0)[:, 0], promise=96_000))
    assert "got 0 samples though its header promises 48000" in text


def test_channel_out_of_range(tmp_path):
    text = refusal(write(tmp_path / "a.wav", ramp(10, 2)), channel=2)
    assert text.endswith('expected a channel from 0 to 1 or "mix", got 2')


def test_impossible_rate(tmp_path):
    assert "expected 1000 to 768000 samples a second, got 10" in refusal(write(tmp_path / "a.wav", ramp(10), rate=10))


def utc(path):
    _, clock, _, _ = collect(SoundFileSource(path))
    return clock.utc_ns(48_000)


def broadcast(date, time, reference):
    return b"\0" * 320 + (date + time).encode() + struct.pack("<Q", reference) + b"\0" * 256


def test_start_from_an_audiomoth_name(tmp_path):
    path = wav(tmp_path / "20240501_043000.WAV", ramp(48_000)[:, 0])
    assert utc(path) == ((1_714_537_800 + 1) * SECOND, SECOND)  # date -u -d '2024-05-01 04:30:00' +%s
    assert audiomoth_start("20240501_043000T") == 1_714_537_800 * SECOND
    assert audiomoth_start("5CE9E6F0") == 0x5CE9E6F0 * SECOND


@pytest.mark.parametrize("stem", ["20241301_043000", "20240101", "recording", "0000FFFF", "SITE_20240501_043000"])
def test_names_that_are_no_times(stem):
    assert audiomoth_start(stem) is None


def test_start_from_a_broadcast_chunk_beats_the_name(tmp_path):
    samples = ramp(48_000)[:, 0]
    midnight = 1_714_521_600  # 2024-05-01
    reference = int((4 * 3600 + 30 * 60 + 0.25) * 48_000)
    path = wav(tmp_path / "20230101_000000.wav", samples, bext=broadcast("2024-05-01", "04:30:00", reference))
    assert utc(path) == (midnight * SECOND + 16_200 * SECOND + SECOND // 4 + SECOND, SECOND)
    path = wav(tmp_path / "b.wav", samples, bext=broadcast("2024:05:01", "04-30-00", 12345))  # reference: nonsense
    assert utc(path) == (midnight * SECOND + 16_201 * SECOND, SECOND)


def test_a_given_start_beats_all(tmp_path):
    path = wav(tmp_path / "20240501_043000.wav", ramp(48_000)[:, 0])
    _, clock, _, _ = collect(SoundFileSource(path, start_utc_ns=5))
    assert clock.utc_ns(48_000) == (5 + SECOND, 0)


def test_close_in_the_middle_ends_the_thread(tmp_path):
    source = SoundFileSource(write(tmp_path / "a.wav", ramp(100_000)))
    source.open()
    ring = Ring(1000, 16_000)
    source.start(ring, ManualClock(), SampleClock(16_000))
    ring.read(10, 5)
    source.close()
    source.close()
    assert not any(thread.name.startswith("source a.wav") for thread in threading.enumerate())
    deadline = time.monotonic() + 5
    while not ring.ended and time.monotonic() < deadline:
        ring.read(1000, 0)  # no error: closing is not a failure
    assert ring.ended
