"""The daemon: streams on one side, journal and publishers on the other, and who keeps an eye on them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.blocks import ScoreBlock
from edge.clock import Clock, SampleClock, SystemClock
from edge.config import Config, Stream
from edge.decode.event import EventMaker
from edge.errors import WheatearError
from edge.ids import uuid7
from edge.inference.model import Model
from edge.levels.message import Message
from edge.memory import release_compiler
from edge.notify import Notifier
from edge.publish.board import Board
from edge.publish.outbox import DEVICE_STREAM
from edge.publish.outputs import open_outputs
from edge.sources.base import Channels, Source
from edge.status import DeviceStatus
from edge.supervise.capture import Key
from edge.supervise.reload import reload
from edge.supervise.supervisor import MakeTap, Supervisor
from edge.tap import Tap

if TYPE_CHECKING:
    from edge.publish.embeddings import EmbeddingOutput

log = logging.getLogger(__name__)

TICK_S = 0.5
START_S = 300.0  # what compiling may take on the smallest board


class Daemon:
    """Runs all streams of a configuration.

    Parameters
    ----------
    config
        What to run.
    publish
        Journal and publish events; otherwise they are only shown.
    show
        Called with each event and each minute of levels in the moment it is published.
    linger
        Seconds for which past events can still be asked for after all sources have ended.
    clock
        The time of day; injected by tests and replays.
    make_source
        Makes the source of a capture: its key, its channels, the rate in Hz that is wanted.
    read
        Reads the configuration again, for `reload`.
    patient
        Wait for live sources that are not there at the start.
    make_tap
        Makes who looks on a stream; by default the recorder of its clips, where clips are kept.

    Attributes
    ----------
    status
        How the device is.
    ended
        Set when the sources have ended and all their events were handed over.
    """

    def __init__(
        self,
        config: Config,
        publish: bool,
        show: Callable[[Message], None],
        linger: float = 0.0,
        clock: Clock | None = None,
        make_source: Callable[[Key, Channels, int], Source] | None = None,
        read: Callable[[], Config] | None = None,
        patient: bool = False,
        make_tap: MakeTap | None = None,
    ) -> None:
        self.config, self._clips = config, config.clips
        self.status = DeviceStatus(config.device_name)
        self.ended = threading.Event()
        self._publish, self._show, self._linger = publish, show, linger
        self._clock = clock or SystemClock()
        self._read = read
        self._notifier = Notifier()
        self._submit: Callable[[Message], object] = show
        self._alive: Callable[[], bool] = lambda: True  # whether events still go out
        self._board = Board()
        self._embeddings: EmbeddingOutput | None = None
        self._supervisor = Supervisor(
            config,
            self.status,
            make_source or open_source,
            self._hand_over,
            self._clock,
            patient or self._notifier.listened_to,
            make_tap or self._recorder,
            self._embed if config.publish.embeddings else None,
        )
        self._stop, self._wake = threading.Event(), threading.Event()
        self._asked = threading.Event()
        self._reloader: threading.Thread | None = None
        self._maker = EventMaker(config.device_name, DEVICE_STREAM, "", 1000, SampleClock(1000))
        self._epoch, self._began = uuid7(self._clock), self._clock.monotonic_ns()

    def stop(self) -> None:
        """End the run: open events are ended, the journal is closed."""
        self._stop.set()
        self._wake.set()

    def reload(self) -> None:
        """Read the configuration again and run it; streams that it does not change lose nothing."""
        self._asked.set()
        self._wake.set()

    def run(self) -> None:
        """Listen until all sources end or `stop` is called.

        Raises
        ------
        WheatearError
            Model, source, journal or socket cannot be had; bad input, after all that could be heard was reported.
        """
        self._notifier.extend_start(START_S, "loading models, compiling where the cache is cold")
        supervisor = self._supervisor
        try:
            supervisor.prepare()
            release_compiler()
            with self._outbox() as submit, self._embedding_output():
                self._submit = submit
                supervisor.begin()
                self._notifier.ready()
                if self._publish:
                    log.info("%s hears %s; events at %s", *self._where())
                self._watch()
                self._notifier.stopping()
                supervisor.stop()
                self.ended.set()
                self._stop.wait(self._linger)
        finally:
            supervisor.stop()
        supervisor.outcome()

    def _where(self) -> tuple[str, str, str]:
        """What a person wants to read once it runs."""
        return self.config.device_name, ", ".join(self.config.stream_names), self.config.publish.events

    def _watch(self) -> None:
        """Keep an eye on the streams, and on what is asked for, until the end."""
        while not (self._stop.is_set() or self._supervisor.over):
            if self._supervisor.well and self._alive():
                self._notifier.alive()
            if self._asked.is_set() and not (self._reloader and self._reloader.is_alive()):
                self._asked.clear()
                self._reloader = threading.Thread(target=self._reload, name="reload", daemon=True)
                self._reloader.start()
            self._wake.wait(TICK_S)
            self._wake.clear()
        if self._reloader:
            self._reloader.join()

    def _reload(self) -> None:
        if self._read is None:
            self._say(False, "there is no configuration file to read again: give one with --config")
            return
        self._notifier.reloading()
        self._notifier.extend_start(START_S, "compiling for the new configuration")
        reload(self._read, self._supervisor, self._say)
        self.config = self._supervisor.config
        self._notifier.ready()

    def _say(self, well: bool, reason: str) -> None:
        """A health event of the device itself; its stream counts milliseconds."""
        log.log(logging.INFO if well else logging.ERROR, "%s", reason)
        elapsed = (self._clock.monotonic_ns() - self._began) // 1_000_000
        self._hand_over(
            self._maker.notice("health", self._epoch, elapsed, reason=reason, fault="configuration", active=not well)
        )

    def _hand_over(self, message: Message) -> None:
        self._submit(message)

    def _embed(self, stream: str, model: str, block: ScoreBlock) -> None:
        if self._embeddings:
            self._embeddings.push(stream, model, block)

    @contextmanager
    def _embedding_output(self) -> Iterator[None]:
        if not self.config.publish.embeddings:
            yield
            return
        from edge.publish.embeddings import open_embeddings
        from edge.sources.parse import kind_of

        live = any(kind_of(stream.source)[0] != "file" for stream in self.config.streams)
        with open_embeddings(self.config.publish, self.config.device_name, live, self._board) as self._embeddings:
            yield

    def _recorder(self, stream: Stream, models: Sequence[Model]) -> Tap | None:
        if not self._clips.enabled:
            return None
        from edge.publish.clips import ClipRecorder
        from edge.sources.parse import kind_of

        name = stream.stream_name
        status = self.status.stream(name)
        try:
            return ClipRecorder(
                self._clips,
                self.status.device,
                name,
                [model.labels for model in models],
                self._hand_over,
                lambda: status.drop("clips"),
                live=kind_of(stream.source)[0] != "file" or stream.realtime,
            )
        except WheatearError as error:
            if self._reloader is None:
                raise
            self._say(False, f"stream {name} keeps no clips: {error}")
            return None

    @contextmanager
    def _outbox(self) -> Iterator[Callable[[Message], object]]:
        if not self._publish:
            yield self._show
            return
        with open_outputs(self.config, self.status, self._show, self.config.stream_names) as outputs:
            self._alive, self._board = lambda: outputs.alive, outputs.board
            yield outputs.submit


def open_source(key: Key, channels: Channels, rate: int) -> Source:
    """The source that a configuration names."""
    from edge.config.secrets import reveal
    from edge.sources.parse import make_source

    return make_source(
        reveal(key.source),
        rate_hint=rate,
        pcm=key.pcm or None,
        realtime=key.realtime,
        channel=channels,
        start=key.start or None,
    )
