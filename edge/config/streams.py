"""What is heard: sources, models and decision rules."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.inference.card import Probability, Seconds

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{0,64}$")]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decision rules that replace the model card's for all labels; see `edge.inference.card.Decode`."""

    on: Probability | None = None
    off: Probability | None = None
    median: Seconds | None = None
    min_duration: Seconds | None = None
    merge_gap: Seconds | None = None
