"""Nonsense on the wire, at replay, from a publisher and in a card: no crash, no hang, no file outside its folders."""

import random
import shutil
import socket
import time
from pathlib import Path

import msgspec
import pytest
import zmq

import edge
from edge.blocks import Event
from edge.client import Subscriber
from edge.errors import WheatearError
from edge.inference import store
from edge.publish.board import Board
from edge.publish.journal import Journal
from edge.publish.outbox import Outbox
from edge.publish.reader import Page
from edge.publish.replay import ReplayServer
from edge.publish.zeromq import Heartbeat, Open, Publisher, frames

TOKENS = [
    *(
        b"../",
        b"/etc/passwd",
        b"nan",
        b"inf",
        b"-1",
        b"1e999",
        b"\x00",
        b"null",
        b'"',
        b"[[",
        b"}}",
        b"\n",
        b"#",
        b"\\u0000",
    ),
    *(
        b"9223372036854775808",
        b"true",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"[" * 300,
        b"{" * 300,
        b"=",
        b"'''",
        b"wheatear.v1.",
    ),
]
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
READY = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB\x08Identity\x00\x00\x00\x00"


def mutate(chance, text):
    """A few bytes changed, left out, doubled, or replaced by something nasty."""
    text = bytearray(text)
    for _ in range(chance.randint(1, 6)):
        place = chance.randint(0, len(text))
        stop = min(len(text), place + chance.randint(0, 20))
        kind = chance.randrange(5)
        if kind == 0:
            text[place:stop] = b""
        elif kind == 1:
            text[place:place] = chance.choice(TOKENS)
        elif kind == 2:
            text[place:stop] = chance.randbytes(stop - place)
        elif kind == 3:
            text[place:place] = text[place:stop] * chance.randint(1, 3)
        elif text:
            text[place % len(text)] ^= 1 << chance.randrange(8)
    return bytes(text)


def event(i):
    return Event(
        stream="mic", id=f"e:rain:{i}", device="hut", epoch="e", type="begin", label="rain", onset_sample=i, onset_s=0.0
    )


class Hut:
    def __init__(self, folder):
        self.folder, self.board = folder, Board()
        self.path = folder / "journal.sqlite"
        publisher = Publisher("tcp://127.0.0.1:*", "hut", board=self.board)
        self.endpoint = publisher.endpoint
        self.outbox = Outbox(Journal(self.path, "hut"), publisher, streams=["mic"], board=self.board)
        self.server = ReplayServer(self.path, "tcp://127.0.0.1:*", board=self.board, requests=100_000)
        for i in range(20):
            self.outbox.submit(event(i))

    def works(self):
        """An honest client still gets past and present, and no file came into being."""
        with Subscriber(self.endpoint, self.server.endpoint, since=1, timeout=30, stream="mic") as events:
            past = [next(events).onset_sample for _ in range(20)]
            self.outbox.submit(event(20))
            assert [*past, next(events).onset_sample] == list(range(21))
        names = {path.name for path in self.folder.iterdir()}
        assert names == {"journal.sqlite" + end for end in ("", "-wal", "-shm", "-lock")}
        assert self.outbox.alive

    def close(self):
        self.outbox.close()
        self.server.close()


@pytest.fixture
def hut(tmp_path):
    (tmp_path / "hut").mkdir()
    one = Hut(tmp_path / "hut")
    yield one
    one.close()


@pytest.fixture
def chance():
    return random.Random(20_26)


many = pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])


@many
def test_requests(hut, chance, count):
    good = msgspec.json.encode({"v": 1, "stream": "mic", "log": hut.outbox.log, "from": 1, "limit": 500})
    context = zmq.Context()
    asker = context.socket(zmq.DEALER)
    asker.connect(hut.server.endpoint)
    for _ in range(count):
        body = mutate(chance, good)
        page = hut.server.answer(body) if chance.random() < 0.1 else ask(asker, body, chance)
        assert page is None or page.error or page.stream
    context.destroy(linger=0)
    hut.works()


def ask(socket_, body, chance):
    """The answer to a request in one frame or in several; None where so much was said that the device hung up."""
    parts = [body] if chance.random() < 0.8 else [chance.randbytes(chance.randint(0, 9)), b"", body]
    socket_.send_multipart(parts)
    if len(max(parts, key=len)) > 1000:
        socket_.poll(50)
    elif not socket_.poll(30_000):
        raise AssertionError(f"no answer to {body!r}")
    return msgspec.json.decode(socket_.recv_multipart()[-1], type=Page) if socket_.poll(0) else None


@many
def test_subscriptions(hut, chance, count):
    context = zmq.Context()
    rude = context.socket(zmq.XSUB)
    rude.connect(hut.endpoint)
    for i in range(count):
        rude.send(mutate(chance, chance.choice([b"\x01wheatear.v1.", b"\x00wheatear.v1.", b"\x01", b""])))
        if i % 100 == 99:
            rude.close(0)
            rude = context.socket(zmq.XSUB)
            rude.connect(hut.endpoint)
            time.sleep(0.02)
    context.destroy(linger=0)
    hut.works()


@many
def test_handshakes(hut, chance, count):
    places = [endpoint.removeprefix("tcp://").split(":") for endpoint in (hut.endpoint, hut.server.endpoint)]
    for _ in range(count):
        host, port = chance.choice(places)
        with socket.create_connection((host, int(port)), 30) as connection:
            try:
                connection.sendall(mutate(chance, GREETING + READY + b"\x00\x0d\x01wheatear.v1."))
            except ConnectionError:
                continue  # hung up in time
    hut.works()


@many
def test_a_publisher_that_talks_nonsense_to_our_client(chance, count, caplog):
    caplog.set_level("ERROR")
    context = zmq.Context()
    wire = context.socket(zmq.PUB)
    wire.set_hwm(0)
    wire.bind("tcp://127.0.0.1:*")
    endpoint = wire.getsockopt_string(zmq.LAST_ENDPOINT)
    said = event(1)
    said = msgspec.structs.replace(said, seq=5, log="L")
    beat = Heartbeat(log="L", device="hut", stream="mic", last_seq=4, utc="2026-05-01T00:00:00.000Z")
    bodies = [frames(one)[1] for one in (said, beat, Open(**msgspec.structs.asdict(said)))]
    with Subscriber(endpoint, "tcp://127.0.0.1:9", timeout=0.3) as events:
        events._try = lambda cursor, count: None  # nobody answers, at once
        while not events.heard:
            wire.send_multipart(frames(beat))
            assert list(events) == []
        for _ in range(count):
            wire.send_multipart([b"wheatear.v1.x.", *([mutate(chance, chance.choice(bodies))] * chance.randint(1, 2))])
        heard = list(events)
        assert all(isinstance(one, Event) for one in heard)
        wire.send_multipart(frames(msgspec.structs.replace(said, log="honest", stream="other", label="end")))
        assert "end" in [one.label for one in events]
    context.destroy(linger=0)


ZOO = Path(edge.__file__).parent / "zoo" / "esc10-s"


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_cards(tmp_path, monkeypatch, chance, count):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    model = tmp_path / "stranger"
    shutil.copytree(ZOO, model)
    good = (model / "card.toml").read_bytes().replace(b'name = "esc10-s"', b'name = "stranger"')
    before = {path.name for path in tmp_path.iterdir()}
    refused = []
    for i in range(count):
        (model / "card.toml").write_bytes(mutate(chance, good))
        try:
            store.add(model, replace=True) if i % 30 == 0 else store.load_card(model)
        except WheatearError as error:
            refused.append(str(error))
    assert len(refused) > count // 4
    assert [text for text in refused if "\n" in text] == []
    assert {path.name for path in tmp_path.iterdir()} <= before | {"data"}
    outside = [p for p in (tmp_path / "data").rglob("*") if p.is_file() and "wheatear/models/" not in p.as_posix()]
    assert outside == []
