"""Everything that follows detection, opened by one call and closed again."""

import json
import stat
import time
import urllib.request

import pytest

from bench.ports import free_ports
from edge.blocks import Event
from edge.client import Subscriber
from edge.config import Config, Curve, JournalFile, JsonLines, Metrics, Mqtt, Publish
from edge.errors import ConfigError, JournalError, WireError
from edge.publish.journal import Journal
from edge.publish.keys import ClientKeys, KeyFolder
from edge.publish.outputs import health, open_outputs
from edge.status import DeviceStatus


def event(i, kind="begin"):
    return Event(
        stream="mic", id=f"e:rain:{i}", device="hut", epoch="e", type=kind, label="rain", onset_sample=i, onset_s=0.0
    )


@pytest.fixture
def make(tmp_path):
    """A configuration on free ports, with its files in a folder of the test."""

    def config(publish=None, **fields):
        port = free_ports()
        to = {"events": f"tcp://127.0.0.1:{port}", "replay": f"tcp://127.0.0.1:{port + 1}", **(publish or {})}
        return Config(
            device="hut", journal=JournalFile(path=str(tmp_path / "hut.journal")), publish=Publish(**to), **fields
        )

    return config


def opened(config, **options):
    return open_outputs(config, DeviceStatus("hut"), streams=["mic"], **options)


def health_of(config, count=1):
    """What the device says of itself, from the first on."""
    with Subscriber(config.publish.events, config.publish.replay, since=1, timeout=30, stream="device") as events:
        return [next(events).reason for _ in range(count)]


def test_events_go_everywhere_they_shall(make, tmp_path):
    pytest.importorskip("prometheus_client")
    lines, port = tmp_path / "events.jsonl", free_ports()
    config = make(json_lines=JsonLines(path=str(lines), keep_free=0), metrics=Metrics(port=port))
    shown = []
    with opened(config, show=shown.append) as outputs:
        with Subscriber(config.publish.events, config.publish.replay, since=1, timeout=30) as events:
            assert outputs.submit(event(1))
            assert next(events).onset_sample == 1
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert b"\nwheatear_published_events_total 1.0\n" in answer.read()
        assert outputs.alive
        assert outputs.status.durable
    assert [e.onset_sample for e in shown] == [1]
    assert [json.loads(line)["seq"] for line in lines.read_text().splitlines()] == [1]
    assert not outputs.alive
    with opened(config):  # all ports and files are free again
        pass


def test_what_was_open_when_the_power_failed_is_ended_for_all_streams(make):
    config = make()
    journal = Journal(config.journal_path, "hut")
    journal.append([event(1), event(2), event(2, "end")])
    journal.close()
    shown = []
    with opened(config, show=shown.append):
        pass
    assert [(e.type, e.onset_sample, e.reason) for e in shown] == [("end", 1, "interrupted")]


def test_keys_guard_both_sockets(make, tmp_path):
    keys = KeyFolder(tmp_path / "keys")
    public = keys.new()
    keys.allow("laptop", keys.new("laptop"))
    config = make({"curve": Curve(enabled=True, folder=str(keys.path))})
    with opened(config) as outputs:
        outputs.submit(event(1))
        mine = ClientKeys.load(public, "laptop", keys.path)
        with Subscriber(config.publish.events, config.publish.replay, since=1, timeout=30, keys=mine) as events:
            assert next(events).onset_sample == 1
        with Subscriber(config.publish.events, config.publish.replay, since=1, timeout=1) as events:
            end = time.monotonic() + 30
            while not outputs.status.denied and time.monotonic() < end:
                assert list(events) == []
        assert outputs.status.denied
    with opened(config):
        pass


def test_keys_that_are_wanted_but_not_there_are_one_line(make, tmp_path):
    config = make({"curve": Curve(enabled=True, folder=str(tmp_path / "none"))})
    with pytest.raises(ConfigError, match="make one with `wheatear keys new`"), opened(config):
        pass
    with opened(make()):
        pass


def test_a_socket_open_to_the_network_without_keys_is_said(make):
    port = free_ports()
    config = make({"events": f"tcp://0.0.0.0:{port}", "replay": f"tcp://0.0.0.0:{port + 1}", "allow_remote": True})
    with opened(config):
        local = make({"events": f"tcp://127.0.0.1:{port}", "replay": f"tcp://127.0.0.1:{port + 1}"})
        (said,) = health_of(local)
    assert said.startswith(f"tcp://0.0.0.0:{port} is open to the network without keys")


def test_a_plain_broker_elsewhere_is_said(make, tmp_path):
    pytest.importorskip("paho.mqtt")
    config = make(mqtt=Mqtt(host="192.0.2.1"))
    with opened(config):
        said = health_of(config, 2)  # and that it cannot be reached
    assert any("192.0.2.1 in the clear" in text for text in said)


def test_a_disk_that_fails_at_the_start_stops_nobody_and_is_said(make, monkeypatch):
    config = make()
    real, fails = Journal.__init__, [True]

    def broken(self, path, device):
        if fails[0]:
            raise JournalError("cannot write the journal: No space left on device") from OSError(28, "No space left")
        real(self, path, device)

    monkeypatch.setattr(Journal, "__init__", broken)
    monkeypatch.setattr("edge.publish.outbox.RETRY_S", 0.1)
    shown = []
    with opened(config, show=shown.append) as outputs:
        outputs.submit(event(1))
        end = time.monotonic() + 30
        while len(shown) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert {(e.type, e.durable) for e in shown} == {("begin", False), ("health", False)}
        assert outputs.status.durable is False
        fails[0] = False
        while not outputs.status.durable and time.monotonic() < end:
            time.sleep(0.01)
    assert [e.detail["journal"] for e in shown if e.type == "health"] == ["failing", "working"]
    assert stat.S_IMODE(config.journal_path.stat().st_mode) == 0o600


def test_a_journal_in_use_ends_the_start(make):
    config = make()
    journal = Journal(config.journal_path, "hut")
    with pytest.raises(JournalError, match="in use by another wheatear process"), opened(config):
        pass
    journal.close()


def test_a_port_in_use_leaves_nothing_open(make):
    config = make()
    journal = JournalFile(path=str(config.journal_path) + "2")
    other = Config(device="hut", journal=journal, publish=make({"events": config.publish.events}).publish)
    with opened(config), pytest.raises(WireError, match="another program has it"), opened(other):
        pass
    Journal(config.journal_path.with_name(config.journal_path.name + "2"), "hut").close()  # not in use


@pytest.mark.parametrize(
    ("state", "durable", "expected"),
    [("running", True, "ok"), ("off", True, "ok"), ("reconnecting", True, "problem"), ("running", False, "problem")],
)
def test_health_in_short(make, state, durable, expected):
    status = DeviceStatus("hut")
    status.stream("mic").state = state
    with opened(make()) as outputs:
        outputs.status.durable = durable
        assert health(status, outputs.board) == {
            "state": expected,
            "streams": {"mic": state},
            "durable": durable,
            "dropped": 0,
            "denied": 0,
        }
