"""Figures for Prometheus: what the device's counters say at the moment it is asked, over HTTP on the loopback.

Nothing is measured here; `edge.status` and `edge.publish.board` count anyway.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from edge.errors import ConfigError, WireError
from edge.publish.board import OutputStatus

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from edge.status import DeviceStatus, StreamStatus

THERMAL = Path("/sys/class/thermal")

# name, kind, help, attribute of StreamStatus
STREAM_METRICS = (
    ("realtime_factor", "gauge", "Seconds of work for a second of sound", "realtime_factor"),
    ("lag_seconds", "gauge", "Sound that waits to be decided", "lag_s"),
    ("samples", "counter", "Source samples heard", "samples"),
    ("gaps", "counter", "Losses of sound", "gaps"),
    ("lost_samples", "counter", "Source samples lost", "lost_samples"),
    ("restarts", "counter", "Begun again after a crash", "restarts"),
    ("reconnects", "counter", "Source came back after a loss", "reconnects"),
    ("events", "counter", "Events handed over", "events"),
    ("level_dbfs", "gauge", "RMS of the last second, dB of full scale", "level_dbfs"),
    ("peak", "gauge", "Largest magnitude of the last second, full scale 1", "peak"),
    ("clipped_samples", "counter", "Samples at full scale", "clipped"),
    ("zero_seconds", "gauge", "Time for which every sample has been 0", "zero_s"),
    ("unscored_seconds", "gauge", "Sound since a model gave its last score", "unscored_s"),
    ("waiting_samples", "gauge", "Source samples that wait for the model", "queue"),
)
# the same, of OutputStatus
OUTPUT_METRICS = (
    ("published_events", "counter", "Events that went out over the wire", "published"),
    ("journal_durable", "gauge", "1 while events are in the journal before they are published", "durable"),
    ("journal_bytes", "gauge", "Size of the journal", "journal_bytes"),
    ("journal_written_bytes", "counter", "Bytes handed to the file system for the journal", "journal_written"),
    ("journal_written_bytes_per_day", "gauge", "The same a day, at the mean rate", "journal_bytes_per_day"),
    ("subscriptions", "gauge", "Subscriptions served", "peers"),
    ("refused", "counter", "Requests and subscriptions above a cap", "refused"),
    ("denied", "counter", "Connections without a key that is allowed", "denied"),
)


class Collector:
    """Makes metrics of counters, each time it is asked.

    Parameters
    ----------
    device
        The streams' counters.
    outputs
        Those of journal, wire and bridges.
    thermal
        Folder of the system's temperature sensors.
    """

    def __init__(self, device: DeviceStatus, outputs: OutputStatus, thermal: Path = THERMAL) -> None:
        self._device, self._outputs, self._thermal = device, outputs, thermal

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now; their names begin with ``wheatear_``."""
        device = self._device.snapshot()
        streams = list(device.streams.values())
        for name, kind, text, attribute in STREAM_METRICS:
            yield _metric(name, kind, text, ["stream"], [((s.name,), getattr(s, attribute)) for s in streams])
        yield _metric("dropped_blocks", "counter", "Left out by bounded queues", ["stream", "queue"], _drops(streams))
        scores = [((s.name, label), score) for s in streams for label, score in s.scores.items()]
        yield _metric("score", "gauge", "Latest probability", ["stream", "label"], scores)
        yield from _second(streams)
        yield from _levels(streams)
        states = [((s.name, s.state), 1) for s in streams]
        yield _metric("stream_state", "gauge", "1 for the state that the stream is in", ["stream", "state"], states)
        yield from self._outside()
        yield _metric("resident_bytes", "gauge", "Resident memory", [], [((), device.rss_bytes)])
        celsius = list(temperatures(self._thermal))
        yield _metric("temperature_celsius", "gauge", "Of the machine's sensors", ["sensor"], celsius)

    def _outside(self) -> Iterator[Metric]:
        """Journal, wire and bridges."""
        outputs = self._outputs
        for name, kind, text, attribute in OUTPUT_METRICS:
            yield _metric(name, kind, text, [], [((), getattr(outputs, attribute))])
        for name, kind, text, values in (
            ("queued_events", "gauge", "Events that wait, by queue", outputs.queued),
            ("dropped_events", "counter", "Events left out, by queue", outputs.dropped),
            ("connected", "gauge", "1 while the bridge's far end is there", outputs.connected),
        ):
            yield _metric(name, kind, text, ["queue"], [((key,), value) for key, value in dict(values).items()])


def _levels(streams: Iterable[StreamStatus]) -> Iterator[Metric]:
    """The last minute of the streams that measure levels."""
    told = [(s.name, s.levels) for s in streams if s.levels]
    weighted = [
        ((name, f"l{weighting}{statistic.removeprefix('l')}"), value)
        for name, levels in told
        for weighting, values in (("a", levels.a), ("z", levels.z))
        for statistic, value in asdict(values).items()
    ]
    bands = [((name, f"{hz:g}"), db) for name, one in told for hz, db in zip(one.bands.hz, one.bands.lzeq, strict=True)]
    presence = [((name, label), share) for name, one in told for label, share in one.presence.items()]
    seconds = [((name,), one.seconds) for name, one in told]
    yield _metric("sound_level_db", "gauge", "Of the last minute", ["stream", "level"], weighted)
    yield _metric("band_level_db", "gauge", "LZeq of the last minute's third octaves", ["stream", "hz"], bands)
    yield _metric("presence", "gauge", "Share of the last minute, heard over the rest", ["stream", "label"], presence)
    yield _metric("levels_seconds", "gauge", "Sound measured of the last minute", ["stream"], seconds)


def _second(streams: Iterable[StreamStatus]) -> Iterator[Metric]:
    """How much the second stages of the streams that have one listen."""
    staged = [((s.name, s.second), s) for s in streams if s.second]
    keys = ["stream", "model"]
    samples = [(key, s.second_samples) for key, s in staged]
    yield _metric("second_samples", "counter", "Source samples that the second stage was given", keys, samples)
    shares = [(key, s.second_share) for key, s in staged]
    yield _metric("second_duty_cycle", "gauge", "Share of the sound that the second stage was given", keys, shares)


def _drops(streams: Iterable[StreamStatus]) -> list[tuple[tuple[str, ...], float]]:
    return [((s.name, queue), count) for s in streams for queue, count in s.dropped.items()]


def _metric(
    name: str, kind: str, text: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], Any]]
) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    family = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(f"wheatear_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric(key, float(value))
    return family


def temperatures(folder: Path = THERMAL) -> Iterator[tuple[tuple[str, ...], float]]:
    """Sensor and degrees Celsius; none where the system has no sensors."""
    for zone in sorted(folder.glob("thermal_zone*")):
        try:
            kind = (zone / "type").read_text().strip()
            yield (f"{zone.name.removeprefix('thermal_zone')}-{kind}",), int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue


class MetricsServer:
    """Answers ``GET /metrics`` until closed.

    Parameters
    ----------
    collector
        What is told.
    port
        0 picks a free one; `port` then says which.
    address
        Where to listen.
    allow_remote
        Listen on addresses that other machines reach.

    Raises
    ------
    ConfigError
        The extra is not installed.
    WireError
        The address is open to the network without leave, or cannot be had.
    """

    def __init__(self, collector: Collector, port: int, address: str = "127.0.0.1", allow_remote: bool = False) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ModuleNotFoundError:
            raise ConfigError(
                "metrics need the package 'prometheus_client': pip install 'wheatear[metrics]', or set port = 0"
            ) from None
        if not allow_remote and not _is_loopback(address):
            raise WireError(
                f"will not answer for metrics on {address}: anyone on the network could read them; expected 127.0.0.1, "
                "or allow_remote = true in [metrics]"
            )
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        try:
            self._server, self._thread = start_http_server(port, address, registry)
        except OSError as error:
            raise WireError(
                f"cannot answer for metrics on {address}:{port}: {error.strerror}; choose another port in [metrics]"
            ) from error
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
