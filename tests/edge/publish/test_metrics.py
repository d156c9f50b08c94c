"""Metrics as Prometheus reads them, over a real port."""

import urllib.request

import pytest

from edge.errors import WireError
from edge.publish.board import OutputStatus
from edge.publish.metrics import Collector, MetricsServer, temperatures
from edge.status import DeviceStatus

parser = pytest.importorskip("prometheus_client.parser", reason="needs the extra: pip install 'wheatear[metrics]'")


def scrape(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = list(parser.text_string_to_metric_families(text))
    return {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}


@pytest.fixture
def sensors(tmp_path):
    zone = tmp_path / "thermal_zone0"
    zone.mkdir()
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("48312\n")
    (tmp_path / "thermal_zone1").mkdir()  # a sensor that does not answer
    return tmp_path


@pytest.fixture
def device():
    one = DeviceStatus("hut")
    stream = one.stream("mic")
    stream.state, stream.realtime_factor, stream.lag_s, stream.gaps = "running", 0.01, 0.25, 3
    stream.level_dbfs, stream.scores, stream.queue = -52.5, {"rain": 0.75, 'a "b"\n': 0.5}, 2
    stream.drop("clips", 4)
    return one


def test_a_scrape_tells_what_the_counters_say(device, sensors):
    outputs = OutputStatus(published=17, durable=True, journal_bytes=4096, journal_written=62_500, denied=2)
    outputs.queued, outputs.dropped, outputs.connected = {"mqtt": 5}, {"json-lines": 6}, {"mqtt": False}
    server = MetricsServer(Collector(device, outputs, sensors), 0)
    try:
        found = scrape(server)
        stream = ("stream", "mic")
        assert found["wheatear_realtime_factor", stream] == 0.01
        assert found["wheatear_lag_seconds", stream] == 0.25
        assert found["wheatear_gaps_total", stream] == 3
        assert found["wheatear_level_dbfs", stream] == -52.5
        assert found["wheatear_score", ("label", "rain"), stream] == 0.75
        assert found["wheatear_score", ("label", 'a "b"\n'), stream] == 0.5
        assert found["wheatear_stream_state", ("state", "running"), stream] == 1
        assert found["wheatear_dropped_blocks_total", ("queue", "clips"), stream] == 4
        assert found["wheatear_published_events_total",] == 17
        assert found["wheatear_journal_durable",] == 1
        assert found["wheatear_journal_written_bytes_per_day",] == 24 * 62_500  # within the first hour
        assert found["wheatear_denied_total",] == 2
        assert found["wheatear_queued_events", ("queue", "mqtt")] == 5
        assert found["wheatear_dropped_events_total", ("queue", "json-lines")] == 6
        assert found["wheatear_connected", ("queue", "mqtt")] == 0
        assert found["wheatear_temperature_celsius", ("sensor", "0-cpu-thermal")] == 48.312
        assert 1e6 < found["wheatear_resident_bytes",] < 1e11
        device.streams["mic"].gaps = 4
        assert scrape(server)["wheatear_gaps_total", stream] == 4
    finally:
        server.close()


def test_no_sensor_no_temperature(tmp_path):
    assert list(temperatures(tmp_path / "nothing")) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "sensor.local", "::"])
def test_the_network_is_refused_unless_allowed(device, address):
    with pytest.raises(WireError, match=r"will not answer for metrics on .*: anyone on the network could read them"):
        MetricsServer(Collector(device, OutputStatus()), 0, address)


def test_an_occupied_port_is_one_line(device):
    first = MetricsServer(Collector(device, OutputStatus()), 0)
    with pytest.raises(
        WireError, match=rf"cannot answer for metrics on 127.0.0.1:{first.port}: Address already in use"
    ):
        MetricsServer(Collector(device, OutputStatus()), first.port)
    first.close()


def test_the_duty_cycle_of_a_second_stage_is_told_where_there_is_one(device, sensors):
    other = device.stream("birds")
    other.second, other.second_samples, other.samples = "species@1", 12_000, 48_000
    server = MetricsServer(Collector(device, OutputStatus(), sensors), 0)
    try:
        found = scrape(server)
    finally:
        server.close()
    told = {key: value for key, value in found.items() if key[0].startswith("wheatear_second")}
    labels = (("model", "species@1"), ("stream", "birds"))
    assert told == {
        ("wheatear_second_samples_total", *labels): 12_000,
        ("wheatear_second_duty_cycle", *labels): 0.25,
    }
