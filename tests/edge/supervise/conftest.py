"""A daemon on fake microphones, in this process."""

import threading
import time

import pytest

from edge.config import Config, Stream
from edge.daemon import Daemon
from edge.errors import WheatearError


class Rig:
    """Runs a daemon and gathers what it shows.

    Attributes
    ----------
    events
        All so far.
    error
        What the run ended with.
    """

    def __init__(self, config, make_source, **options):
        self.events, self.error = [], None
        self.daemon = Daemon(config, False, self.events.append, make_source=make_source, **options)
        self._thread = threading.Thread(target=self._run, name="daemon")

    def _run(self):
        try:
            self.daemon.run()
        except WheatearError as error:
            self.error = error

    def start(self):
        self._thread.start()
        return self

    def run(self, seconds=60):
        self.start()
        return self.wait(seconds)

    def wait(self, seconds=60):
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the daemon does not end"
        return self

    def stop(self):
        self.daemon.stop()
        if self._thread.ident:
            self._thread.join(30)

    def until(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._thread.is_alive(), f"the daemon ended: {self.error}"
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.01)

    def of(self, stream, *kinds):
        return [event for event in self.events if event.stream == stream and (not kinds or event.type in kinds)]

    def heard(self, stream):
        """Its detections without what differs from run to run."""
        return [
            (e.type, e.label, e.onset_sample, e.offset_sample, e.peak, e.mean, e.reason)
            for e in self.of(stream, "begin", "end")
        ]

    def status(self, stream):
        return self.daemon.status.stream(stream)


@pytest.fixture
def rig():
    rigs = []

    def make(config, make_source, **options):
        rigs.append(Rig(config, make_source, **options))
        return rigs[-1]

    yield make
    for one in rigs:
        one.stop()


@pytest.fixture
def config():
    """A configuration of streams given as dictionaries."""
    return lambda *streams, **keys: Config(device="hut", streams=tuple(Stream(**s) for s in streams), **keys)
