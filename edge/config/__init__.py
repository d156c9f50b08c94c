"""What `wheatear run` is told: one TOML file, every key checked, unknown ones refused.

    streams.py   what is heard: sources, models, decision rules, hours, gates
    outputs.py   where events go
    clips.py     which sound is kept
    profile.py   what kind of computer this is
    config.py    the whole file
    migrate.py   older files in today's keys
    check.py     all that is wrong with a file, at once
    load.py      reading it, and options over it

Structs are frozen and refuse unknown fields.
"""

from edge.config.clips import Clips
from edge.config.config import Config
from edge.config.load import load, override
from edge.config.outputs import Curve, JournalFile, JsonLines, Metrics, Mqtt, Publish
from edge.config.profile import DeviceProfile
from edge.config.streams import Condition, Fuse, Gate, Rules, Schedule, Second, Slug, Stream

__all__ = [
    "Clips",
    "Condition",
    "Config",
    "Curve",
    "DeviceProfile",
    "Fuse",
    "Gate",
    "JournalFile",
    "JsonLines",
    "Metrics",
    "Mqtt",
    "Publish",
    "Rules",
    "Schedule",
    "Second",
    "Slug",
    "Stream",
    "load",
    "override",
]
