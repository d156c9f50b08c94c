"""A whole device on real sockets: journal, outbox, publisher and replay."""

import time

import pytest

from bench.ports import free_ports
from edge.blocks import Event
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.replay import ReplayServer
from edge.publish.zeromq import Publisher


@pytest.fixture(autouse=True)
def patient_outbox(monkeypatch):
    """The machine that tests may be busy: its disk is not to be called slow for that."""
    monkeypatch.setattr("edge.publish.outbox.PATIENCE_S", 60.0)


class Device:
    """Starts and stops on the same two neighbouring ports."""

    def __init__(self, folder):
        self.path = folder / "journal.sqlite"
        self.port = free_ports()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.outbox = self.server = None

    def start(self, streams=("mic",), journal=True, replay=True):
        store = Journal(self.path, "hut") if journal else None
        self.outbox = Outbox(store, Publisher(self.endpoint, "hut"), streams=streams)
        self.server = ReplayServer(self.path, f"tcp://127.0.0.1:{self.port + 1}") if replay else None
        return self

    def hear(self, *labels, stream="mic", kind="begin"):
        """Submit events and wait until they were published: who subscribes after that is late."""
        counters = self.outbox.board.status
        wanted = counters.published + len(labels)
        for label in labels:
            self.outbox.submit(event(label, stream, kind))
        end = time.monotonic() + 10
        while counters.published < wanted and time.monotonic() < end:
            time.sleep(0.001)

    def stop(self):
        if self.server:
            self.server.close()
        if self.outbox:
            self.outbox.close()
        self.server = self.outbox = None


def event(label, stream="mic", kind="begin", **fields):
    return Event(
        stream=stream,
        id=f"e:{label}:0",
        device="hut",
        epoch="e",
        type=kind,
        label=label,
        onset_sample=0,
        onset_s=0.0,
        **fields,
    )


@pytest.fixture
def device(tmp_path):
    one = Device(tmp_path)
    yield one
    one.stop()


@pytest.fixture
def make_event():
    return event
