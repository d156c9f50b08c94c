"""The MQTT bridge on a real broker, which is killed and comes back."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from bench.ports import free_ports
from edge.blocks import Event
from edge.config.outputs import Mqtt
from edge.errors import ConfigError
from edge.publish.board import Board
from edge.publish.discovery import Announcer, Topics, key_of
from edge.publish.journal import Journal
from edge.publish.mqtt import MqttBridge, password
from edge.publish.outbox import Outbox

paho = pytest.importorskip("paho.mqtt.client", reason="needs the extra: pip install 'wheatear[mqtt]'")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs a broker: apt-get install mosquitto")

# As root the broker would become another user, who cannot write its sessions where pytest lets it.
SETTINGS = """\
user root
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
listener {port} 127.0.0.1
{more}
"""


def event(i, kind="gap", label=None, stream="mic"):
    return Event(
        stream=stream, id=f"e:{label}:{i}", device="hut", epoch="e", type=kind, label=label, onset_sample=i, onset_s=0.0
    )


def until(condition, seconds=60):
    """A busy machine may need long; a broken bridge never gets there."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Broker:
    def __init__(self, folder, more="allow_anonymous true"):
        self.port = free_ports(1)
        folder.mkdir(exist_ok=True)
        self.settings = folder / "mosquitto.conf"
        self.settings.write_text(SETTINGS.format(folder=folder, port=self.port, more=more))
        self.process = None

    def start(self):
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.settings)], stderr=subprocess.DEVNULL)
        assert until(self.answers)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, kill=False):
        if self.process:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait()


class Listener:
    """A subscriber with a session that the broker keeps."""

    def __init__(self, port, **login):
        self.messages, self._lock = [], threading.Lock()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        if login:
            self.client.username_pw_set(**login)
        self.ready = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.note
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(30)

    def note(self, client, data, message):
        with self._lock:
            self.messages.append((message.topic, message.payload))

    def seqs(self):
        with self._lock:
            return [json.loads(body)["seq"] for topic, body in self.messages if topic.endswith("/mic/event")]

    def last(self, topic):
        with self._lock:
            return next((body for name, body in reversed(self.messages) if name == topic), None)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def once(seqs):
    """Each number where it came first."""
    return list(dict.fromkeys(seqs))


@pytest.fixture
def broker(tmp_path):
    one = Broker(tmp_path / "broker")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def listener(broker):
    one = Listener(broker.port)
    yield one
    one.close()


class Hut:
    """A device with a journal and a bridge."""

    def __init__(self, folder, port, **options):
        self.board = Board()
        self.path = folder / "journal.sqlite"
        self.config = Mqtt(host="127.0.0.1", port=port, **options)

    def start(self, **options):
        journal = Journal(self.path, "hut")
        self.bridge = MqttBridge(self.config, "hut", self.path, self.board, **options)
        self.outbox = Outbox(journal, sinks=[self.bridge], streams=["mic"], board=self.board)
        return self

    def hear(self, *numbers, **fields):
        for i in numbers:
            assert self.outbox.submit(event(i, **fields))

    def connected(self):
        return self.board.status.connected["mqtt"]

    def stop(self):
        self.outbox.close()


@pytest.fixture
def hut(tmp_path, broker):
    one = Hut(tmp_path, broker.port)
    yield one
    one.stop()


def test_events_come_in_order_and_labels_switch_on_and_off(hut, listener):
    hut.start(labels=lambda: {"mic": ["rain", "Sea Waves"]})
    assert until(lambda: listener.last("wheatear/hut/availability") == b"online")
    hut.hear(1, kind="begin", label="rain")
    state = "wheatear/hut/mic/rain/state"
    assert until(lambda: listener.last(state) == b"ON")
    hut.hear(1, kind="end", label="rain")
    hut.hear(*range(2, 50))
    assert until(lambda: len(listener.seqs()) >= 50)
    assert listener.seqs() == list(range(1, 51))
    assert listener.last(state) == b"OFF"
    assert listener.last(f"wheatear/hut/mic/{key_of('Sea Waves')}/state") == b"OFF"
    assert json.loads(listener.last("wheatear/hut/mic/event"))["durable"] is True


def test_home_assistant_finds_every_label_and_the_health(hut, broker):
    hut.start(labels=lambda: {"mic": ["rain"]}, health=lambda: {"state": "problem", "durable": False})
    assert until(hut.connected)
    late = Listener(broker.port)  # what is retained comes to whoever comes late
    name = "homeassistant/binary_sensor/wheatear_hut/mic_rain/config"
    assert until(lambda: late.last(name) and late.last("wheatear/hut/health"))
    sensor = json.loads(late.last(name))
    assert sensor["state_topic"] == "wheatear/hut/mic/rain/state"
    assert sensor["availability_topic"] == "wheatear/hut/availability"
    assert (sensor["device_class"], sensor["payload_on"], sensor["payload_off"]) == ("sound", "ON", "OFF")
    assert sensor["unique_id"] == "wheatear_hut_mic_rain"
    health = json.loads(late.last("homeassistant/sensor/wheatear_hut/health/config"))
    assert health["state_topic"] == "wheatear/hut/health"
    assert json.loads(late.last("wheatear/hut/health"))["state"] == "problem"
    assert sensor["device"] == health["device"]
    late.close()


def test_a_broker_that_is_killed_gets_all_when_it_is_back(hut, broker, listener):
    hut.start()
    hut.hear(*range(1, 11))
    assert until(lambda: len(listener.seqs()) >= 10)
    time.sleep(1.5)  # the broker has written its sessions down
    broker.stop(kill=True)
    hut.hear(*range(11, 311))
    assert until(lambda: not hut.connected())
    broker.start()
    assert until(lambda: len(once(listener.seqs())) >= 310)
    assert once(listener.seqs()) == list(range(1, 311))
    reasons = [one["reason"] for one in events_of_device(hut)]
    assert any("is away" in text for text in reasons)
    assert any("is there again" in text for text in reasons)
    assert listener.last("wheatear/hut/availability") == b"online"


def events_of_device(hut):
    """Health events that were journalled."""
    from edge.publish.reader import Reader

    reader = Reader(hut.path)
    assert until(lambda: len(reader.page("device").events) >= 2)
    found = [{"reason": e.reason} for e in reader.page("device").events]
    reader.close()
    return found


def test_a_broker_that_restarts_amid_events_misses_none(hut, broker, listener):
    hut.start()
    assert until(hut.connected)
    stop = threading.Event()
    made = []

    def talk():
        while not stop.is_set():
            made.append(len(made) + 1)
            hut.hear(made[-1])
            time.sleep(0.005)

    talker = threading.Thread(target=talk)
    talker.start()
    for arrived in (20, 60):
        assert until(lambda arrived=arrived: len(once(listener.seqs())) > arrived)
        broker.stop()
        time.sleep(0.3)
        broker.start()
    stop.set()
    talker.join()
    assert until(lambda: len(once(listener.seqs())) >= len(made))
    assert once(listener.seqs()) == made


def test_the_cursor_survives_a_restart_of_the_device(hut, broker, listener):
    hut.start()
    hut.hear(1, 2, 3)
    assert until(lambda: len(listener.seqs()) >= 3)
    time.sleep(1.5)
    broker.stop(kill=True)
    hut.hear(4, 5)
    hut.stop()
    hut.start()
    hut.hear(6)
    broker.start()
    assert until(lambda: len(once(listener.seqs())) >= 6)
    assert once(listener.seqs()) == [1, 2, 3, 4, 5, 6]


def test_a_new_bridge_begins_with_what_comes(tmp_path, hut, listener):
    journal = Journal(hut.path, "hut")
    journal.append([event(i) for i in range(1, 31)])
    journal.close()
    hut.start()
    assert until(hut.connected)
    assert until(lambda: hut.bridge._cursors.log)
    hut.hear(31)
    assert until(listener.seqs)
    assert listener.seqs() == [31]


def test_what_the_journal_cannot_take_comes_too(tmp_path, broker, listener):
    hut = Hut(tmp_path, broker.port)
    hut.bridge = MqttBridge(hut.config, "hut", hut.path, hut.board)
    hut.outbox = Outbox(None, device="hut", sinks=[hut.bridge], board=hut.board)
    hut.hear(1, 2)
    assert until(lambda: len(listener.seqs()) >= 2)
    assert json.loads(listener.last("wheatear/hut/mic/event"))["durable"] is False
    hut.stop()


def test_the_last_will_speaks_for_a_killed_device(tmp_path, broker, listener):
    code = (
        "import sys, time; from pathlib import Path; from edge.config.outputs import Mqtt; "
        "from edge.publish.board import Board; from edge.publish.mqtt import MqttBridge; "
        "MqttBridge(Mqtt(host='127.0.0.1', port=int(sys.argv[1])), 'hut', Path(sys.argv[2]), Board()); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(broker.port), str(tmp_path / "none")])
    topic = "wheatear/hut/availability"
    assert until(lambda: listener.last(topic) == b"online")
    child.kill()
    child.wait()
    assert until(lambda: listener.last(topic) == b"offline")


def test_a_device_that_stops_says_so(hut, listener):
    hut.start()
    assert until(lambda: listener.last("wheatear/hut/availability") == b"online")
    hut.stop()
    assert until(lambda: listener.last("wheatear/hut/availability") == b"offline")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a broker's certificate for 127.0.0.1 that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make certificates")
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    openssl(*new, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "req.pem")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
    sign = ["x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    openssl(*sign, "-extfile", "ext", "-out", "cert.pem")
    for path in folder.iterdir():
        path.chmod(0o644)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)  # the broker drops root's rights
    return folder


@pytest.fixture
def guarded(tmp_path, certificates):
    """A broker with TLS and a password."""
    secrets = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(secrets), "hut", "owl"], check=True, capture_output=True)
    secrets.chmod(0o644)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    names = {"cafile": "ca.pem", "certfile": "cert.pem", "keyfile": "key.pem"}
    more = "".join(f"{key} {certificates / name}\n" for key, name in names.items())
    one = Broker(tmp_path / "guarded", more + f"allow_anonymous false\npassword_file {secrets}\n")
    one.start()
    yield one
    one.stop()


def test_tls_and_a_password_from_a_file(tmp_path, guarded, certificates):
    secret = tmp_path / "secret"
    secret.write_text("owl\n")
    secret.chmod(0o600)
    hut = Hut(
        tmp_path, guarded.port, username="hut", password_file=str(secret), tls=True, ca=str(certificates / "ca.pem")
    )
    hut.start()
    assert until(hut.connected)
    hut.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a failed TLS socket open
@pytest.mark.parametrize(("ca", "word"), [("", "owl"), ("ca.pem", "cuckoo")])
def test_an_unknown_authority_or_a_wrong_password_is_said_and_nothing_is_sent(
    tmp_path, guarded, certificates, monkeypatch, ca, word
):
    monkeypatch.setenv("HUT_PASSWORD", word)
    ca = ca and str(certificates / ca)
    hut = Hut(tmp_path, guarded.port, username="hut", password_env="HUT_PASSWORD", tls=True, ca=ca)
    bridge = MqttBridge(hut.config, "hut", hut.path, hut.board)
    said = []
    assert until(lambda: said.extend(n.reason for n in hut.board.take()) or said)
    assert "is away (it" in said[0]
    assert not hut.connected()
    bridge.close()


def test_a_password_that_others_can_read_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("owl")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it; type: chmod 600"):
        password(Mqtt(host="x", password_file=str(secret)))
    with pytest.raises(ConfigError, match="expected the variable NO_SUCH_WORD in the environment"):
        password(Mqtt(host="x", password_env="NO_SUCH_WORD"))
    assert "NO_SUCH_WORD" not in os.environ


def test_labels_that_share_a_slug_have_topics_of_their_own():
    assert len({key_of(label) for label in ("rain", "Rain", "RAIN", "雨", "雪", "r/a#i+n")}) == 6


def test_a_model_of_a_thousand_classes_does_not_flood_home_assistant():
    sent = []
    announcer = Announcer(Topics("wheatear", "hut"), "homeassistant", lambda topic, body, retain: sent.append(topic))
    announcer.announce_all({"mic": [f"class-{i}" for i in range(1000)]})
    announcer.announce_all({"mic": [f"class-{i}" for i in range(1000)]})
    assert len([topic for topic in sent if topic.endswith("/config")]) == 201
    announcer.switch("mic", "class-999", on=True)
    assert sent[-2:] == [
        "homeassistant/binary_sensor/wheatear_hut/mic_class-999/config",
        "wheatear/hut/mic/class-999/state",
    ]
