"""Stream layers to TFLite operators, in the layout ``[1, time, frequency, channels]`` that the states already have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from export.flatbuffer import FUSED, Writer
from training.layers.activation import GLU, Activation, Product
from training.layers.conv import Conv, TransposedConv
from training.layers.dropout import Dropout
from training.layers.excite import SqueezeExcite
from training.layers.norm import BatchNorm, affine
from training.layers.patches import Patches
from training.layers.pooling import Decimate, MaxPool, Pool
from training.layers.rates import Pieces, Repeat
from training.layers.recurrent import GRU, LSTM, Recurrent
from training.layers.reshape import BandsToChannels, ChannelsToBands, FramesToChannels
from training.layers.segments import GlobalMean, Segments, WholeMaxPool
from training.layers.sru import SRU
from training.layers.streaming import Branch, Delay, Identity, Residual, Sequential, StreamLayer, Timeline, edges
from training.layers.weighted_gru import WeightedGRU
from training.layers.windowed import Windowed

Translation = Callable[["Translator", Any, int], int]
TRANSLATIONS: dict[type[StreamLayer], Translation] = {}


def translates(*kinds: type[StreamLayer]) -> Callable[[Translation], Translation]:
    """Register the translation of layers."""

    def register(function: Translation) -> Translation:
        for kind in kinds:
            if kind in TRANSLATIONS:
                raise ValueError(f"{kind.__name__}: expected one translation, got a second one")
            TRANSLATIONS[kind] = function
        return function

    return register


class Translator:
    """Walks through a network and writes its operators.

    Attributes
    ----------
    streaming
        A step with states, or else a whole window with padding.
    past, after
        State tensors by the layers' names: what comes in, what goes out.
    """

    def __init__(self, writer: Writer, streaming: bool, clock: tuple[int, int] | None, past: dict[str, int]) -> None:
        self.writer, self.streaming, self.past = writer, streaming, past
        self.after: dict[str, int] = {}
        self._clock = clock
        self._masks: dict[tuple[Any, ...], int] = {}

    def layer(self, layer: StreamLayer, x: int) -> int:
        """Write one layer and return its output.

        Raises
        ------
        TypeError
            It has no translation.
        """
        if type(layer) not in TRANSLATIONS:
            raise TypeError(
                f"layer `{layer.path}`: no TFLite translation for {type(layer).__name__}; export ONNX (--formats onnx)"
            )
        return TRANSLATIONS[type(layer)](self, layer, x)

    def remember(self, name: str, x: int, keep: int) -> int:
        """Put the state before new frames and keep the last `keep` frames of both; return both."""
        w = self.writer
        seen = w.concatenate([self.past[name], x], axis=1)
        _, frames, bands, channels = w.shape(seen)
        self.after[name] = w.slice(seen, [0, frames - keep, 0, 0], [1, keep, bands, channels], f"next.{name}")
        return seen

    def cut(self, x: int, first: int, count: int) -> int:
        """Frames ``first … first + count − 1``."""
        batch, frames, bands, channels = self.writer.shape(x)
        if (first, count) == (0, frames):
            return x
        return self.writer.slice(x, [0, first, 0, 0], [batch, count, bands, channels])

    def channels(self, x: int, first: int, count: int) -> int:
        """Channels ``first … first + count − 1``."""
        batch, frames, bands, channels = self.writer.shape(x)
        if (first, count) == (0, channels):
            return x
        return self.writer.slice(x, [0, 0, 0, first], [batch, frames, bands, count])

    def turned(self, x: int) -> int:
        """Frames from the last to the first."""
        frames = self.writer.shape(x)[1]
        return self.writer.concatenate([self.cut(x, t, 1) for t in reversed(range(frames))], axis=1)

    def masked(self, x: int, timeline: Timeline, first: int, begin: bool, end: bool, padding: float = 0.0) -> int:
        """Frames that no clip has, replaced by the padding; see `training.layers.streaming.valid`."""
        ok = self._valid(timeline, first, self.writer.shape(x)[1], begin, end)
        return self.writer.select(ok, x, self.writer.scalar(padding))

    def behind_first(self, timeline: Timeline, frame: int) -> int:
        """Whether a new frame's index is above 0, bool ``[1]``."""
        known, _ = edges(timeline, frame, 1)
        return self.writer.at_least(self._position(), self.writer.constant(1 - known.numpy()))

    def _position(self) -> int:
        if self._clock is None:
            raise TypeError("expected a graph with a clock for a layer that reads it")
        return self._clock[0]

    def _valid(self, timeline: Timeline, first: int, count: int, begin: bool, end: bool) -> int:
        known, whole = (value.numpy() for value in edges(timeline, first, count))
        key = (known.tobytes(), whole.tobytes(), begin, end)
        if key not in self._masks:
            w, position = self.writer, self._position()
            parts = [w.at_least(position, w.constant(-known))] if begin else []
            if end:
                parts.append(w.at_least(self._clock[1], w.add(position, w.constant(whole))))
            ok = parts[0] if len(parts) == 1 else w.both(*parts)
            self._masks[key] = w.reshape(ok, [1, count, 1, 1])
        return self._masks[key]


def array(value: Tensor) -> npt.NDArray[np.float32]:
    """A parameter as an array."""
    return np.ascontiguousarray(value.detach().numpy())


def dense(w: Writer, layer: nn.Linear, x: int, activation: str = "none") -> int:
    """A dense layer on the channels."""
    return w.dense(x, array(layer.weight), array(layer.bias), activation)


@translates(Sequential)
def _sequential(t: Translator, layer: Sequential, x: int) -> int:
    for inner in layer.layers:
        x = t.layer(inner, x)
    return x


@translates(Identity, Dropout)
def _nothing(t: Translator, layer: StreamLayer, x: int) -> int:  # noqa: ARG001 - every translation takes these
    return x


@translates(Residual)
def _residual(t: Translator, layer: Residual, x: int) -> int:
    y = t.layer(layer.body, x)
    x = t.layer(layer.skip, x)
    return t.writer.add(t.cut(x, 0, t.writer.shape(y)[1]), y)


@translates(Branch)
def _branch(t: Translator, layer: Branch, x: int) -> int:
    signals = [t.layer(d, t.layer(b, x)) for b, d in zip(layer.bodies, layer.delays, strict=True)]
    count = min(t.writer.shape(y)[1] for y in signals)
    signals = [t.cut(y, 0, count) for y in signals]
    if layer.join == "concatenate":
        return t.writer.concatenate(signals, axis=3) if len(signals) > 1 else signals[0]
    join = t.writer.add if layer.join == "add" else t.writer.multiply
    y = signals[0]
    for other in signals[1:]:
        y = join(y, other)
    return y


@translates(Delay)
def _delay(t: Translator, layer: Delay, x: int) -> int:
    if not (t.streaming and layer.frames):
        return x
    return t.cut(t.remember(layer.path, x, layer.frames), 0, t.writer.shape(x)[1])


def windowed(t: Translator, layer: Windowed, x: int) -> int:
    """Give the frames that a window is computed on: padded in a whole window, else with the past, and masked."""
    if not t.streaming:
        widths = [(0, 0), (layer.left, layer.right), (0, 0), (0, 0)]
        return t.writer.pad(x, widths, layer.padding) if layer.left or layer.right else x
    if not layer.past:
        return x
    mask = (layer.masks_begin, layer.masks_end)
    count = t.writer.shape(x)[1]
    if layer.clocked and not layer.padding:
        x = t.masked(x, layer.timeline, 0, *mask)
    x = t.remember(layer.path, x, layer.past)
    if layer.clocked and layer.padding:
        x = t.masked(x, layer.timeline, -layer.past, *mask, layer.padding)
    return t.cut(x, 0, layer.past + count - (layer.wait - layer.right))


@translates(Conv)
def _convolution(t: Translator, layer: Conv, x: int) -> int:
    w, conv = t.writer, layer.conv
    x = windowed(t, layer, x)
    if layer.pad or layer.top:
        x = w.pad(x, [(0, 0), (0, 0), (layer.pad, layer.pad + layer.top), (0, 0)])
    bias = np.zeros(conv.out_channels, np.float32) if conv.bias is None else array(conv.bias)
    fused = layer.activation if layer.activation in FUSED else "none"
    y = w.convolve(x, array(conv.weight), bias, conv.stride, conv.dilation, conv.groups, fused)
    return y if layer.activation in FUSED else activate(w, layer.activation, y)


@translates(TransposedConv)
def _transposed(t: Translator, layer: TransposedConv, x: int) -> int:
    count, stride, past = t.writer.shape(x)[1], layer.time_stride, layer.past if t.streaming else 0
    if t.streaming and layer.clocked:
        x = t.masked(x, layer.timeline, 0, layer.masks_begin, layer.masks_end)
    if past:
        x = t.remember(layer.path, x, past)
    y = t.writer.transpose_convolve(x, array(layer.conv.weight), array(layer.conv.bias), stride)
    return t.cut(y, past * stride if t.streaming else layer.right, count * stride)


@translates(*Pool.__subclasses__())
def _pool(t: Translator, layer: Pool, x: int) -> int:
    w, x = t.writer, windowed(t, layer, x)
    if layer.pad:
        x = w.pad(x, [(0, 0), (0, 0), (layer.pad, layer.pad), (0, 0)], layer.padding)
    y = w.pool(x, layer.kernel, layer.stride, isinstance(layer, MaxPool))
    if not (t.streaming and layer.past and layer.padding):
        return y
    seen = w.at_least(y, w.scalar(float(np.finfo(np.float32).min)))
    return w.select(seen, y, w.scalar(0.0))


@translates(Decimate)
def _decimate(t: Translator, layer: Decimate, x: int) -> int:
    x = windowed(t, layer, x)
    whole = t.writer.shape(x)[1] // layer.time_stride * layer.time_stride
    return t.writer.pool(t.cut(x, 0, whole), (1, 1), layer.stride, largest=True)


@translates(Patches)
def _patches(t: Translator, layer: Patches, x: int) -> int:
    x, alone = windowed(t, layer, x), Translator(t.writer, False, None, {})
    firsts = range(0, t.writer.shape(x)[1] - layer.time_stride + 1, layer.time_stride)
    frames = [alone.layer(layer.body, t.cut(x, first, layer.time_stride)) for first in firsts]
    return t.writer.concatenate(frames, axis=1) if len(frames) > 1 else frames[0]


@translates(BatchNorm)
def _norm(t: Translator, layer: BatchNorm, x: int) -> int:
    scale, shift = (t.writer.constant(array(value)) for value in affine(layer.norm))
    return t.writer.add(t.writer.multiply(x, scale), shift)


@translates(Activation)
def _activation(t: Translator, layer: Activation, x: int) -> int:
    return activate(t.writer, layer.name, x)


def activate(w: Writer, name: str, x: int) -> int:
    """Write an activation by name."""
    if name == "none":
        return x
    return w.multiply(x, w.sigmoid(x)) if name == "silu" else w.function(name, x)


@translates(GLU, Product)
def _glu(t: Translator, layer: GLU, x: int) -> int:
    half = t.writer.shape(x)[3] // 2
    first, second = t.channels(x, 0, half), t.channels(x, half, half)
    return t.writer.multiply(first, second if isinstance(layer, Product) else t.writer.sigmoid(second))


@translates(SqueezeExcite)
def _excite(t: Translator, layer: SqueezeExcite, x: int) -> int:
    w, order = t.writer, (0, 1, 3, 2)
    over_bands = layer.over == "bands"
    mean = w.transpose(w.mean(x, 3), order) if over_bands else w.mean(x, 2)
    gates = w.sigmoid(dense(w, layer.excite, dense(w, layer.squeeze, mean, "relu")))
    return w.multiply(x, w.transpose(gates, order) if over_bands else gates)


@translates(BandsToChannels)
def _to_channels(t: Translator, layer: BandsToChannels, x: int) -> int:  # noqa: ARG001 - every translation takes these
    batch, frames, bands, channels = t.writer.shape(x)
    return t.writer.reshape(x, [batch, frames, 1, bands * channels])


@translates(ChannelsToBands)
def _to_bands(t: Translator, layer: ChannelsToBands, x: int) -> int:
    _, frames, _, channels = t.writer.shape(x)
    return t.writer.reshape(x, [1, frames, layer.bands, channels // layer.bands])


@translates(Segments)
def _segments(t: Translator, layer: Segments, x: int) -> int:
    """Every segment of a step, or of a window, through its own copy of the operators."""
    if not isinstance(layer.body, StreamLayer):
        raise TypeError(f"layer `{layer.path}`: no TFLite translation for {type(layer.body).__name__} in segments")
    x, inner = windowed(t, layer, x), Translator(t.writer, streaming=False, clock=None, past={})
    starts = range(0, t.writer.shape(x)[1] - layer.length + 1, layer.time_stride)
    found = [inner.layer(layer.body, t.cut(x, first, layer.length)) for first in starts]
    return t.writer.concatenate(found, axis=1) if len(found) > 1 else found[0]


@translates(WholeMaxPool)
def _whole_pool(t: Translator, layer: WholeMaxPool, x: int) -> int:
    return t.writer.pool(x, layer.kernel, layer.stride, largest=True)


@translates(GlobalMean)
def _global_mean(t: Translator, layer: GlobalMean, x: int) -> int:  # noqa: ARG001 - every translation takes these
    return t.writer.mean(t.writer.mean(x, 1), 2)


@translates(FramesToChannels)
def _frames_to_channels(t: Translator, layer: FramesToChannels, x: int) -> int:
    count = layer.time_stride
    x = windowed(t, layer, x)
    _, frames, _, channels = t.writer.shape(x)
    x = t.cut(x, 0, frames // count * count)
    return t.writer.reshape(x, [1, frames // count, 1, count * channels])


@translates(Repeat)
def _repeat(t: Translator, layer: Repeat, x: int) -> int:
    w = t.writer
    batch, frames, bands, channels = w.shape(x)
    apart = w.reshape(x, [batch * frames, 1, bands, channels])
    return w.reshape(w.concatenate([apart] * layer.times, axis=1), [batch, frames * layer.times, bands, channels])


@translates(Pieces)
def _pieces(t: Translator, layer: Pieces, x: int) -> int:
    w = t.writer
    _, frames, bands, channels = w.shape(x)
    length = frames // layer.count
    cut = w.reshape(t.cut(x, 0, length * layer.count), [layer.count, length, bands, channels])
    y = t.layer(layer.body, cut)
    _, length, bands, channels = w.shape(y)
    return w.reshape(y, [1, length * layer.count, bands, channels])


@translates(GRU, LSTM, WeightedGRU)
def _recurrent(t: Translator, layer: Recurrent, x: int) -> int:
    forward = _one_way(t, layer, x, "")
    if not layer.core.bidirectional:
        return t.writer.concatenate(forward, axis=3) if len(forward) > 1 else forward[0]
    backward = [t.turned(y) for y in _one_way(t, layer, t.turned(x), "_reverse")]
    return t.writer.concatenate([y for both in zip(forward, backward, strict=True) for y in both], axis=3)


def _one_way(t: Translator, layer: Recurrent, x: int, suffix: str) -> list[int]:
    """Outputs ``[1, T, 1, hidden]`` of one direction; of a weighted unit both, as trained and weighted."""
    w, core = t.writer, layer.core
    batch, count, _, _ = w.shape(x)
    inputs, hidden, bias_i, bias_h = (
        array(getattr(core, f"{name}_l0{suffix}")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    frames, empty = w.dense(x, inputs, bias_i), w.constant(np.zeros((batch, 1, 1, core.hidden_size), np.float32))
    if isinstance(layer, WeightedGRU):
        runs = [(["h"], hidden), (["weighted"], np.float32(layer.weight) * hidden)]
    else:
        runs = [(list(layer.states), hidden)]
    outputs = []
    for states, matrix in runs:
        names = [f"{layer.path}.{name}" for name in states]
        inner, heard = [t.past[name] if t.streaming else empty for name in names], []
        for i in range(count):
            if t.streaming and layer.clocked:
                known = t.behind_first(layer.timeline, i)
                inner = [w.select(known, value, w.scalar(0.0)) for value in inner]
            gates = w.dense(inner[0], matrix, bias_h)
            cell = _lstm if isinstance(layer, LSTM) else _gru
            inner = cell(t, t.cut(frames, i, 1), gates, inner, core.hidden_size)
            heard.append(inner[0])
        if t.streaming:
            t.after |= {name: w.copy(value, f"next.{name}") for name, value in zip(names, inner, strict=True)}
        outputs.append(w.concatenate(heard, axis=1) if count > 1 else heard[0])
    return outputs


def _gru(t: Translator, frame: int, gates: int, inner: list[int], hidden: int) -> list[int]:
    return [gru_cell(t, frame, gates, inner[0], hidden)]


def gru_cell(t: Translator, frame: int, gates: int, h: int, hidden: int) -> int:
    """Next state from the frame's and the state's share of the gates, ``[…, 3 · hidden]``."""
    w = t.writer
    (ir, iz, i_new), (hr, hz, h_new) = ([t.channels(x, k * hidden, hidden) for k in range(3)] for x in (frame, gates))
    reset, update = w.sigmoid(w.add(ir, hr)), w.sigmoid(w.add(iz, hz))
    new = w.function("tanh", w.add(i_new, w.multiply(reset, h_new)))
    return w.add(new, w.multiply(update, w.subtract(h, new)))


def _lstm(t: Translator, frame: int, gates: int, inner: list[int], hidden: int) -> list[int]:
    w, total = t.writer, t.writer.add(frame, gates)
    i, f, g, o = (t.channels(total, k * hidden, hidden) for k in range(4))
    c = w.add(w.multiply(w.sigmoid(f), inner[1]), w.multiply(w.sigmoid(i), w.function("tanh", g)))
    return [w.multiply(w.sigmoid(o), w.function("tanh", c)), c]


@translates(SRU)
def _sru(t: Translator, layer: SRU, x: int) -> int:
    w, width = t.writer, layer.width
    weights, bias = array(layer.project.weight), array(layer.bias)
    biases = np.zeros(len(weights), np.float32)
    biases[width : 3 * width] = bias.ravel()
    parts = w.dense(x, weights, biases)
    forget, reset = (w.sigmoid(t.channels(parts, k * width, width)) for k in (1, 2))
    enter = w.multiply(w.subtract(w.scalar(1.0), forget), t.channels(parts, 0, width))
    through = t.channels(parts, 3 * width, width) if layer.size != width else x
    cells = []
    for k in range(2 if layer.bidirectional else 1):
        f, u = (t.channels(y, k * layer.hidden, layer.hidden) for y in (forget, enter))
        cells.append(t.turned(_scan(t, layer, t.turned(f), t.turned(u))) if k else _scan(t, layer, f, u))
    inner = w.concatenate(cells, axis=3) if len(cells) > 1 else cells[0]
    shown, passed = w.multiply(reset, w.function("tanh", inner)), w.subtract(w.scalar(1.0), reset)
    return w.add(shown, w.multiply(passed, through))


def _scan(t: Translator, layer: SRU, forget: int, enter: int) -> int:
    w, cells = t.writer, []
    batch, count, _, _ = w.shape(enter)
    inner = t.past[layer.path] if t.streaming else w.constant(np.zeros((batch, 1, 1, layer.hidden), np.float32))
    for i in range(count):
        if t.streaming and layer.clocked:
            inner = w.select(t.behind_first(layer.timeline, i), inner, w.scalar(0.0))
        inner = w.add(w.multiply(t.cut(forget, i, 1), inner), t.cut(enter, i, 1))
        cells.append(inner)
    if t.streaming:
        t.after[layer.path] = w.copy(inner, f"next.{layer.path}")
    return w.concatenate(cells, axis=1) if count > 1 else cells[0]
