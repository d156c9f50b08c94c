"""Replay over a real ROUTER: any cursor, any limit, any nonsense."""

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.blocks import Event
from edge.errors import WireError
from edge.publish.journal import Journal
from edge.publish.reader import Page
from edge.publish.replay import ReplayServer

LOOPBACK = "tcp://127.0.0.1:*"


def event(i, stream="mic"):
    return Event(
        stream=stream,
        id=f"e:rain:{i}",
        device="hut",
        epoch="e",
        type="begin",
        label="rain",
        onset_sample=i,
        onset_s=0.0,
    )


class Client:
    def __init__(self, endpoint, kind=zmq.DEALER):
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.connect(endpoint)

    def send(self, body):
        self.socket.send(body if isinstance(body, bytes) else msgspec.json.encode(body))

    def receive(self):
        assert self.socket.poll(10_000)
        return msgspec.json.decode(self.socket.recv(), type=Page)

    def ask(self, body):
        self.send(body)
        return self.receive()

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    one = Journal(tmp_path_factory.mktemp("replay") / "journal.sqlite", "hut")
    one.append([event(i) for i in range(1, 121)])
    yield one
    one.close()


@pytest.fixture(scope="module")
def server(journal):
    with ReplayServer(journal.path, LOOPBACK) as one:
        yield one


@pytest.fixture(scope="module")
def client(server):
    one = Client(server.endpoint)
    yield one
    one.close()


def test_a_page_as_it_travels(client, journal):
    client.send({"v": 1, "stream": "mic", "log": journal.log, "from": 119, "limit": 500})
    assert client.socket.poll(10_000)
    page = msgspec.json.decode(client.socket.recv())
    assert {k: v for k, v in page.items() if k != "events"} == {
        "v": 1,
        "oldest": 1,
        "error": None,
        "log": journal.log,
        "stream": "mic",
        "next": 121,
        "head": 120,
    }
    assert [(e["seq"], e["onset_sample"], e["durable"]) for e in page["events"]] == [(119, 119, True), (120, 120, True)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 130), limit=st.integers(1, 500))
def test_from_any_cursor_with_any_limit(client, journal, start, limit):
    page = client.ask({"v": 1, "stream": "mic", "log": journal.log, "from": start, "limit": limit})
    expected = [seq for seq in range(1, 121) if seq >= start][:limit]
    assert [e.seq for e in page.events] == expected
    assert page.next == (expected[-1] + 1 if expected else max(start, 121))
    assert (page.head, page.oldest, page.log, page.error) == (120, 1, journal.log, None)


def test_a_req_socket_is_answered_too(server):
    one = Client(server.endpoint, zmq.REQ)
    assert [e.seq for e in one.ask({"v": 1, "stream": "mic", "limit": 2}).events] == [1, 2]
    one.close()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "Input data was truncated"),
        (b"hello", "JSON is malformed"),
        (b"\xff\xfe\x00", "JSON is malformed"),
        ([1, 2], "Expected `object`, got `array`"),
        ({"stream": "mic"}, "missing required field `v`"),
        ({"v": 2, "stream": "mic"}, "Invalid enum value 2 - at `$.v`"),
        ({"v": 1}, "missing required field `stream`"),
        ({"v": 1, "stream": ""}, "length >= 1 - at `$.stream`"),
        ({"v": 1, "stream": "mic", "from": -1}, "Expected `int` >= 0 - at `$.from`"),
        ({"v": 1, "stream": "mic", "from": 2**63}, "at `$.from`"),
        ({"v": 1, "stream": "mic", "from": "1; DROP TABLE events"}, "Expected `int`, got `str` - at `$.from`"),
        ({"v": 1, "stream": "mic", "limit": 501}, "Expected `int` <= 500 - at `$.limit`"),
        ({"v": 1, "stream": "mic", "limit": 0}, "Expected `int` >= 1 - at `$.limit`"),
    ],
)
def test_malformed_requests_are_told_what_is_wrong(client, body, fault):
    error = client.ask(body).error
    assert error.startswith("bad-request: ")
    assert fault in error
    assert "\n" not in error


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=600))
def test_no_bytes_stop_the_server(client, body):
    assert client.ask(body).error.startswith("bad-request: ")
    assert client.ask({"v": 1, "stream": "mic", "limit": 1}).events[0].seq == 1


def test_a_stream_named_like_sql_is_only_unknown(client):
    page = client.ask({"v": 1, "stream": "mic'; DROP TABLE events; --"})
    assert page.error.startswith("unknown-stream: ")
    assert client.ask({"v": 1, "stream": "mic", "limit": 1}).head == 120


def test_another_log_is_said(client, journal):
    page = client.ask({"v": 1, "stream": "mic", "log": "0190", "from": 5})
    assert page.error.startswith("unknown-log: ")
    assert (page.log, page.events) == (journal.log, [])


def test_a_huge_request_loses_its_connection_and_no_more(client, server):
    rude = Client(server.endpoint)
    rude.send(b"x" * 1_000_000)
    assert not rude.socket.poll(200)
    rude.close()
    assert client.ask({"v": 1, "stream": "mic"}).head == 120


def test_an_expired_range_is_said_with_what_remains(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite", "hut")
    with ReplayServer(journal.path, LOOPBACK) as server:
        client = Client(server.endpoint)
        journal.append([event(i) for i in range(1, 11)])
        assert client.ask({"v": 1, "stream": "mic", "from": 3}).error is None
        journal.prune(4)
        page = client.ask({"v": 1, "stream": "mic", "from": 3})
        assert page.error == "expired: numbers 3 to 6 are no longer kept, the oldest is 7"
        assert (page.oldest, [e.seq for e in page.events]) == (7, [7, 8, 9, 10])
        client.close()
    journal.close()


def test_a_journal_that_comes_later_is_read_then(tmp_path):
    path = tmp_path / "journal.sqlite"
    with ReplayServer(path, LOOPBACK) as server:
        client = Client(server.endpoint)
        assert client.ask({"v": 1, "stream": "mic"}).error.startswith("unavailable: cannot read the journal")
        journal = Journal(path, "hut")
        journal.append([event(1)])
        assert client.ask({"v": 1, "stream": "mic"}).head == 1
        journal.close()
        client.close()


def test_two_clients_get_their_own_answers(server, client):
    other = Client(server.endpoint)
    for one, start in ((client, 10), (other, 20)):
        one.send({"v": 1, "stream": "mic", "from": start, "limit": 1})
    assert [one.receive().events[0].seq for one in (client, other)] == [10, 20]
    other.close()


def test_an_occupied_or_open_endpoint_is_refused(server, journal):
    with pytest.raises(WireError, match="another program has it"):
        ReplayServer(journal.path, server.endpoint)
    with pytest.raises(WireError, match="will not listen on"):
        ReplayServer(journal.path, "tcp://0.0.0.0:*")


def test_close_twice_does_nothing(journal):
    server = ReplayServer(journal.path, LOOPBACK)
    server.close()
    server.close()
