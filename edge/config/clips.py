"""Which sound is kept on the device."""

from __future__ import annotations

import msgspec


class Clips(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sound around events; nothing is kept unless asked for."""
