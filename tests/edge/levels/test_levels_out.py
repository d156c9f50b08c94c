"""Levels on their way out: the daemon, the wire, metrics, lines."""

import itertools
import json
import time

import msgspec
import numpy as np
import pytest
import soundfile

from edge.blocks import Event
from edge.client import Subscriber
from edge.commands.format import human, line
from edge.config import Config, Stream
from edge.daemon import Daemon
from edge.levels.message import Bands, Levels, Weighted
from edge.publish.board import OutputStatus
from edge.publish.metrics import Collector
from edge.publish.zeromq import topic
from edge.status import DeviceStatus

A = Weighted(leq=52.3, l10=55.1, l50=50.2, l90=44.0)
Z = Weighted(leq=60.3, l10=65.0, l50=60.0, l90=54.0)


def levels(**fields):
    base = {
        "device": "hut",
        "stream": "mic",
        "epoch": "e",
        "start_sample": 0,
        "start_s": 60.0,
        "seconds": 59.5,
        "calibration_db": 94.0,
        "a": A,
        "z": Z,
        "bands": Bands(hz=[31.5, 1000.0], lzeq=[40.0, 50.0], laeq=[0.5, 50.0]),
        "presence": {"rain": 0.25, "wind": 0.5},
    }
    return Levels(**base | fields)


def test_they_travel_beside_the_events_without_a_number(device):
    device.start()
    got = []
    with Subscriber(device.endpoint, device_replay(device), timeout=0.05, on_levels=got.append) as events:
        until(lambda: events.heard or list(events))
        device.outbox.submit(levels())
        device.hear("rain")
        events.timeout = 5.0
        assert [event.label for event in itertools.islice(events, 1)] == ["rain"]
        events.timeout = 0.05
        until(lambda: got or list(events))
    assert got == [levels()]


def device_replay(device):
    return f"tcp://127.0.0.1:{device.port + 1}"


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"


def test_their_topic_is_of_a_kind_of_its_own():
    assert topic(levels()) == "wheatear.v1.hut.mic.levels.-."


def test_lines():
    assert human(levels()) == (
        "+00:01:00.000            mic         levels   LAeq 52.3  L10 55.1  L50 50.2  L90 44.0 dB  59.5 s  "
        "wind 50%  rain 25%"
    )
    assert msgspec.json.decode(line(levels()), type=Levels) == levels()


def test_metrics_tell_the_last_minute():
    pytest.importorskip("prometheus_client", reason="needs the extra: pip install 'wheatear[metrics]'")
    device = DeviceStatus("hut")
    device.stream("mic").levels = levels()
    device.stream("quiet")
    families = Collector(device, OutputStatus()).collect()
    found = {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}
    assert found["wheatear_sound_level_db", "laeq", "mic"] == 52.3
    assert found["wheatear_sound_level_db", "lz90", "mic"] == 54.0
    assert found["wheatear_band_level_db", "31.5", "mic"] == 40.0
    assert found["wheatear_presence", "mic", "wind"] == 0.5
    assert found["wheatear_levels_seconds", "mic"] == 59.5
    assert not any("quiet" in key for key in found if "level" in key[0] and key[0] != "wheatear_level_dbfs")


def test_the_daemon_tells_them_of_a_file_where_it_is_asked_to(tmp_path):
    tone = np.sqrt(2) * 0.01 * np.sin(2 * np.pi * 1000 * np.arange(62 * 16_000) / 16_000)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000, subtype="FLOAT")
    for on in (True, False):
        told = []
        stream = Stream(source=str(tmp_path / "tone.wav"), levels=on, calibration_db=100.0, gain_db=20.0)
        Daemon(Config(streams=(stream,)), False, told.append).run()
        minutes = [one for one in told if isinstance(one, Levels)]
        assert [minute.seconds for minute in minutes] == ([60.0, 2.0] if on else [])
        assert [minute.a.leq for minute in minutes] == pytest.approx([60.0, 60.0] if on else [], abs=0.1)
        assert all(isinstance(one, Event) for one in told if one not in minutes)


def test_they_fit_their_schema():
    import jsonschema

    jsonschema.validate(json.loads(msgspec.json.encode(levels())), msgspec.json.schema(Levels))
