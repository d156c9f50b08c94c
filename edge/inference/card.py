"""The model card: everything a runtime must know about a model folder, human-readable, no code.

A model is a folder with a ``card.toml`` and one or more model files that compute the same function::

    esc10-s/
      card.toml   model.onnx   model.int8.onnx   model.tflite   model.int8.tflite
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.frontend.spec import FrontEndSpec

FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
TensorName = Annotated[str, Meta(min_length=1, max_length=200)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Probability = Annotated[float, Meta(ge=0, le=1)]


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the card's tables: unknown keys are refused."""


class Label(Struct, frozen=True):
    """A class with its name in a taxonomy."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scientific: str = ""
    taxonomy: str = ""


class ModelFile(Struct, frozen=True, kw_only=True):
    """One file of the folder: all files of a card have the same inputs, outputs and states."""

    name: FileName
    engine: Literal["onnx", "tflite"]
    precision: Literal["float32", "int8"] = "float32"
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Constant(Struct, frozen=True):
    """A further input that is fed the same value at every step (Silero's sample rate)."""

    tensor: TensorName
    value: float | list[float]
    dtype: Literal["float32", "int32", "int64"] = "float32"


class Input(Struct, frozen=True, kw_only=True):
    """What the graph is fed.

    Attributes
    ----------
    kind
        ``features``: frames of the card's front end. ``waveform``: raw samples, one "frame" a sample.
    rate
        Samples per second; equals the front end's where there is one.
    tensor
        Name of the input tensor.
    layout
        Its axes: B batch = 1, T time, F features, C = 1 channel; ``BTF``, ``BFTC``, ``BCTF``, ``BT`` …
    context
        Frames of the past put before each chunk (Silero's 64 samples); zeros at reset.
    constants
        Further inputs of constant value.
    """

    kind: Literal["features", "waveform"] = "features"
    rate: Annotated[int, Meta(ge=1000, le=768_000)]
    tensor: TensorName
    layout: Annotated[str, Meta(pattern=r"^[BTFC]{1,4}$")] = "BTF"
    context: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    constants: list[Constant] = []


class State(Struct, frozen=True):
    """A tensor fed back from step to step: ``next.X`` of one step is ``past.X`` of the next one."""

    input: TensorName
    output: TensorName
    shape: list[Annotated[int, Meta(ge=1, le=1_000_000)]]
    dtype: Literal["float32", "int32", "int64", "int8"] = "float32"
    initial: float = 0.0


class Stateful(Struct, frozen=True, tag_field="mode", tag="stateful"):
    """One step a chunk, with carried state.

    Attributes
    ----------
    chunk
        Frames fed per step (samples for a waveform).
    rate
        Frames per score; divides `chunk`.
    grain
        Frames in which scores come: a multiple of `rate`, and equal to it unless scores are finer than what the network
        hears at once. An unfinished grain at the end of a piece gives no score.
    delay
        Scores by which the output runs late: the first `delay` scores after a reset are dropped, and as many steps of
        silence as needed are fed at a flush.
    states
        The carried tensors.
    position
        Optional integer input: frames fed before this step, counted from the reset.
    end
        Optional integer input: how many frames the piece has; the largest number its type holds until a flush tells.
        A network with lookahead masks with it what lies behind the end.
    """

    chunk: Annotated[int, Meta(ge=1, le=1_000_000)]
    rate: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    grain: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    delay: Annotated[int, Meta(ge=0, le=100_000)] = 0
    states: Annotated[list[State], Meta(max_length=512)] = []
    position: Annotated[str, Meta(max_length=200)] = ""
    end: Annotated[str, Meta(max_length=200)] = ""


class Window(Struct, frozen=True, tag_field="mode", tag="window"):
    """A window that slides over the frames.

    Attributes
    ----------
    length, hop
        In frames (samples for a waveform).
    normalise
        Per window: ``none``, ``peak`` (÷ largest magnitude), ``minmax`` (to 0 … 1).
    """

    length: Annotated[int, Meta(ge=1, le=10_000_000)]
    hop: Annotated[int, Meta(ge=1, le=10_000_000)]
    normalise: Literal["none", "peak", "minmax"] = "none"


class LastLayer(Struct, frozen=True, kw_only=True):
    """A last layer that was fitted to a place; see `edge.inference.layer` for its file.

    Attributes
    ----------
    name, sha256
        Of the file.
    of
        The model that it corrects, ``name@version``.
    fitted_on
        What it was fitted on, in words.
    labels
        The classes that it was fitted for.
    """

    name: FileName
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    of: str
    fitted_on: str
    labels: list[str]


class Output(Struct, frozen=True):
    """What comes out.

    Attributes
    ----------
    scores
        Tensor of ``[1, T, C]`` frame scores or ``[1, C]`` clip scores.
    kind
        ``frame``: one row of scores per `rate` frames of a chunk or spread evenly over a window.
        ``clip``: one row per chunk or window.
    activation
        ``probabilities`` as they are; ``sigmoid`` / ``softmax`` are applied by the runtime to logits.
    clip
        Optional tensor of ``[1, C]`` running clip scores beside frame scores.
    embedding
        Optional tensor of ``[1, D]`` or ``[1, T, D]``.
    layer
        A last layer fitted to a place, which corrects the scores by the embedding.
    """

    scores: TensorName
    kind: Literal["frame", "clip"] = "frame"
    activation: Literal["probabilities", "sigmoid", "softmax"] = "probabilities"
    clip: str = ""
    embedding: str = ""
    layer: LastLayer | None = None


class Viterbi(Struct, frozen=True, kw_only=True):
    """Sounding or not, as the most likely path of a chain of two states (card 14).

    Attributes
    ----------
    event, pause
        How long each state lasts on average: a frame leaves it with a probability of its length over this, at most ½.
    lag
        Each frame is decided by the most likely path to `lag` seconds behind it: nearly always that of the whole
        recording, and exactly that where either state has become certain by then.
    """

    event: Seconds
    pause: Seconds
    lag: Seconds = 1.0


class Rule(Struct, frozen=True):
    """Decision rule of one class; what is not given comes from the card's default."""

    on: Probability | None = None
    off: Probability | None = None
    clip_on: Probability | None = None
    clip_ahead: Seconds | None = None
    clip_events: bool | None = None
    rescale: Seconds | None = None
    mean: Seconds | None = None
    viterbi: Viterbi | None = None
    median: Seconds | None = None
    min_duration: Seconds | None = None
    merge_gap: Seconds | None = None
    dip: Probability | None = None


class Decode(Struct, frozen=True):
    """Decision rules in seconds of audio: defaults and per-class overrides.

    Scores go through the clip gate, rescaling, moving average, Viterbi and median, in this order and as far as they are
    given (`edge.decode.chain`), then through the thresholds.

    Attributes
    ----------
    on, off
        An event needs a score ≥ `on` and extends both ways while scores stay ≥ `off`. With `viterbi`, `on` is the score
        that speaks for neither state, and the path alone decides.
    clip_on, clip_ahead
        Scores of frames are 0 where no clip score of the class reaches `clip_on` from then to `clip_ahead` seconds
        later (card 19); 0 for no gate. The model needs clip scores; `clip_ahead` is best the window that they pool.
    clip_events
        Events are as long as the clips that have the class (card 43): a frame's score is the mean clip score of the
        windows of `clip_ahead` seconds that hold it. `clip_on` and all smoothing mean nothing then.
    rescale
        The least and the largest score of so many seconds before become 0 and 1 (card 12); 0 for none. It stretches
        noise as well: use it behind a clip gate.
    mean
        Width of a moving average over scores, seconds (card 12); 0 for none.
    viterbi
        Durations of a two-state chain; None for none.
    median
        Width of the median filter over scores, seconds; 0 for none.
    merge_gap
        Events of a class at most this far apart are one.
    min_duration
        Shorter events are dropped (after merging).
    dip
        An event ends, and the next one begins, where the score fell below this share of the lower one of the peaks on
        both sides: calls that touch. 0 for never. It is known once the score has risen again.
    states
        The classes are states, one of which always holds: the one of the highest score, where that reaches `on`. Only a
        change is told, once the new state has been the highest for `min_duration` of sound that was judged; `off`,
        `dip` and `merge_gap` mean nothing then (`edge.decode.states`).
    ignore
        Labels that never make events (``background``).
    labels
        Overrides by label; of states, only of `on` and `min_duration`.
    """

    on: Probability = 0.5
    off: Probability = 0.3
    clip_on: Probability = 0.0
    clip_ahead: Seconds = 0.0
    clip_events: bool = False
    rescale: Seconds = 0.0
    mean: Seconds = 0.0
    viterbi: Viterbi | None = None
    median: Seconds = 0.0
    min_duration: Seconds = 0.0
    merge_gap: Seconds = 0.0
    dip: Probability = 0.0
    states: bool = False
    ignore: list[str] = []
    labels: dict[str, Rule] = {}


class Card(Struct, frozen=True, kw_only=True):
    """A validated ``card.toml``."""

    format: Literal[1]
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+-]{1,40}$")]
    description: str = ""
    licence: str
    attribution: str = ""
    data: list[str] = []
    labels: Annotated[list[str | Label], Meta(min_length=1, max_length=20_000)]
    files: Annotated[list[ModelFile], Meta(min_length=1, max_length=32)]
    input: Input
    frontend: FrontEndSpec | None = None
    frontend_hash: str = ""
    stream: Stateful | Window
    output: Output
    decode: Decode = Decode()
    metrics: dict[str, float | str] = {}

    @property
    def named_files(self) -> list[ModelFile | LastLayer]:
        """All files of the folder that the card names."""
        return [*self.files, *([self.output.layer] if self.output.layer else [])]
