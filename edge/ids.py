"""Names that are unique and sort by time (UUID version 7, RFC 9562)."""

from __future__ import annotations

import uuid

from edge.clock import Clock


def uuid7(clock: Clock) -> str:
    """Return a new UUIDv7 in text form.

    Milliseconds since 1970 fill the first 48 bits and the fraction of the millisecond the next 12, so that names
    sort in the order of their making; 62 bits are chance. Time and chance both come from `clock`: an injected one
    makes the same names again.
    """
    milliseconds, rest = divmod(clock.utc_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    chance = int.from_bytes(clock.entropy(8), "big") & ((1 << 62) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 7 << 76 | fraction << 64 | 2 << 62 | chance
    return str(uuid.UUID(int=value))
