"""Names: unique ones that sort by time (UUID version 7, RFC 9562), and safe ones for topics and files."""

from __future__ import annotations

import re
import unicodedata
import uuid

from edge.clock import Clock, SystemClock


def uuid7(clock: Clock | None = None) -> str:
    """Return a new UUIDv7 in text form.

    Milliseconds since 1970 fill the first 48 bits and the fraction of the millisecond the next 12, so that names
    sort in the order of their making; 62 bits are chance. Time and chance both come from `clock`: an injected one
    makes the same names again; the system's where None.
    """
    clock = clock or SystemClock()
    milliseconds, rest = divmod(clock.utc_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    chance = int.from_bytes(clock.entropy(8), "big") & ((1 << 62) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 7 << 76 | fraction << 64 | 2 << 62 | chance
    return str(uuid.UUID(int=value))


def slug(text: str | None) -> str:
    """Text as 1 … 48 characters of ``[a-z0-9_-]``; ``-`` where nothing remains.

    >>> slug("Sea Waves"), slug("Érable.#*"), slug(None)
    ('sea-waves', 'erable', '-')
    """
    plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-")[:48] or "-"
