"""What `wheatear run` is told: one TOML file, every key checked, unknown ones refused.

    streams.py   what is heard: sources, models, decision rules
    outputs.py   where events go
    clips.py     which sound is kept
    config.py    the whole file
    load.py      reading it

Structs are frozen and refuse unknown fields.
"""

from edge.config.clips import Clips
from edge.config.config import Config
from edge.config.load import load, override
from edge.config.outputs import Curve, JournalFile, JsonLines, Metrics, Mqtt, Publish
from edge.config.streams import Rules, Slug

__all__ = [
    "Clips",
    "Config",
    "Curve",
    "JournalFile",
    "JsonLines",
    "Metrics",
    "Mqtt",
    "Publish",
    "Rules",
    "Slug",
    "load",
    "override",
]
