"""What a bare --source means."""

import pytest

from edge.errors import SourceError
from edge.sources.alsa import AlsaSource
from edge.sources.ffmpeg import FfmpegSource
from edge.sources.microphone import MicrophoneSource
from edge.sources.parse import kind_of, make_source, parse_start
from edge.sources.pipe import PipeSource
from edge.sources.soundfile import SoundFileSource


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", ("pipe", "")),
        ("here", ("file", "here")),  # exists
        ("2", ("file", "2")),  # exists, and would be a device
        ("mic:2", ("mic", "2")),
        ("mic:", ("mic", "")),
        ("file:gone", ("file", "gone")),
        ("rtsp://camera/1", ("url", "rtsp://camera/1")),
        ("3", ("mic", "3")),
        ("USB Audio: one (hw:1,0)", ("mic", "USB Audio: one (hw:1,0)")),
        ("gone.WAV", ("file", "gone.WAV")),
        ("./gone", ("file", "./gone")),
    ],
)
def test_kinds(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    (tmp_path / "2").touch()
    assert kind_of(text) == expected


@pytest.mark.parametrize(
    ("text", "kind", "live"),
    [
        (None, AlsaSource, True),
        ("7", MicrophoneSource, True),
        ("gone.flac", SoundFileSource, False),
        ("https://x.org/a", FfmpegSource, True),
        ("-", PipeSource, False),
    ],
)
def test_sources(text, kind, live):
    source = make_source(text, rate_hint=16000)
    assert (type(source), source.live) == (kind, live)


def test_a_digit_is_an_index_and_a_name_is_a_name():
    assert make_source("mic:7")._wanted == 7
    assert make_source("mic:USB 7")._wanted == "USB 7"
    assert make_source("mic:")._wanted is None


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.wav: no such file"):
        make_source(str(tmp_path / "gone.wav")).open()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("3", {"pcm": "s16le:16000:1"}, r"--pcm: expected standard input \(--source -\), got the source `3`"),
        (None, {"start": "2025-05-01T04:30:00Z"}, "--start: expected a sound file, got the source `mic:`"),
        ("-", {"start": "2025-05-01T04:30:00Z"}, "--start: expected a sound file, got the source `-`"),
        ("http://u:p@x/", {"pcm": "s16le:1:1"}, r"got the source `http://\*\*\*@x/`"),
        ("a.wav", {"start": "yesterday"}, "--start: expected a time with its zone such as .*, got `yesterday`"),
        ("a.wav", {"start": "2025-05-01T04:30:00"}, "with its zone"),
    ],
)
def test_options_that_do_not_go_with_the_source(text, options, message):
    with pytest.raises(SourceError, match=message):
        make_source(text, **options)


def test_start_in_ns():
    assert parse_start("2025-05-01T04:30:00.25Z") == 1_746_073_800_250_000_000  # date -u -d 2025-05-01T04:30:00 +%s
    assert parse_start("2025-05-01T06:30:00.25+02:00") == parse_start("2025-05-01T04:30:00.25Z")
