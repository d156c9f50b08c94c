"""From a source to published events until it ends or is told to: the only file that knows all parts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from edge.blocks import Event
from edge.clock import Clock, SampleClock, SystemClock
from edge.config import Config
from edge.decode.event import EventMaker
from edge.errors import SourceError
from edge.inference.model import Model
from edge.pipeline import Pipeline
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.replay import ReplayServer
from edge.publish.zeromq import Publisher
from edge.ring import Ring
from edge.sources.base import Source

log = logging.getLogger(__name__)

RING_SECONDS = 10
BLOCK_SECONDS = 0.1
LONGEST_WAIT_S = 30.0


class Daemon:
    """Runs one stream.

    Parameters
    ----------
    config
        What to run.
    make_source
        Makes the source afresh, at the start and at every reconnection; takes the model's rate in Hz.
    publish
        Journal and publish events; otherwise they are only shown.
    show
        Called with each event in the moment it is published.
    clock
        The time of day; injected by tests and replays.
    """

    def __init__(
        self,
        config: Config,
        make_source: Callable[[int], Source],
        publish: bool,
        show: Callable[[Event], None],
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self._make_source = make_source
        self._publish = publish
        self._show = show
        self._clock = clock or SystemClock()
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the run: open events are ended, the journal is closed."""
        self._stop.set()

    def run(self) -> None:
        """Listen until the source ends or `stop` is called.

        Raises
        ------
        WheatearError
            Model, source, journal or socket cannot be had; bad input, after all that could be heard was reported.
        """
        model = Model.load(self.config.model, self.config.engine or None, self.config.precision or None)
        source = self._make_source(model.card.input.rate)
        source.open()
        try:
            with self._outbox() as submit:
                self._listen(model, source, submit)
        finally:
            source.close()

    @contextmanager
    def _outbox(self) -> Iterator[Callable[[Event], None]]:
        if not self._publish:
            yield self._show
            return
        config = self.config
        with ExitStack() as stack:
            journal = Journal(config.journal_path, config.device_name)
            stack.callback(journal.close)
            publisher = Publisher(config.publish.events, config.device_name, allow_remote=config.publish.allow_remote)
            replay = ReplayServer(config.journal_path, config.publish.replay, allow_remote=config.publish.allow_remote)
            stack.callback(replay.close)
            interrupted = journal.open_events(config.stream_name)
            outbox = Outbox(journal, publisher, on_published=self._show)
            stack.callback(outbox.close)
            for event in interrupted:
                outbox.submit(_interrupted(event))
            yield outbox.submit

    def _listen(self, model: Model, source: Source, submit: Callable[[Event], None]) -> None:
        wait = 1.0
        while True:
            maker = self._maker(model, source)
            try:
                self._hear(model, source, maker, submit)
                return
            except SourceError as error:
                if not source.reconnects or self._stop.is_set():
                    raise
                log.warning("%s; trying again", error)
                submit(maker.notice("lost", *self._position, reason=str(error)))
            source.close()
            while not self._stop.wait(wait):
                wait = min(2 * wait, LONGEST_WAIT_S)
                source = self._make_source(model.card.input.rate)
                try:
                    source.open()
                except SourceError as error:
                    log.warning("%s; trying again in %g s", error, wait)
                    continue
                wait = 1.0
                submit(self._maker(model, source).notice("resumed", *self._position, reason="the source is back"))
                break
            else:
                return

    def _maker(self, model: Model, source: Source) -> EventMaker:
        card, config = model.card, self.config
        clock = SampleClock(source.rate)
        return EventMaker(config.device_name, config.stream_name, f"{card.name}@{card.version}", source.rate, clock)

    def _hear(self, model: Model, source: Source, maker: EventMaker, submit: Callable[[Event], None]) -> None:
        """Run the pipeline on a source until it ends; whatever ends it, open events are ended first."""
        ring = Ring(RING_SECONDS * source.rate, source.rate)
        pipeline = Pipeline(model, maker, self.config.rules(model.card.decode))
        block_size = max(1, round(BLOCK_SECONDS * source.rate))
        reason = "gap"
        source.start(ring, self._clock, maker.clock)
        try:
            while not self._stop.is_set():
                block = ring.read(block_size, timeout=0.2)
                if block is not None:
                    for event in pipeline.push(block):
                        submit(event)
                elif ring.ended:
                    break
            reason = "stop"
        finally:
            source.close()
            for event in pipeline.flush(reason):
                submit(event)
            self._position = pipeline.position
        if source.bad_samples:
            raise SourceError(
                f"{source.name}: {source.bad_samples} samples were not numbers (the first is sample "
                f"{source.first_bad_sample}) and were heard as silence; expected finite samples: write the file again"
            )


def _interrupted(event: Event) -> Event:
    """The end of an event that was open when the daemon was killed."""
    import msgspec

    return msgspec.structs.replace(event, type="end", seq=0, reason="interrupted", offset_sample=None, offset_s=None)
