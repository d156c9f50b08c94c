"""Topics of the MQTT bridge, and Home Assistant's discovery of them.

    <prefix>/<device>/availability              online | offline (last will), retained
    <prefix>/<device>/health                    {"state": "ok" | "problem", …}, retained
    <prefix>/<device>/<stream>/event            every event as JSON, as on the ZeroMQ wire
    <prefix>/<device>/<stream>/<label>/state    ON | OFF, retained

See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery for what is sent to
``<discovery>/binary_sensor/…/config``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from edge.ids import slug

ENTITIES = 200  # labels announced before they ever sounded: a model of 500 classes would flood Home Assistant

Send = Callable[[str, bytes | str, bool], None]


def key_of(label: str) -> str:
    """A label as part of a topic: its slug, with a checksum where that does not tell it from others.

    >>> key_of("rain"), key_of("Sea Waves")
    ('rain', 'sea-waves-97e3ad9e')
    """
    plain = slug(label)
    return plain if plain == label else f"{plain}-{zlib.crc32(label.encode()):08x}"


class Topics:
    """Topics of one device; `device` must be a slug."""

    def __init__(self, prefix: str, device: str) -> None:
        self.device = device
        self._root = f"{prefix}/{device}"
        self.availability = f"{self._root}/availability"
        self.health = f"{self._root}/health"

    def event(self, stream: str) -> str:
        """Where the events of a stream go."""
        return f"{self._root}/{slug(stream)}/event"

    def state(self, stream: str, label: str) -> str:
        """Where it stands whether a label sounds just now."""
        return f"{self._root}/{slug(stream)}/{key_of(label)}/state"


class Announcer:
    """Tells Home Assistant of each label once a connection, and keeps their states.

    Parameters
    ----------
    topics
        The device's.
    discovery
        Where Home Assistant looks; "" for no discovery.
    send
        Takes topic, payload and whether the broker shall retain it.
    """

    def __init__(self, topics: Topics, discovery: str, send: Send) -> None:
        self._topics, self._discovery, self._send = topics, discovery.strip("/"), send
        self._known: set[tuple[str, str]] = set()
        self._on: dict[tuple[str, str], bool] = {}
        self._greeted = False

    def forget(self) -> None:
        """The broker may be another one: announce everything again."""
        self._known = set()
        self._greeted = False

    def announce_all(self, labels: Mapping[str, Sequence[str]]) -> None:
        """Announce the device's health, and labels that may sound, by stream; those known already cost nothing."""
        if not self._greeted:
            self._greeted = True
            self._announce("sensor", "health", self._health())
        wanted = [(stream, label) for stream, found in labels.items() for label in found]
        for stream, label in wanted[:ENTITIES] + list(self._on):
            if (stream, label) not in self._known:
                self._show(stream, label)

    def switch(self, stream: str, label: str, on: bool) -> None:
        """A label begins or ends to sound."""
        self._on[stream, label] = on
        self._show(stream, label)

    def _show(self, stream: str, label: str) -> None:
        if (stream, label) not in self._known:
            self._known.add((stream, label))
            self._announce("binary_sensor", f"{slug(stream)}_{key_of(label)}", self._sensor(stream, label))
        self._send(self._topics.state(stream, label), "ON" if self._on.get((stream, label)) else "OFF", True)

    def _announce(self, kind: str, name: str, what: dict[str, Any]) -> None:
        if not self._discovery:
            return
        node = f"wheatear_{self._topics.device}"
        common = {
            "unique_id": f"{node}_{name}",
            "availability_topic": self._topics.availability,
            "device": {
                "identifiers": [node],
                "name": self._topics.device,
                "manufacturer": "Wheatear",
                "model": "sound event detector",
                "sw_version": version("wheatear"),
            },
        }
        topic = f"{self._discovery}/{kind}/{node}/{name}/config"
        self._send(topic, msgspec.json.encode({**common, **what}), True)

    def _sensor(self, stream: str, label: str) -> dict[str, Any]:
        return {
            "name": f"{label} ({stream})",
            "state_topic": self._topics.state(stream, label),
            "payload_on": "ON",
            "payload_off": "OFF",
            "device_class": "sound",
        }

    def _health(self) -> dict[str, Any]:
        return {
            "name": "health",
            "state_topic": self._topics.health,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": self._topics.health,
            "entity_category": "diagnostic",
        }
