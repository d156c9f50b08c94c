"""Where events go, and where they are kept."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events go; loopback unless `allow_remote`."""

    events: str = "tcp://127.0.0.1:5556"
    replay: str = "tcp://127.0.0.1:5557"
    allow_remote: bool = False


class JournalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events are kept, and how many; "" means the user's state folder."""

    path: str = ""
    keep: Annotated[int, Meta(ge=1000)] = 200_000
