"""What is heard: sources, models, decision rules, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.ids import slug
from edge.inference.card import Decode, Probability, Rule, Seconds

DEFAULT_MODEL = "wheatear-s"  # what listens where nobody says otherwise
Slug = Annotated[
    str, Meta(pattern=r"^[a-z0-9_-]{0,64}$", description="a name of a-z, 0-9, - and _, at most 64 of them")
]
ModelName = Annotated[str, Meta(min_length=1, max_length=1000)]
Engine = Literal["", "onnx", "tflite"]
Precision = Literal["", "float32", "int8"]
Wish = tuple[str, str, str]  # model, engine, precision
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DayTime = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", description="a time of day from 00:00 to 24:00")
]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of this file's tables: unknown keys are refused."""


class Rules(Struct, frozen=True):
    """Decision rules that replace the model card's for all labels; see `edge.inference.card.Decode`.

    Attributes
    ----------
    ignore
        Labels that shall make no events, beside those that the card ignores.
    """

    on: Probability | None = None
    off: Probability | None = None
    median: Seconds | None = None
    min_duration: Seconds | None = None
    merge_gap: Seconds | None = None
    dip: Probability | None = None
    states: bool | None = None
    ignore: tuple[str, ...] = ()

    def over(self, card: Decode) -> Decode:
        """The card's rules with these over them, label by label too."""
        given = {key: value for key, value in msgspec.to_builtins(self).items() if value is not None}
        given["ignore"] = [*card.ignore, *given["ignore"]]
        rules = msgspec.structs.replace(card, **given)
        of_label = {key: value for key, value in given.items() if key in Rule.__struct_fields__}
        labels = {name: msgspec.structs.replace(rule, **of_label) for name, rule in card.labels.items()}
        if rules.states:  # smoothed apart they could not be compared
            labels = {name: Rule(on=rule.on, min_duration=rule.min_duration) for name, rule in labels.items()}
        return msgspec.structs.replace(rules, labels=labels)


class Schedule(Struct, frozen=True):
    """Hours in which a stream is on.

    Attributes
    ----------
    start, stop
        ``HH:MM``; a `stop` that is not after `start` lies on the next day. The default is the whole day.
    days
        Of `start`.
    timezone
        IANA name such as ``Europe/Berlin``; the system's where empty.
    """

    start: DayTime = "00:00"
    stop: DayTime = "24:00"
    days: tuple[Day, ...] = DAYS
    timezone: str = ""

    def __post_init__(self) -> None:
        """Refuse zones that this system does not know."""
        if self.timezone:
            import zoneinfo

            try:
                zoneinfo.ZoneInfo(self.timezone)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f"Expected a time zone such as `Europe/Berlin`, got `{self.timezone[:60]!r}`"
                ) from None


class Gate(Struct, frozen=True):
    """Hear only what is loud enough; the model is fed what came just before, so that it is warm when it matters.

    Attributes
    ----------
    open_dbfs
        RMS of 0.1 s, behind gain and high-pass, from which on the gate is open.
    hold
        Seconds that it stays open after the last such 0.1 s.
    pre_roll
        Seconds before the opening that are heard as well: at least what the model looks back on.
    """

    open_dbfs: Annotated[float, Meta(ge=-160, le=0)]
    hold: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    pre_roll: Annotated[float, Meta(ge=0, le=60)] = 5.0


class Condition(Struct, frozen=True):
    """Where another model hears something: the samples that its raw scores of a class speak of, and those around.

    Attributes
    ----------
    label
        A class of one of the stream's models.
    above
        Least score.
    before, hold
        Seconds that belong to it before and behind. A model that wakes needs the sound before it to be warm: at least
        what it looks back on.
    """

    label: Annotated[str, Meta(min_length=1, max_length=100)]
    above: Probability = 0.5
    before: Annotated[float, Meta(ge=0, le=60)] = 3.0
    hold: Annotated[float, Meta(ge=0, le=3600)] = 3.0


class Second(Struct, frozen=True):
    """A second stage: a model that listens only when those of the stream, which always listen, give it cause.

    Exactly one of `when` and `unless` is given.

    Attributes
    ----------
    model
        Name of a built-in or added model, or a model folder.
    when
        It hears only where this holds: a cheap model wakes an expensive one.
    unless
        It hears only where this does not hold and the other model has judged: what would mislead it is kept from it.
    engine, precision, decode
        As those of the stream, for this model.
    """

    model: ModelName
    when: Condition | None = None
    unless: Condition | None = None
    engine: Engine = ""
    precision: Precision = ""
    decode: Rules = Rules()

    def __post_init__(self) -> None:
        """Refuse what never or always listens."""
        if (self.when is None) == (self.unless is None):
            got = "neither" if self.when is None else "both"
            raise ValueError(f"Expected one of `when` and `unless`, got {got}")

    @property
    def condition(self) -> Condition:
        """The one that is given."""
        (one,) = (condition for condition in (self.when, self.unless) if condition)
        return one


class Fuse(Struct, frozen=True):
    """The models of a stream are heard as one: a weighted mean of their scores, before anything is decided.

    Attributes
    ----------
    weights
        Of each of the stream's models; equal where there are none.
    """

    weights: tuple[Annotated[float, Meta(ge=0, le=1e6)], ...] = ()

    def __post_init__(self) -> None:
        """Refuse to hear nobody."""
        if self.weights and not any(self.weights):
            raise ValueError("Expected a weight above 0 under `weights`, got only 0")


class Stream(Struct, frozen=True):
    """One stream of events: a source, or a channel of one, and what listens to it.

    Attributes
    ----------
    name
        In topics and events; made from the source where empty.
    source
        ``mic:`` (the default device), ``mic:usb:0d8c:0014`` or ``mic:card:Device`` (stable identities), a device name
        or index, a sound file, ``-`` or a URL. ``${NAME}`` stands for a variable of the environment, ``${file:PATH}``
        for the content of a file: the places for passwords.
    model
        Name of a built-in or added model, or a model folder; several as a list. Streams share what they can.
    engine, precision
        Inference runtime and file to prefer; chosen by what is installed where empty.
    fuse
        The models, of the same classes, are one: see `Fuse`. The first one's decision rules hold.
    second
        A model that listens only when these give it cause.
    channel
        ``mix`` or the index of one channel; streams that name the same source share one capture of it.
    realtime
        Files at the speed of sound instead of as fast as they can.
    pcm
        Format of raw standard input, ``s16le:16000:1``.
    start
        UTC of a file's first sample (RFC 3339), where the file does not say.
    gain_db, high_pass_hz
        Before anything is measured or heard: dB, and the corner of a fourth-order Butterworth high-pass; 0 for none.
        Clips are cut from what the source gave.
    decode
        Decision rules over the model card's.
    schedule
        When it is on: in any of these hours; always where there is none.
    gate
        How loud it must be to be heard.
    levels
        Measure the sound itself: a `levels` message each minute.
    calibration_db
        For `levels`: sound pressure level, dB, that makes the source's full scale (RMS 1). With a calibrator of 94 dB
        that is 94 minus the level in dB of full scale which `levels` then tells. At 0 levels are of full scale.
    chunk
        Seconds of sound that are gathered before anything is done: less wakes the processor more often. At 0 every
        block is heard as it comes; left out, the device profile tells.
    """

    name: Slug = ""
    source: str = "mic:"
    model: ModelName | Annotated[tuple[ModelName, ...], Meta(min_length=1, max_length=16)] = DEFAULT_MODEL
    engine: Engine = ""
    precision: Precision = ""
    fuse: Fuse | None = None
    second: Second | None = None
    channel: Literal["mix"] | Annotated[int, Meta(ge=0, le=255)] = "mix"
    realtime: bool = False
    pcm: str = ""
    start: str = ""
    gain_db: Annotated[float, Meta(ge=-60, le=60)] = 0.0
    high_pass_hz: Annotated[float, Meta(ge=0, le=20_000)] = 0.0
    decode: Rules = Rules()
    schedule: Annotated[tuple[Schedule, ...], Meta(max_length=100)] = ()
    gate: Gate | None = None
    levels: bool = False
    calibration_db: Annotated[float, Meta(ge=-200, le=250)] = 0.0
    chunk: Annotated[float, Meta(ge=0, le=2)] | None = None

    def __post_init__(self) -> None:
        """Refuse a fusion of one, and weights of others than its models."""
        if self.fuse and len(self.models) < 2:
            raise ValueError(f"Expected several models under `model` to fuse, got {self.model!r}")
        if self.fuse and self.fuse.weights and len(self.fuse.weights) != len(self.models):
            raise ValueError(
                f"Expected {len(self.models)} weights under `fuse`, one for each of `model`, "
                f"got {len(self.fuse.weights)}"
            )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models that always listen."""
        return (self.model,) if isinstance(self.model, str) else self.model

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """Model, engine and precision of all its models; the second stage's is the last."""
        first = tuple((name, self.engine, self.precision) for name in self.models)
        second = self.second
        return (*first, (second.model, second.engine, second.precision)) if second else first

    @property
    def rules(self) -> tuple[Rules, ...]:
        """The decision rules of each of its `wishes`."""
        return (self.decode,) * len(self.models) + ((self.second.decode,) if self.second else ())

    @property
    def stream_name(self) -> str:
        """Its name in topics and events."""
        if self.name:
            return self.name
        text = self.source.removeprefix("file:")
        if text.startswith("mic:") or text == "-":
            return slug(text.removeprefix("mic:")) if len(text) > 4 else {"mic:": "mic", "-": "stdin"}[text]
        return slug(Path(text).stem) if _exists(text) else slug(text.rpartition("@")[2])


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, or a NUL: then it is no file
        return False
