"""What `wheatear run` is told: one TOML file, every key also an option, unknown keys refused."""

from __future__ import annotations

import platform
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta

from edge.errors import ConfigError
from edge.ids import slug
from edge.inference.card import Decode, Probability, Seconds

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{0,64}$")]


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events go; loopback unless `allow_remote`."""

    events: str = "tcp://127.0.0.1:5556"
    replay: str = "tcp://127.0.0.1:5557"
    allow_remote: bool = False


class JournalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events are kept, and how many; "" means the user's state folder."""

    path: str = ""
    keep: Annotated[int, Meta(ge=1000)] = 200_000


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decision rules that replace the model card's for all labels; see `edge.inference.card.Decode`."""

    on: Probability | None = None
    off: Probability | None = None
    median: Seconds | None = None
    min_duration: Seconds | None = None
    merge_gap: Seconds | None = None


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
    decode: Rules = Rules()

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


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises
    ------
    ConfigError
        Unreadable file, broken TOML, unknown key, wrong type or range: with the file and the key.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable TOML file, got: {error.strerror}; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML, got: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; `wheatear schema config` lists the keys") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: expected TOML, got: {error}") from None


def override(config: Config, changes: dict[str, object]) -> Config:
    """The configuration with options of the command line over it; None leaves a key as it was.

    Raises
    ------
    ConfigError
        Where an option does not fit its key.
    """
    data = msgspec.to_builtins(config)
    for key, value in changes.items():
        if value is None:
            continue
        table, _, name = key.rpartition(".")
        (data[table] if table else data)[name] = value
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"options: {error}") from None
