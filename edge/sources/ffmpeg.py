"""Network streams and everything else that FFmpeg reads from a URL, through an ``ffmpeg`` subprocess.

FFmpeg writes WAV at the stream's own rate: its header tells it, and resampling stays in one place, behind the ring.
URLs come from strangers and carry passwords: the program is started from an argument list, may use network protocols
only, and no message shows what stands before an ``@`` or behind a ``?``.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import threading
import time

from edge.errors import SourceError
from edge.sources.base import Channels, Feed, ThreadSource, check_format, printable, to_mono
from edge.sources.doze import Doze
from edge.sources.pcm import PcmReader, read_header
from edge.sources.redact import redact

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
WHITELIST = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtsp,rtmp,rtmps,srt,crypto"  # no file, concat, subfile, data
WAITING = ("http://", "https://")  # servers that wait for us, so that a file behind them loses nothing
SILENCE_S = 10.0
NETWORK_FLOOR_NS = 2_000_000_000  # encoders and networks delay by seconds that nobody can tell
CHUNK_BYTES = 1 << 16
POLL_MS = 100
LINE_BYTES = 4096


class FfmpegSource(ThreadSource):
    """A URL.

    Parameters
    ----------
    url
        ``rtsp://``, ``https://`` … A stream without a known duration is live.
    channel
        Index from 0, or ``"mix"``.
    silence_s
        Seconds without a sample after which FFmpeg counts as hung and is killed.
    """

    floor_ns = NETWORK_FLOOR_NS
    reconnects = True  # until it turns out to have an end

    def __init__(self, url: str, *, channel: Channels = "mix", silence_s: float = SILENCE_S) -> None:
        super().__init__(redact(url), live=True)
        self._url = url
        self._channel = channel
        self._silence_s = silence_s
        self._process: subprocess.Popen[bytes] | None = None
        self._poll = select.poll()
        self._reader: PcmReader | None = None
        self._problem = ""
        self._line = b""
        self._releasing = threading.Lock()

    def open(self) -> None:
        """Start FFmpeg and wait for the first sound."""
        scheme = re.match(r"([a-z]+)://\S", self._url)
        if not scheme or scheme[1] not in SCHEMES or re.search(r"[\x00-\x20\x7f]", self._url):
            raise SourceError(f"{self.name}: expected a URL that begins with {'://, '.join(SCHEMES)}://")
        if shutil.which("ffmpeg") is None:
            raise SourceError(f"{self.name}: needs ffmpeg, which is not installed: sudo apt-get install ffmpeg")
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]
        command += ["-protocol_whitelist", WHITELIST, "-i", self._url]
        command += ["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._poll.register(stream.fileno(), select.POLLIN)
        try:
            self._learn()
        except SourceError:
            self.release()
            raise

    def deliver(self, feed: Feed) -> None:
        """Read until FFmpeg ends."""
        reader, wait = self._reader, not self.live or self._url.startswith(WAITING)
        if reader is None:
            raise SourceError(f"{self.name}: was not opened")
        doze = self._doze(reader)
        while data := self._read(CHUNK_BYTES):
            frames = reader.push(data)
            feed.put(to_mono(frames, self._channel), wait=wait, stamp=self.live)
            doze.took(len(frames))
            doze.sleep()
        if not self.stop.is_set():
            self._judge(feed.index)

    def release(self) -> None:
        """End FFmpeg, by force if it does not listen."""
        with self._releasing:
            process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _doze(self, reader: PcmReader) -> Doze:
        pipe = self._process.stdout if self._process else None
        fd, seconds = (pipe.fileno(), self.gather_s) if pipe and self.live else (-1, 0.0)
        return Doze(fd, reader.pcm.width, self.rate, seconds, self.stop)

    def _learn(self) -> None:
        header = read_header(self._exactly, self.name)
        if header is None or header.format is None:
            self._judge(0)
            return
        self._listen()  # FFmpeg has told the duration before it wrote the header
        check_format(self.name, header.rate, header.format.channels, self._channel)
        self.rate = header.rate
        self._reader = PcmReader(header.format)

    def _judge(self, samples: int) -> None:
        """Raise unless FFmpeg ended well and there was sound."""
        process = self._process
        code = process.wait(self._silence_s) if process else 0
        self._listen()
        if code or not samples:
            why = self._problem or f"ended with code {code} and {samples} samples"
            raise SourceError(f"{self.name}: expected sound, but ffmpeg says: {why}; check the URL and the network")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := self._read(count - len(data))):
            data += more
        return data

    def _read(self, count: int) -> bytes:
        """Return the next bytes, at most `count`; none at the end or where `stop` is set."""
        if self._process is None or self._process.stdout is None:
            return b""
        sound = self._process.stdout.fileno()
        deadline = time.monotonic() + self._silence_s
        while not self.stop.is_set():
            ready = [fd for fd, _ in self._poll.poll(POLL_MS)]
            if sound in ready:
                return os.read(sound, count)
            if ready:
                self._listen()
            if time.monotonic() > deadline:
                why = f"; ffmpeg says: {self._problem}" if self._problem else ""
                raise SourceError(f"{self.name}: no sound for {self._silence_s:g} s{why}; check stream and network")
        return b""

    def _listen(self) -> None:
        """Take in what FFmpeg says: the duration, and its last complaint."""
        if self._process is None or self._process.stderr is None:
            return
        fd = self._process.stderr.fileno()
        try:
            while text := os.read(fd, LINE_BYTES):
                *lines, self._line = (self._line + text)[-2 * LINE_BYTES :].split(b"\n")
                for line in lines:
                    self._note(line.decode("utf-8", "replace"))
            self._poll.unregister(fd)
        except (BlockingIOError, KeyError):  # nothing more for now; or its end was seen before
            return

    def _note(self, line: str) -> None:
        if found := re.search(r"\bDuration: (N/A|[\d:.]+)", line):
            self.live = self.reconnects = found[1] == "N/A"
        if found := re.search(r"\[(?:error|fatal|panic)\] (.+)", line):
            self._problem = printable(redact(found[1].replace(self._url, self.name)))
