"""Wheatear's public Python API: the names that stay.

>>> import wheatear
>>> with wheatear.Subscriber() as events:           # doctest: +SKIP
...     for event in events:
...         print(event.type, event.label, event.onset_utc)
"""

from edge.blocks import AudioBlock, Event, FeatureBlock, ScoreBlock
from edge.client import Cursor, Subscriber
from edge.errors import (
    CardError,
    ConfigError,
    EngineError,
    JournalError,
    SourceError,
    SpecError,
    WheatearError,
    WireError,
)
from edge.frontend.spec import FrontEndSpec

__all__ = [
    "AudioBlock",
    "CardError",
    "ConfigError",
    "Cursor",
    "EngineError",
    "Event",
    "FeatureBlock",
    "FrontEndSpec",
    "JournalError",
    "ScoreBlock",
    "SourceError",
    "SpecError",
    "Subscriber",
    "WheatearError",
    "WireError",
]
