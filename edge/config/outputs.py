"""Where events go, and where they are kept."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

DEFAULT_EMBEDDINGS = "tcp://127.0.0.1:5558"  # where `wheatear run --embeddings` publishes unless it is told
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Bytes = Annotated[int, Meta(ge=1 << 16, le=1 << 40)]
Topic = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_/-]{0,99}$", description="an MQTT topic of A-Z, a-z, 0-9, _, - and /")
]
Discovery = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_/-]{0,100}$", description="an MQTT topic, or nothing")]


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Authentication and encryption of both sockets; see `wheatear keys`.

    Attributes
    ----------
    enabled
        Only clients with a key that is allowed may connect.
    folder
        Where the keys are; "" means ``keys`` in the user's configuration folder.
    """

    enabled: bool = False
    folder: str = ""


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """ZeroMQ; loopback unless `allow_remote`.

    Attributes
    ----------
    events, replay
        Endpoints: where events are published, and where past ones are asked for.
    embeddings
        Where embeddings go: an endpoint, or a file that gets a line of JSON for each; "" for nowhere.
    allow_remote
        Listen on addresses that other machines reach.
    queue
        Events kept for each slow subscriber before it loses some (and asks replay for them).
    subscriptions
        Different subscriptions of one client (by key, else by address).
    requests
        Replay requests of one client a second.
    curve
        Keys.
    """

    events: str = "tcp://127.0.0.1:5556"
    replay: str = "tcp://127.0.0.1:5557"
    embeddings: str = ""
    allow_remote: bool = False
    queue: Count = 1_000
    subscriptions: Count = 256
    requests: Count = 100
    curve: Curve = Curve()


class Mqtt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A broker that gets every event, with Home Assistant's discovery.

    Attributes
    ----------
    host
        Name or address of the broker; "" for none.
    port
        0 means 1883, or 8883 with TLS.
    prefix
        First part of all topics.
    username
        Empty for none.
    password_file, password_env
        The password is the first line of that file, or the value of that variable of the environment.
    tls
        Encrypt, and check the broker's certificate.
    ca, cert, key
        Files: authorities to trust instead of the system's, and the device's own certificate and key.
    discovery
        Where Home Assistant looks for devices; "" for no discovery.
    cursor
        File that remembers what the broker has; "" means beside the journal.
    """

    host: str = ""
    port: Port = 0
    prefix: Topic = "wheatear"
    username: str = ""
    password_file: str = ""
    password_env: str = ""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    discovery: Discovery = "homeassistant"
    cursor: str = ""


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures for Prometheus over HTTP; loopback unless `allow_remote`.

    Attributes
    ----------
    port
        0 for none; 9556 is as good as any.
    """

    port: Port = 0
    address: str = "127.0.0.1"
    allow_remote: bool = False


class JsonLines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file with one event a line.

    Attributes
    ----------
    path
        The file; "" for none. Older ones are beside it: ``.1`` is the newest of them.
    max_bytes
        Size at which a new file begins.
    files
        How many are kept, the present one among them.
    keep_free
        Bytes that stay free on the disk: old files go first, then nothing is written.
    """

    path: str = ""
    max_bytes: Bytes = 16 << 20
    files: Annotated[int, Meta(ge=1, le=1000)] = 5
    keep_free: Annotated[int, Meta(ge=0, le=1 << 50)] = 256 << 20


class JournalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events are kept, and how many; the oldest go first.

    Attributes
    ----------
    path
        "" means the user's state folder.
    keep
        Events.
    max_bytes
        Size of the file, about.
    """

    path: str = ""
    keep: Annotated[int, Meta(ge=1000)] = 200_000
    max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
