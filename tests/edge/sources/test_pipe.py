"""Standard input, through real pipes and processes."""

import os
import pty
import struct
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from edge.clock import ManualClock, SampleClock, SystemClock
from edge.errors import SourceError
from edge.ring import Ring
from edge.sources.pcm import PcmFormat, PcmReader, parse_pcm, read_header
from edge.sources.pipe import PipeSource


def header(*, tag=1, channels=1, rate=16000, bits=16, size=0xFFFFFFFF, extra=b""):
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVE" + extra + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size)
    return b"RIFF\xff\xff\xff\xff" + body


def through(data, slow=False, **options):
    """Feed bytes through a real process and pipe; return samples, error and source."""
    step, pause = (7, 0.001) if slow else (1 << 20, 0)
    code = (
        "import sys, time; data = sys.stdin.buffer.read()\n"
        f"for i in range(0, len(data), {step}):\n"
        f"    sys.stdout.buffer.write(data[i:i + {step}]); sys.stdout.buffer.flush(); time.sleep({pause})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(data)
        process.stdin.close()
        with closing(PipeSource(fd=process.stdout.fileno(), **options)) as source:
            return (*drain(source), source)


def drain(source, clock=None):
    source.open()
    ring = Ring(20_000, source.rate)
    source.start(ring, clock or ManualClock(), SampleClock(source.rate))
    parts, error = [np.empty(0, np.float32)], None
    try:
        while not ring.ended:
            if block := ring.read(5000, 5):
                parts.append(block.samples)
        ring.read(1, 0)
    except SourceError as problem:
        error = str(problem)
    assert ring.lost == 0
    return np.concatenate(parts), error


def integers(count):
    return (np.arange(count) * 37 % 65536 - 32768).astype("<i2")


def test_wav_through_a_pipe():
    values = integers(100_000)
    samples, error, source = through(header() + values.tobytes())
    np.testing.assert_array_equal(samples, values / np.float32(32768))
    assert (error, source.rate, source.partial_bytes, source.live) == (None, 16000, 0, False)


def test_odd_pieces_of_stereo_make_whole_frames():
    values = integers(400)
    samples, error, _ = through(header(channels=2) + values.tobytes(), slow=True, channel=1)
    np.testing.assert_array_equal(samples, values[1::2] / np.float32(32768))
    assert error is None


def test_chunks_around_the_sound_are_not_sound():
    extra = b"LIST" + struct.pack("<I", 5) + b"INFOx" + b"\0"
    samples, error, source = through(header(size=200, extra=extra) + integers(100).tobytes() + b"LIST\x04\0\0\0abcd")
    assert (len(samples), error, source.frames) == (100, None, 100)


def test_raw_pcm_with_a_partial_frame(caplog):
    samples, error, source = through(integers(1000).tobytes() + b"x", pcm="s16le:8000:1")
    assert (len(samples), error, source.rate, source.partial_bytes) == (1000, None, 8000, 1)
    assert "ended within a frame; its 1 bytes were left out" in caplog.text


def test_a_broken_promise_is_reported_after_the_sound():
    samples, error, _ = through(header(size=400) + integers(100).tobytes())
    assert len(samples) == 100
    assert error == "standard input: is truncated: its WAV header promised 200 bytes more; what came was read"


def test_no_sound():
    assert through(b"", pcm="s16le:8000:1")[1].startswith("standard input: expected sound, got 0 samples")


@pytest.mark.parametrize("data", [b"", b"plain text, and a lot of it", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_wav(data):
    with pytest.raises(SourceError, match=r"expected a WAV .*, got no WAV header; .* --pcm s16le:16000:1"):
        through(data)


def test_an_encoding_that_is_not_ours():
    with pytest.raises(SourceError, match="got another encoding"):
        through(header(tag=6, bits=8))


def test_a_wav_without_a_format():
    with pytest.raises(SourceError, match="format chunk"):
        through(b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd")


def test_a_chunk_without_end():
    with pytest.raises(SourceError, match="got a chunk b'junk' of 4294967295 bytes"):
        through(b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff")


def test_a_terminal():
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(SourceError, match="got a terminal; pipe into it: arecord"):
            PipeSource(fd=theirs).open()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("text", ["s16le", "s16le:16000", "mp3:16000:1", "s16le:x:1", "s16le:16000:0", "s16le:5:1", ""])
def test_pcm_texts_that_mean_nothing(text):
    with pytest.raises(SourceError, match=r"--pcm: expected ENCODING:RATE:CHANNELS such as s16le:16000:1"):
        parse_pcm(text)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("s16le", struct.pack("<3h", -32768, 0, 16384)),
        ("s24le", b"\x00\x00\x80" + b"\x00\x00\x00" + b"\x00\x00\x40"),
        ("s32le", struct.pack("<3i", -(2**31), 0, 2**30)),
        ("f32le", struct.pack("<3f", -1, 0, 0.5)),
    ],
)
def test_full_scale_is_one_in_every_encoding(encoding, data):
    assert PcmFormat(encoding, 16000, 1).decode(data)[:, 0].tolist() == [-1, 0, 0.5]
    reader = PcmReader(PcmFormat(encoding, 16000, 3))
    assert [reader.push(data[:5]).shape, reader.push(data[5:]).tolist()] == [(0, 3), [[-1, 0, 0.5]]]


def test_rf64_and_extensible_headers():
    fmt = struct.pack("<HHIIHHHHIH14x", 0xFFFE, 2, 96000, 0, 8, 32, 22, 32, 3, 3)
    ds64 = struct.pack("<QQQI", 0, 5 * 2**30, 0, 0)
    data = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(ds64)) + ds64
    data += b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data\xff\xff\xff\xff"
    view = memoryview(data)

    def read(count):
        nonlocal view
        piece, view = bytes(view[:count]), view[count:]
        return piece

    found = read_header(read, "x")
    assert found.format == PcmFormat("f32le", 96000, 2)
    assert (found.data_bytes, found.offset) == (5 * 2**30, len(data))


def test_a_live_pipe_is_stamped():
    reading, writing = os.pipe()
    with closing(PipeSource(fd=reading, pcm="s16le:16000:1", realtime=True)) as source:
        source.open()
        ring, sample_clock, clock = Ring(16000, 16000), SampleClock(16000), SystemClock()
        before = clock.utc_ns()
        source.start(ring, clock, sample_clock)
        os.write(writing, integers(1600).tobytes())
        assert len(ring.read(1600, 5).samples) == 1600
        utc, uncertainty = sample_clock.utc_ns(1600)
        assert source.live
        assert before <= utc <= clock.utc_ns()
        assert uncertainty >= 250_000_000
    os.close(reading)
    os.close(writing)
