"""The whole configuration file."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

import msgspec
import platformdirs

from edge.config.clips import Clips
from edge.config.outputs import JournalFile, JsonLines, Metrics, Mqtt, Publish
from edge.config.streams import Rules, Slug
from edge.ids import slug
from edge.inference.card import Decode


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stream and where its events go.

    Attributes
    ----------
    source
        ``mic:`` (the default device), a device name or index, a sound file, ``-`` or a URL.
    model
        Name of a built-in or added model, or a model folder.
    device, stream
        Names in topics and events; the host's name and a name made from the source where empty.
    engine, precision
        Inference runtime and file to prefer; chosen by what is installed where empty.
    channel
        ``mix`` or the index of one channel.
    realtime
        Files at the speed of sound instead of as fast as they can.
    pcm
        Format of raw standard input, ``s16le:16000:1``.
    start
        UTC of a file's first sample (RFC 3339), where the file does not say.
    """

    source: str = "mic:"
    model: str = "esc10-s"
    device: Slug = ""
    stream: Slug = ""
    engine: Literal["", "onnx", "tflite"] = ""
    precision: Literal["", "float32", "int8"] = ""
    channel: Literal["mix"] | int = "mix"
    realtime: bool = False
    pcm: str = ""
    start: str = ""
    publish: Publish = Publish()
    journal: JournalFile = JournalFile()
    mqtt: Mqtt = Mqtt()
    json_lines: JsonLines = JsonLines()
    metrics: Metrics = Metrics()
    decode: Rules = Rules()
    clips: Clips = Clips()

    @property
    def device_name(self) -> str:
        """Name of this sensor."""
        return self.device or slug(platform.node())

    @property
    def stream_name(self) -> str:
        """Name of this stream."""
        if self.stream:
            return self.stream
        text = self.source.removeprefix("file:")
        if text.startswith("mic:") or text == "-":
            return slug(text.removeprefix("mic:")) if len(text) > 4 else {"mic:": "mic", "-": "stdin"}[text]
        return slug(Path(text).stem) if Path(text).exists() else slug(text.rpartition("@")[2])

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        if self.journal.path:
            return Path(self.journal.path).expanduser()
        return platformdirs.user_state_path("wheatear") / f"{self.device_name}.journal"

    def rules(self, card: Decode) -> Decode:
        """The card's rules with this configuration's over them, label by label too."""
        over = {k: v for k, v in msgspec.to_builtins(self.decode).items() if v is not None}
        labels = {name: msgspec.structs.replace(rule, **over) for name, rule in card.labels.items()}
        return msgspec.structs.replace(card, **over, labels=labels)
