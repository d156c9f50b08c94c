"""URLs: a real HTTP server and a real ffmpeg."""

import http.server
import io
import os
import shutil
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from edge.clock import SampleClock, SystemClock
from edge.errors import SourceError
from edge.ring import Ring
from edge.sources.ffmpeg import FfmpegSource
from edge.sources.redact import redact

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: apt-get install ffmpeg")


def encoded(samples, rate, kind="FLAC"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


TONE = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(44_100 * 3) / 44_100)).astype(np.float32)
STEREO = np.stack([TONE, np.zeros_like(TONE)], axis=1)
PAGES = {
    "/tone.flac": encoded(STEREO, 44_100),
    "/page.html": b"<html>no sound here</html>",
    "/list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves pages; `/live` sends sound without a length, then falls silent."""

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/live":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(encoded(STEREO, 44_100, "WAV"))
            self.wfile.flush()
            self.server.quiet.wait(30)
            return
        self.send_response(200 if path in PAGES else 404)
        page = PAGES.get(path, b"")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        with suppress(ConnectionError):  # ffmpeg may have seen enough
            self.wfile.write(page)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.quiet = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://user:secret@127.0.0.1:{server.server_port}"
    server.quiet.set()
    server.shutdown()
    thread.join()
    server.server_close()


def drain(source):
    source.open()
    ring, sample_clock = Ring(44_100, source.rate), SampleClock(source.rate)
    source.start(ring, SystemClock(), sample_clock)
    parts, error = [], None
    try:
        while not ring.ended:
            if block := ring.read(10_000, 5):
                parts.append(block.samples)
        ring.read(1, 0)
    except SourceError as problem:
        error = str(problem)
    source.close()
    assert ring.lost == 0
    return np.concatenate(parts), error, sample_clock


@needs_ffmpeg
@pytest.mark.parametrize(("channel", "level"), [(0, 1.0), (1, 0.0), ("mix", 0.5)])
def test_a_file_behind_a_url_loses_nothing(url, channel, level):
    source = FfmpegSource(f"{url}/tone.flac?token=abc", channel=channel)
    samples, error, sample_clock = drain(source)
    assert (error, source.rate, source.live) == (None, 44_100, False)
    assert sample_clock.utc_ns(0) is None
    np.testing.assert_allclose(samples, TONE * level, atol=1 / 32768)
    assert source.name == f"http://***@{url.split('@')[1]}/tone.flac?***"


@needs_ffmpeg
def test_a_stream_that_falls_silent_is_killed_and_reported(url):
    source = FfmpegSource(f"{url}/live", channel=0, silence_s=1.5)
    source.open()
    process = source._process.pid
    ring = Ring(44_100 * 5, source.rate)
    source.start(ring, SystemClock(), SampleClock(source.rate))
    got = 0

    def read_on():
        nonlocal got
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            block = ring.read(10**6, 1)
            got += len(block.samples) if block else 0

    with pytest.raises(SourceError, match=r"no sound for 1\.5 s.*; check stream and network"):
        read_on()
    assert 0 < got <= len(TONE)
    source.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("path", "cause"),
    [("/nothing.wav", "404"), ("/page.html", "Invalid data"), ("/list.m3u8?pass=word", "ffmpeg says: ")],
)
def test_what_ffmpeg_says_is_passed_on_without_secrets(url, path, cause):
    with pytest.raises(SourceError) as error:
        FfmpegSource(url + path).open()
    text = str(error.value)
    assert cause in text
    assert not any(secret in text for secret in ("secret", "user:", "word", "\n"))
    assert text.endswith("; check the URL and the network")


@needs_ffmpeg
def test_a_server_that_is_not_there():
    with pytest.raises(SourceError, match="Connection refused"):
        FfmpegSource("http://127.0.0.1:9/x").open()


@pytest.mark.parametrize("text", ["file:///etc/passwd", "concat://a|b", "data://x", "-i://x", "http://a b", "http://"])
def test_only_network_schemes_reach_ffmpeg(text):
    with pytest.raises(SourceError, match="expected a URL that begins with http://, https://"):
        FfmpegSource(text).open()


def test_missing_ffmpeg_is_the_line_to_type(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="sudo apt-get install ffmpeg"):
        FfmpegSource("rtsp://me:secret@camera/1").open()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:p@ss/w@camera:554/1", "rtsp://***@camera:554/1"),
        ("https://x.org/a?key=1&b=2", "https://x.org/a?***"),
        ("error at https://u:p@x.org/a?k=1: 401 Unauthorized", "error at https://***@x.org/a?***: 401 Unauthorized"),
        ("https://x.org/plain.mp3", "https://x.org/plain.mp3"),
    ],
)
def test_redaction(text, shown):
    assert redact(text) == shown
