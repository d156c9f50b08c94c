"""The MQTT bridge: every event to a broker, at least once and in order, with Home Assistant's discovery.

    journal ──pages from the cursor──▶ window of events, QoS 1 ──all acknowledged──▶ cursor moves on
       ▲                                    broker away: the window waits, the journal keeps what follows
    outbox (wakes the bridge)

The journal is the queue: after an outage of the broker, or of the device, the bridge goes on where the broker's last
acknowledgement was. Only events that the journal could not take (``durable = false``) are handed over directly, from a
bounded queue; they come again once they are journalled, with the same (log, stream, seq).
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge.blocks import Event
from edge.config.outputs import Mqtt
from edge.errors import ConfigError, JournalError
from edge.ids import slug
from edge.publish.board import Board
from edge.publish.discovery import Announcer, Topics
from edge.publish.reader import Reader

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

logger = logging.getLogger(__name__)

NAME = "mqtt"
WINDOW = 20  # events that wait for the broker's acknowledgement
UNDURABLE = 1_000  # events that wait without a journal
POLL_S = 1.0
CURSOR_S = 30.0  # the cursor is written this often at most: after a kill so many seconds are sent again
KEEPALIVE_S = 30
RECONNECT_S = (1, 60)
CLOSE_S = 3.0
MAX_PASSWORD = 4_096


class Cursors(msgspec.Struct):
    """What the broker has: in `log`, all events of a stream below its number."""

    log: str = ""
    next: dict[str, int] = {}  # msgspec copies it for each


class MqttBridge:
    """A sink that follows the journal, from a thread of its own, until closed.

    Parameters
    ----------
    config
        The broker.
    device
        Name of the device.
    journal
        The journal's file.
    board
        Where outages and drops are told.
    health
        What the health sensor says: JSON values, ``state`` among them.
    labels
        Labels that may sound, by stream; asked again and again, as models are loaded.

    Raises
    ------
    ConfigError
        The extra is not installed, or a password or certificate cannot be read.
    """

    name = NAME

    def __init__(
        self,
        config: Mqtt,
        device: str,
        journal: Path,
        board: Board,
        health: Callable[[], dict[str, Any]] | None = None,
        labels: Callable[[], dict[str, list[str]]] | None = None,
    ) -> None:
        self._config, self._journal, self._board = config, journal, board
        self._health, self._labels = health or (lambda: {"state": "ok"}), labels or dict
        self.topics = Topics(config.prefix, slug(device))
        self._announcer = Announcer(self.topics, config.discovery, self._send)
        self._cursor_path = (
            Path(config.cursor).expanduser() if config.cursor else journal.with_name(f"{journal.name}.mqtt")
        )
        self._cursors, self._saved_at, self._unsaved = self._load_cursors(), time.monotonic(), False
        self._undurable: deque[Event] = deque()
        self._reader: Reader | None = None
        self._last_health: dict[str, Any] = {}
        self._sent: list[MQTTMessageInfo] = []
        self._lost = False
        self._closing = False
        self._wake = threading.Event()
        self._connected = threading.Event()
        self._new = not self._cursors.log  # a new bridge begins with what comes from now on
        with suppress(JournalError):  # the outbox says it to everyone
            self._follow()
        self._new = False
        self._client = self._make_client(device)
        board.status.connected[NAME] = False
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()

    def push(self, event: Event) -> None:
        """Wake the bridge; an event that is not in the journal is queued, or counted where the queue is full."""
        if not event.durable:
            if len(self._undurable) < UNDURABLE:
                self._undurable.append(event)
            else:
                self._board.drop(NAME)
        self._wake.set()

    def close(self) -> None:
        """Send what can be sent within some seconds, say that the device is offline, and disconnect."""
        self._closing = True
        self._wake.set()
        self._thread.join(2 * CLOSE_S)
        if self._thread.is_alive():
            logger.error("the MQTT bridge hangs and was left behind")

    # What follows runs in the bridge's thread, apart from the callbacks of paho's.

    def _run(self) -> None:
        config = self._config
        self._client.connect_async(config.host, config.port or (8883 if config.tls else 1883), KEEPALIVE_S)
        self._client.loop_start()
        while not self._closing:
            self._wake.wait(POLL_S)
            self._wake.clear()
            self._turn()
        self._turn()
        self._save_cursors()
        if self._connected.is_set():
            self._send(self.topics.availability, "offline", retain=True)
            self._await(CLOSE_S)
        self._client.disconnect()
        self._client.loop_stop()
        if self._reader:
            self._reader.close()

    def _turn(self) -> None:
        try:
            if self._connected.is_set():
                self._announcer.announce_all(self._labels())
                self._tell_health()
                self._forward()
        except JournalError as error:
            logger.debug("mqtt: %s", error)  # the outbox says it to everyone
            self._reader = None
        except Exception:  # a fault in one event must not silence the bridge
            logger.exception("the MQTT bridge stumbled and goes on")
        if self._unsaved and time.monotonic() - self._saved_at >= CURSOR_S:
            self._save_cursors()

    def _forward(self) -> None:
        while self._undurable and self._connected.is_set():
            self._publish([self._undurable.popleft()])
        reader = self._follow()
        if reader is None:
            return
        for stream in reader.streams():
            while not self._stopped() and self._forward_window(reader, stream):
                pass
        self._board.status.queued[NAME] = len(self._undurable) + sum(
            max(0, reader.head(stream) + 1 - self._cursors.next.get(stream, 1)) for stream in reader.streams()
        )

    def _forward_window(self, reader: Reader, stream: str) -> bool:
        """Send the next events of a stream; False where there are none, or the end came before the broker had them."""
        page = reader.page(stream, reader.log, self._cursors.next.get(stream, 1), WINDOW)
        if not page.events or not self._publish(page.events):
            return False
        self._cursors.next[stream] = page.events[-1].seq + 1
        self._unsaved = True
        return True

    def _stopped(self) -> bool:
        return self._closing and not self._connected.is_set()

    def _follow(self) -> Reader | None:
        """The journal as it is now: another file where it was set aside."""
        if self._reader and self._reader.stale:
            self._reader.close()
            self._reader = None
        if self._reader is None:
            if not self._journal.exists():
                return None
            self._reader = Reader(self._journal)
        if self._cursors.log != self._reader.log:
            heads = {stream: self._reader.head(stream) + 1 for stream in self._reader.streams()} if self._new else {}
            self._cursors = Cursors(self._reader.log, heads)
            self._save_cursors()
        return self._reader

    def _publish(self, events: list[Event]) -> bool:
        """Send events and wait for the broker; False where the end came first."""
        for event in events:
            self._send(self.topics.event(event.stream), msgspec.json.encode(event))
            if event.label is not None and event.type in ("begin", "end"):
                self._announcer.switch(event.stream, event.label, on=event.type == "begin")
        return self._await(None)

    def _send(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        # Without a connection paho keeps the message and sends it when there is one again.
        self._sent.append(self._client.publish(topic, payload, qos=1, retain=retain))

    def _await(self, seconds: float | None) -> bool:
        """Wait until everything sent is acknowledged; for so long, or until the end is near where None."""
        deadline = None if seconds is None else time.monotonic() + seconds
        closing_since: float | None = None
        while self._sent:
            try:
                if all(info.is_published() for info in self._sent):
                    break
            except RuntimeError:  # handed over without a connection: the window is sent again from its cursor
                self._sent.clear()
                return False
            now = time.monotonic()
            if self._closing and deadline is None:
                closing_since = closing_since or now
            if (deadline and now >= deadline) or (closing_since and now >= closing_since + CLOSE_S):
                return False
            with suppress(RuntimeError):  # said above, when it is asked again
                self._sent[-1].wait_for_publish(0.05)
            if not self._connected.is_set():
                time.sleep(0.05)
        self._sent.clear()
        return True

    def _tell_health(self) -> None:
        health = self._health()
        if health != self._last_health:
            self._last_health = health
            self._send(self.topics.health, msgspec.json.encode(health), retain=True)

    def _load_cursors(self) -> Cursors:
        try:
            return msgspec.json.decode(self._cursor_path.read_bytes(), type=Cursors)
        except FileNotFoundError:
            return Cursors()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("%s is not usable (%s): the bridge begins with what comes", self._cursor_path, error)
            return Cursors()

    def _save_cursors(self) -> None:
        """Replace the file as a whole, so that a kill leaves the old one or the new one."""
        self._saved_at, self._unsaved = time.monotonic(), False
        fresh = self._cursor_path.with_name(f"{self._cursor_path.name}.new")
        try:
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(file, "wb") as stream:
                stream.write(msgspec.json.encode(self._cursors))
            fresh.replace(self._cursor_path)
        except OSError as error:
            logger.warning("%s: cannot be written (%s); after a restart events are sent again", fresh, error.strerror)

    def _make_client(self, device: str) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError:
            raise ConfigError(
                "MQTT needs the package 'paho-mqtt': pip install 'wheatear[mqtt]', or remove host from [mqtt]"
            ) from None
        config = self._config
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"wheatear-{slug(device)}")
        if config.username:
            client.username_pw_set(config.username, password(config))
        if config.tls:
            try:
                client.tls_set(config.ca or None, config.cert or None, config.key or None)
            except (OSError, ValueError) as error:
                raise ConfigError(f"[mqtt] ca, cert, key: expected PEM files that can be read, got: {error}") from None
        client.will_set(self.topics.availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(RECONNECT_S[0], random.randint(RECONNECT_S[1] // 2, RECONNECT_S[1]))  # noqa: S311
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        return client

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:  # noqa: ARG002
        if reason.is_failure:
            self._say_lost(f"it refuses: {reason}")
            return
        if self._lost:
            self._lost = False
            self._board.say(f"the MQTT broker {self._config.host} is there again", mqtt="connected")
        self._announcer.forget()
        self._last_health = {}
        client.publish(self.topics.availability, "online", qos=1, retain=True)
        self._board.status.connected[NAME] = True
        self._connected.set()
        self._wake.set()

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:  # noqa: ARG002
        self._connected.clear()
        if not self._closing:
            self._say_lost(str(reason))

    def _on_connect_fail(self, client: Client, data: Any) -> None:  # noqa: ARG002
        self._say_lost("it cannot be reached")

    def _say_lost(self, why: str) -> None:
        self._board.status.connected[NAME] = False
        if not self._lost:
            self._lost = True
            self._board.say(
                f"the MQTT broker {self._config.host} is away ({why}); the journal keeps events", mqtt="lost"
            )


def password(config: Mqtt) -> str | None:
    """The password from its file or from the environment; None where neither is named.

    Raises
    ------
    ConfigError
        The file cannot be read, others than its owner can read it, or the variable is not set.
    """
    if config.password_env:
        if config.password_env not in os.environ:
            raise ConfigError(f"[mqtt] password_env: expected the variable {config.password_env} in the environment")
        return os.environ[config.password_env]
    if not config.password_file:
        return None
    path = Path(config.password_file).expanduser()
    try:
        with path.open("rb") as file:
            found = file.read(MAX_PASSWORD).decode()
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"[mqtt] password_file {path}: expected a file of text, got: {error}") from None
    if mode & 0o077:
        raise ConfigError(f"[mqtt] password_file {path}: others can read it; type: chmod 600 {path}")
    return found.partition("\n")[0].rstrip("\r")
