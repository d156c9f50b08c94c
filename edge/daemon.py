"""From a source to published events until it ends or is told to: the only file that knows all parts."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.blocks import Event, EventType
from edge.clock import Clock, SampleClock, SystemClock
from edge.config import Config
from edge.decode.event import EventMaker
from edge.errors import SourceError
from edge.inference.model import Model
from edge.pipeline import Pipeline
from edge.publish.outputs import open_outputs
from edge.ring import Ring
from edge.sources.base import Source
from edge.status import DeviceStatus

log = logging.getLogger(__name__)

RING_SECONDS = 10
BLOCK_SECONDS = 1.0  # at most: live, a block is what has come; of a file, larger blocks cost less
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
        status = DeviceStatus(self.config.device_name)
        with open_outputs(self.config, status, self._show, [self.config.stream_name]) as outputs:
            yield outputs.submit

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
        reason = "gap"
        source.start(ring, self._clock, clock)
        try:
            follow(ring, pipeline, submit, self._stop)
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


def follow(ring: Ring, pipeline: Pipeline, submit: Callable[[Event], object], stop: threading.Event) -> None:
    """Submit the events of what `ring` holds, as soon as it comes, until it ends or `stop` is set."""
    limit = max(1, round(BLOCK_SECONDS * ring.rate))
    while not stop.is_set():
        block = ring.read(limit, timeout=0.2)
        if block is not None:
            for event in pipeline.push(block):
                submit(event)
        elif ring.ended:
            return
