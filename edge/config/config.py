"""The whole configuration file."""

from __future__ import annotations

import platform
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import platformdirs
from msgspec import Meta

from edge.config.clips import Clips
from edge.config.outputs import JournalFile, JsonLines, Metrics, Mqtt, Publish
from edge.config.profile import DeviceProfile
from edge.config.streams import Slug, Stream
from edge.ids import slug

VERSION: Final = 2
RESERVED = "device"  # the stream of what concerns no microphone


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device hears and where its events go.

    Attributes
    ----------
    version
        Of this file's keys; older files are read too, see `edge.config.migrate`.
    device
        Name of this sensor in topics and events; the host's where empty.
    device_profile
        How the software uses this computer.
    streams
        What is heard.
    """

    version: Literal[2] = VERSION
    device: Slug = ""
    device_profile: DeviceProfile = DeviceProfile()
    streams: Annotated[tuple[Stream, ...], Meta(min_length=1, max_length=1000)] = (Stream(),)
    publish: Publish = Publish()
    journal: JournalFile = JournalFile()
    mqtt: Mqtt = Mqtt()
    json_lines: JsonLines = JsonLines()
    metrics: Metrics = Metrics()
    clips: Clips = Clips()

    def __post_init__(self) -> None:
        """Refuse streams that nobody could tell apart."""
        for name, count in Counter(self.stream_names).items():
            if count > 1:
                raise ValueError(f"Expected streams of different names, got {count} named `{name}`; give each a `name`")
            if name == RESERVED:
                raise ValueError(f"Expected another name than `{name}`, which is kept for the device itself")

    @property
    def device_name(self) -> str:
        """Name of this sensor."""
        return self.device or slug(platform.node())

    @property
    def stream_names(self) -> list[str]:
        """Names of all streams, in order."""
        return [stream.stream_name for stream in self.streams]

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        if self.journal.path:
            return Path(self.journal.path).expanduser()
        return platformdirs.user_state_path("wheatear") / f"{self.device_name}.journal"
