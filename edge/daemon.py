"""From a source to published events until it ends or is told to: the only file that knows all parts."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from edge.blocks import Event, EventType
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
    linger
        Seconds for which past events can still be asked for after the source has ended.
    clock
        The time of day; injected by tests and replays.

    Attributes
    ----------
    ended
        Set when the source has ended and all its events were handed over.
    """

    def __init__(
        self,
        config: Config,
        make_source: Callable[[int], Source],
        publish: bool,
        show: Callable[[Event], None],
        linger: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self._make_source = make_source
        self._publish = publish
        self._show = show
        self._linger = linger
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self.ended = threading.Event()

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
                self.ended.set()
                self._stop.wait(self._linger)
        finally:
            source.close()

    @contextmanager
    def _outbox(self) -> Iterator[Callable[[Event], object]]:
        if not self._publish:
            yield self._show
            return
        config, to = self.config, self.config.publish
        with ExitStack() as stack:
            with ExitStack() as opened:
                journal = Journal(config.journal_path, config.device_name)
                opened.callback(journal.close)
                publisher = Publisher(to.events, config.device_name, to.allow_remote)
                opened.callback(publisher.close)
                stack.enter_context(ReplayServer(config.journal_path, to.replay, to.allow_remote))
                interrupted = journal.open_events(config.stream_name)
                opened.pop_all()  # the outbox takes them over
            outbox = stack.enter_context(
                Outbox(
                    journal,
                    publisher,
                    streams=[config.stream_name],
                    on_published=self._show,
                    keep=config.journal.keep,
                )
            )
            for event in interrupted:
                outbox.submit(_interrupted(event))
            yield outbox.submit

    def _listen(self, model: Model, source: Source, submit: Callable[[Event], object]) -> None:
        """Hear the source; where a live one is lost, say so, wait for it, and say that it is back."""
        while True:
            try:
                self._hear(model, source, submit)
                return
            except SourceError as error:
                if not source.reconnects or self._stop.is_set():
                    raise
                log.warning("%s", error)
                submit(self._notice("lost", str(error)))
            finally:
                source.close()
            found = self._reopen(model.card.input.rate)
            if found is None:
                return
            source = found
            submit(self._notice("resumed", f"{source.name} is back"))

    def _reopen(self, rate: int) -> Source | None:
        """The source again, as soon as it can be opened; None when told to stop."""
        wait = 1.0
        while not self._stop.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311  # jitter is no secret
            source = self._make_source(rate)
            try:
                source.open()
                return source
            except SourceError as error:
                wait = min(2 * wait, LONGEST_WAIT_S)
                log.warning("%s; trying again within %g s", error, wait)
        return None

    def _hear(self, model: Model, source: Source, submit: Callable[[Event], object]) -> None:
        """Run the pipeline on a source until it ends; whatever ends it, open events are ended first."""
        config = self.config
        clock = SampleClock(source.rate)
        self._maker = EventMaker(config.device_name, config.stream_name, model.id, source.rate, clock)
        ring = Ring(RING_SECONDS * source.rate, source.rate)
        pipeline = Pipeline(model, self._maker, config.rules(model.card.decode))
        block_size = max(1, round(BLOCK_SECONDS * source.rate))
        reason = "gap"
        source.start(ring, self._clock, clock)
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
                f"{source.first_bad}) and were heard as silence; expected finite samples: write the file again"
            )

    def _notice(self, kind: EventType, reason: str) -> Event:
        return self._maker.notice(kind, *self._position, reason=reason)


def _interrupted(event: Event) -> Event:
    """The end of an event that was open when the daemon was killed."""
    return msgspec.structs.replace(event, type="end", seq=0, reason="interrupted", offset_sample=None, offset_s=None)
