"""CURVE: with the right keys everything, without them nothing, and whoever tried is counted."""

import socket
import stat
import time

import msgspec
import pytest
import zmq
from click.testing import CliRunner

from edge.blocks import Event
from edge.client import Subscriber
from edge.commands.keys import keys as command
from edge.errors import ConfigError
from edge.publish.board import Board
from edge.publish.gate import DOMAIN, Gate
from edge.publish.journal import Journal
from edge.publish.keys import ClientKeys, KeyFolder, public_key, read_pair
from edge.publish.outbox import Outbox
from edge.publish.replay import ReplayServer
from edge.publish.zeromq import Publisher


def event(i):
    return Event(
        stream="mic", id=f"e:rain:{i}", device="hut", epoch="e", type="gap", label="rain", onset_sample=i, onset_s=0.0
    )


class Hut:
    """A device with keys, on real sockets."""

    def __init__(self, folder):
        self.keys = KeyFolder(folder / "device")
        self.public = self.keys.new()
        self.clients = KeyFolder(folder / "client")
        self.board = Board()
        self.gate = Gate(self.keys, self.board)
        publisher = Publisher("tcp://127.0.0.1:*", "hut", gate=self.gate, board=self.board)
        self.endpoint = publisher.endpoint
        path = folder / "journal.sqlite"
        self.outbox = Outbox(Journal(path, "hut"), publisher, streams=["mic"], board=self.board)
        self.replay = ReplayServer(path, "tcp://127.0.0.1:*", gate=self.gate, board=self.board)

    def client(self, name):
        """The keys of a client that may connect."""
        self.keys.allow(name, self.clients.new(name))
        return ClientKeys.load(self.public, name, self.clients.path)

    def subscriber(self, keys, timeout=5.0, **options):
        return Subscriber(self.endpoint, self.replay.endpoint, timeout=timeout, keys=keys, **options)

    def wait_denied(self, count, seconds=20):
        end = time.monotonic() + seconds
        while self.board.status.denied < count and time.monotonic() < end:
            time.sleep(0.01)
        return self.board.status.denied

    def close(self):
        self.outbox.close()
        self.replay.close()
        self.gate.close()


@pytest.fixture
def hut(tmp_path):
    one = Hut(tmp_path)
    yield one
    one.close()


def test_with_the_right_keys_live_and_past_events_come(hut):
    for i in range(3):
        hut.outbox.submit(event(i))
    with hut.subscriber(hut.client("laptop"), since=1) as events:
        assert [next(events).onset_sample for _ in range(3)] == [0, 1, 2]
        hut.outbox.submit(event(3))
        assert next(events).onset_sample == 3
    assert hut.board.status.denied == 0


def strangers(hut):
    """Clients that must get nothing, by what is wrong with them."""
    right = hut.client("laptop")
    other_public, other_secret = (half.decode() for half in zmq.curve_keypair())
    return {
        "no keys": None,
        "a key that is not allowed": ClientKeys(other_public, other_secret, hut.public),
        "the wrong device": ClientKeys(right.public, right.secret, other_public),
        "somebody else's public key": ClientKeys(right.public, other_secret, hut.public),
    }


@pytest.mark.parametrize(
    "who", ["no keys", "a key that is not allowed", "the wrong device", "somebody else's public key"]
)
def test_without_them_nothing_comes_and_it_is_counted(hut, who):
    keys = strangers(hut)[who]
    hut.outbox.submit(event(0))
    with hut.subscriber(keys, timeout=0.5, since=1) as events:
        assert list(events) == []
        assert not events.heard
        assert hut.wait_denied(1) >= 1
    honest = ClientKeys.load(hut.public, "laptop", hut.clients.path)
    with hut.subscriber(honest, since=1) as events:
        assert next(events).onset_sample == 0


def test_replay_gives_a_stranger_nothing(hut):
    hut.outbox.submit(event(0))
    context = zmq.Context()
    asker = context.socket(zmq.DEALER)
    asker.connect(hut.replay.endpoint)
    asker.send(msgspec.json.encode({"v": 1, "stream": "mic"}))
    assert hut.wait_denied(1) >= 1
    assert asker.poll(200) == 0
    context.destroy(linger=0)


def test_denials_become_a_health_event(hut):
    with hut.subscriber(hut.client("laptop")) as events, hut.subscriber(None, timeout=0.2) as stranger:
        events.timeout = 30.0
        assert hut.wait_denied(1) >= 1
        assert list(stranger) == []
        health = next(one for one in events if one.type == "health")
    assert "connections were denied: their key is not allowed, or none came" in health.reason
    assert health.detail["total"] >= 1


def test_garbage_on_the_port_harms_nobody(hut):
    host, port = hut.endpoint.removeprefix("tcp://").split(":")
    for noise in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 20, b"\xff" + bytes(8) + b"\x7f" + b"A" * 54, b""):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(noise)
    with hut.subscriber(hut.client("laptop")) as events:
        while not events.heard:  # whoever has a key is served as before
            hut.outbox.submit(event(1))
            next(events, None)


def test_who_is_revoked_cannot_come_back(hut):
    keys = hut.client("laptop")
    with hut.subscriber(keys, since=1) as events:
        hut.outbox.submit(event(0))
        assert next(events).onset_sample == 0
    hut.keys.revoke("laptop")
    with hut.subscriber(keys, timeout=0.5, since=1) as events:
        assert list(events) == []
    assert hut.wait_denied(1) >= 1


def test_the_gate_answers_any_request_in_form(hut):
    for request in (
        [],
        [b"1.0"],
        [b"1.0", b"7", DOMAIN, b"::1", b"", b"NULL"],
        [b"1.0", b"7", DOMAIN, b"", b"", b"CURVE", b"short"],
    ):
        answer = hut.gate.decide(request)
        assert len(answer) == 6
        assert answer[2] == b"400"


def test_files_are_for_their_owner_only(tmp_path):
    folder = KeyFolder(tmp_path / "keys")
    public = folder.new()
    folder.allow("laptop", zmq.curve_keypair()[0].decode())
    modes = {p.relative_to(tmp_path).as_posix(): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*")}
    assert modes == {
        "keys": 0o700,
        "keys/device.key_secret": 0o600,
        "keys/device.key": 0o644,
        "keys/allowed": 0o700,
        "keys/allowed/laptop.key": 0o600,
    }
    assert public_key(str(tmp_path / "keys/device.key")) == public == folder.pair()[0]


def test_zmq_reads_our_files_and_we_read_those_of_zmq(tmp_path):
    from zmq import auth

    folder = KeyFolder(tmp_path)
    folder.new("hut")
    public, secret = auth.load_certificate(tmp_path / "hut.key_secret")
    assert (public.decode(), secret.decode()) == folder.pair("hut")
    made = auth.create_certificates(tmp_path, "other")[1]
    (tmp_path / "other.key_secret").chmod(0o600)
    assert read_pair(tmp_path / "other.key_secret")[1] == auth.load_certificate(made)[1].decode()


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    folder = KeyFolder(tmp_path)
    folder.new()
    path = tmp_path / "device.key_secret"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=rf"only its owner can read; type: chmod 600 {path}"):
        folder.pair()


def test_a_secret_never_shows_in_text(tmp_path):
    folder = KeyFolder(tmp_path)
    keys = ClientKeys.load(folder.new(), "device", tmp_path)
    assert keys.secret not in repr(keys)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "A", "x" * 49, "a\n"])
def test_a_name_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(ConfigError, match="is no name for a key"):
        KeyFolder(tmp_path / "keys").new(name)
    assert list(tmp_path.iterdir()) == []


def test_the_commands_from_first_to_last(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(command, ["--folder", str(tmp_path / "keys"), *arguments])

    public = run("new").output.strip()
    assert run("show").output.strip() == public
    other = zmq.curve_keypair()[0].decode()
    assert run("allow", "laptop", other).output == f"laptop may connect with {other}\n"
    assert run("list").output.splitlines() == [f"pair     {'device':<24} {public}", f"allowed  {'laptop':<24} {other}"]
    assert run("revoke", "laptop").output == ""
    assert "laptop" not in run("list").output
    for arguments, said in (
        (["new"], "exists: choose another name"),
        (["show", "nobody"], "expected a key pair that can be read"),
        (["allow", "x", "tooshort"], "is no public key: expected 40 characters"),
        (["revoke", "laptop"], "expected one of nobody"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, ConfigError)
        assert said in str(error)
