"""Standard input: a WAV, or raw PCM whose format is given."""

from __future__ import annotations

import logging
import os
import select

from edge.errors import SourceError
from edge.sources.base import Channels, Feed, ThreadSource, check_format, to_mono
from edge.sources.doze import Doze
from edge.sources.pcm import PcmReader, parse_pcm, read_header

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16
POLL_MS = 100
PIPE_FLOOR_NS = 250_000_000  # what a recorder and a full pipe may hold back


class PipeSource(ThreadSource):
    """Sound on standard input.

    Parameters
    ----------
    pcm
        ``ENCODING:RATE:CHANNELS`` of raw samples; None where a WAV header tells.
    channel
        Index from 0, or ``"mix"``.
    realtime
        The sound happens now (``arecord | wheatear``): it is stamped with UTC. Nothing is overwritten: the pipe waits.
    fd
        File descriptor to read.

    Attributes
    ----------
    partial_bytes
        Bytes of a last frame that was not whole, and was left out.
    """

    floor_ns = PIPE_FLOOR_NS

    def __init__(
        self, *, pcm: str | None = None, channel: Channels = "mix", realtime: bool = False, fd: int = 0
    ) -> None:
        super().__init__("standard input", live=realtime)
        self._pcm = parse_pcm(pcm) if pcm else None
        self._channel = channel
        self._fd = fd
        self._reader: PcmReader | None = None
        self._poll = select.poll()
        self.partial_bytes = 0

    def open(self) -> None:
        """Read the WAV header, where there must be one."""
        if os.isatty(self._fd):
            raise SourceError(
                "standard input: expected sound, got a terminal; pipe into it: arecord -t wav | wheatear …"
            )
        self._poll.register(self._fd, select.POLLIN)
        promised = None
        if self._pcm is None:
            header = read_header(self._exactly, self.name)
            if header is None or header.format is None:
                raise SourceError(
                    "standard input: expected a WAV of 16, 24 or 32 bit integers or 32 bit floats, "
                    f"got {'another encoding' if header else 'no WAV header'}; say what it is: --pcm s16le:16000:1"
                )
            self._pcm, promised = header.format, header.data_bytes
        check_format(self.name, self._pcm.rate, self._pcm.channels, self._channel)
        self.rate = self._pcm.rate
        self.frames = promised // self._pcm.width if promised else None
        self._reader = PcmReader(self._pcm, promised)

    def deliver(self, feed: Feed) -> None:
        """Read until the other end closes."""
        reader = self._reader
        if reader is None:
            raise SourceError("standard input: was not opened")
        doze = Doze(self._fd, reader.pcm.width, self.rate, self.gather_s if self.live else 0.0, self.stop)
        while not self.stop.is_set() and not reader.done:
            doze.sleep()
            if not self._poll.poll(POLL_MS):
                continue
            data = os.read(self._fd, CHUNK_BYTES)
            if not data:
                break
            frames = reader.push(data)
            doze.took(len(frames))
            feed.put(to_mono(frames, self._channel), wait=True, stamp=self.live)
        if self.stop.is_set():
            return
        self.partial_bytes = reader.partial
        if reader.partial:
            log.warning("standard input: ended within a frame; its %d bytes were left out", reader.partial)
        if reader.missing:
            raise SourceError(
                f"standard input: is truncated: its WAV header promised {reader.missing} bytes more; what came was read"
            )
        if not feed.index:
            raise SourceError("standard input: expected sound, got 0 samples; check the command before the pipe")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := os.read(self._fd, count - len(data))):
            data += more
        return data
