"""Every layer and head through the runtimes: chained steps, random states, two days into a stream, whole windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msgspec import structs
from torch import nn

from edge.blocks import FeatureBlock
from edge.errors import CardError
from edge.frontend.spec import Frames, FrontEndSpec, Mel
from edge.inference.card import Card, Decode, Input, ModelFile, Output, State, Stateful
from edge.inference.check import check_card, check_graph
from edge.inference.model import Model
from edge.inference.runtimes import open_engine
from export import onnx, parity, plan, quantize, tflite
from export.step import CLOCK, FOREVER, Graph, Step, Window, stream
from training.layers.activation import Activation
from training.layers.conv import Conv
from training.layers.examples import NETWORKS, build
from training.layers.excite import SqueezeExcite
from training.layers.global_mean import GlobalMeanHead
from training.layers.heads import AttentionHead, Head, MeanMaxHead
from training.layers.mean_std import MeanStdHead
from training.layers.network import Network
from training.layers.norm import ClipNorm
from training.layers.pooling import MaxPool
from training.layers.recurrent import GRU
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Residual, Sequential

TOLERANCE = 1e-5
HOURS_48 = 48 * 3600 * 50
PICKED = ["crnn", "waveform"]  # through ONNX, whose export takes seconds; `all` of them in the long test
WRITERS = {"onnx": (onnx.write, onnx.runner), "tflite": (tflite.write, tflite.runner)}


def file_of(graph: Graph, kind, folder):
    write, runner = WRITERS[kind]
    path = folder / f"m.{kind}"
    write(graph, path)
    return runner(path)


def frames_of(network, count=50, seed=0):
    return np.random.default_rng(seed).standard_normal((count, network.bands)).astype(np.float32)


def streams_as_offline(name, kind, folder):
    network = build(name)
    step, frames = Step(network), frames_of(network)
    run = file_of(step, kind, folder)
    got, steps, truth = stream(run, step, frames), stream(step.run, step, frames), parity.whole(network, frames)
    assert np.abs(got.scores - truth["scores"]).max() <= TOLERANCE
    if "clip" in truth:
        assert np.abs(got.clip - truth["clip"]).max() <= TOLERANCE
    for state, value in steps.state.items():
        scale = np.maximum(1, np.abs(value))  # M&mnet's ring holds exponentials of up to 10
        assert (np.abs(got.state[state] - value) / scale).max() <= TOLERANCE, state
    return step, run


def continues_from_anything(step, run, pos):
    """A random state chained through three steps stays equal to the network's."""
    rng = np.random.default_rng(3)
    state = {name: np.abs(rng.standard_normal(v.shape)).astype(np.float32) for name, v in step.zeros().items()}
    if isinstance(step.head, MeanMaxHead | MeanStdHead | GlobalMeanHead):
        state["past.head"][..., -1] = 1  # its ring knows heard from unheard, and nothing between
    other = dict(state)
    for i in range(3):
        frames = rng.standard_normal((step.chunk, step.bands)).astype(np.float32)
        expected = step.run(step.feeds(frames, state, pos + i * step.chunk))
        got = run(step.feeds(frames, other, pos + i * step.chunk))
        for name, value in expected.items():
            assert (np.abs(got[name] - value) / np.maximum(1, np.abs(value))).max() <= TOLERANCE, name
        state = {f"past.{name}": expected[f"next.{name}"] for name in step.shapes}
        other = {f"past.{name}": np.array(got[f"next.{name}"]) for name in step.shapes}


@pytest.mark.parametrize("name", NETWORKS)
def test_tflite_steps_equal_the_whole_clip(name, tmp_path):
    step, run = streams_as_offline(name, "tflite", tmp_path)
    continues_from_anything(step, run, 0)
    continues_from_anything(step, run, HOURS_48 * step.chunk)


@pytest.mark.parametrize("name", PICKED)
def test_onnx_steps_equal_the_whole_clip(name, tmp_path):
    step, run = streams_as_offline(name, "onnx", tmp_path)
    continues_from_anything(step, run, 0)
    continues_from_anything(step, run, HOURS_48 * step.chunk)


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_steps_of_every_layer_equal_the_whole_clip(name, tmp_path):
    step, run = streams_as_offline(name, "onnx", tmp_path)
    continues_from_anything(step, run, HOURS_48 * step.chunk)


@pytest.mark.parametrize("name", NETWORKS)
def test_tflite_windows_equal_the_whole_clip(name, tmp_path):
    graph = Window(build(name), 24)
    feed = graph.feeds(frames_of(graph, 24), {})
    expected, got = graph.run(feed), file_of(graph, "tflite", tmp_path)(feed)
    assert set(got) == set(expected)
    for output, value in expected.items():
        assert got[output].shape == value.shape
        assert np.abs(got[output] - value).max() <= TOLERANCE, output


def test_what_cannot_stream_is_exported_as_a_window(tmp_path):
    torch.manual_seed(0)
    body = Sequential(ClipNorm(), Conv((1, 4), (3, 3)), BandsToChannels(), GRU(16, 3, bidirectional=True))
    network = Network(body, Head(nn.Linear(6, 2)), 4).eval()
    with pytest.raises(ValueError, match=r"layer `layers\.0` \(ClipNorm\): normalises by the whole clip.*window mode"):
        Step(network)
    graph = Window(network, 20)
    feed = graph.feeds(frames_of(network, 20), {})
    got = file_of(graph, "onnx", tmp_path)(feed)
    assert np.abs(got["scores"] - graph.run(feed)["scores"]).max() <= TOLERANCE
    with pytest.raises(TypeError, match="no TFLite translation for ClipNorm; export ONNX"):
        tflite.write(graph, tmp_path / "m.tflite")


def test_a_chunk_that_the_strides_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="chunk: expected a multiple of the 2 frames that the time strides ask for"):
        Step(build("crnn"), 3)


def test_only_networks_that_look_ahead_have_a_clock():
    assert Step(build("conv, prompt")).inputs[:2] == ["features", "past.layers.0"]
    assert tuple(Step(build("tcn")).inputs[1:3]) == CLOCK


@pytest.fixture(scope="module")
def late_model(tmp_path_factory):
    """A model folder of a network that looks ahead, strides and pools, and the network."""
    folder = tmp_path_factory.mktemp("late")
    torch.manual_seed(2)
    body = Sequential(
        Conv((1, 4), (5, 3), lookahead="same", activation="none"),
        Activation("silu"),
        MaxPool((2, 2)),
        Residual(Conv((4, 4), (3, 3), lookahead="same")),
        SqueezeExcite(4, 2),
        BandsToChannels(),
        GRU(32, 6),
    )
    network = Network(body, AttentionHead(nn.Linear(6, 3), 10), 16).eval()
    step = Step(network, 4)
    tflite.write(step, folder / "model.tflite")
    onnx.write(step, folder / "model.onnx")
    frames = frames_of(network, 80)
    kinds = {path: "int8" for path, module in step.named_modules() if isinstance(module, Conv)}
    feeds = stream(step.run, step, frames, 1).feeds
    quantize.tflite(folder / "model.tflite", folder / "model.int8.tflite", feeds, kinds)
    return folder, network, step


def card_of(step, **changes):
    spec = FrontEndSpec(16_000, Frames(512, 320), Mel(16))
    at = step.timeline
    mode = {
        "chunk": step.chunk,
        "rate": at.rate,
        "delay": at.delay,
        "states": [State(f"past.{name}", f"next.{name}", shape) for name, shape in step.shapes.items()],
        "position": CLOCK[0],
        "end": CLOCK[1],
    }
    return Card(
        format=1,
        name="late",
        version="1",
        licence="Apache-2.0",
        labels=["a", "b", "c"],
        files=[ModelFile(name="model.tflite", engine="tflite", sha256="0" * 64)],
        input=Input(rate=16_000, tensor="features"),
        frontend=spec,
        frontend_hash=spec.hash,
        stream=Stateful(**mode | changes),
        output=Output("scores", clip="clip", embedding="embedding"),
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_the_devices_scorer_runs_lookahead_strides_and_pooling_over_a_gap(late_model, kind):
    folder, network, step = late_model
    card = card_of(step)
    check_card(card, "late")
    engine = open_engine(kind, folder / f"model.{kind}")
    check_graph(card, engine, "late")
    assert parity.through_a_gap(Model(card, engine), network, frames_of(network, 101)) <= TOLERANCE


@pytest.mark.parametrize("name", ["transposed, late", "transposed same, prompt"])
@pytest.mark.parametrize("count", [100, 101, 102, 103])
def test_scores_finer_than_the_grain_end_where_the_network_ends(tmp_path, name, count):
    network = build(name)
    step = Step(network, 4)
    at = step.timeline
    assert at.grain > at.rate
    tflite.write(step, tmp_path / "model.tflite")
    spec = FrontEndSpec(16_000, Frames(512, 320), Mel(network.bands))
    clocks = {"position": CLOCK[0], "end": CLOCK[1]} if step.clocked else {"position": "", "end": ""}
    card = structs.replace(
        card_of(step, grain=at.grain, **clocks), frontend=spec, frontend_hash=spec.hash, output=Output("scores")
    )
    check_card(card, "fine")
    engine = open_engine("tflite", tmp_path / "model.tflite")
    check_graph(card, engine, "fine")
    assert parity.through_a_gap(Model(card, engine), network, frames_of(network, count)) <= TOLERANCE


def test_a_network_on_raw_samples_runs_on_the_device(tmp_path):
    network = build("waveform")
    step = Step(network, 160)
    tflite.write(step, tmp_path / "model.tflite")
    features = card_of(step)
    card = structs.replace(
        features, input=Input(kind="waveform", rate=16_000, tensor="features"), frontend=None, frontend_hash=""
    )
    check_card(card, "waveform")
    engine = open_engine("tflite", tmp_path / "model.tflite")
    check_graph(card, engine, "waveform")
    assert parity.through_a_gap(Model(card, engine), network, frames_of(network, 1003)) <= TOLERANCE


def test_clip_scores_of_the_devices_scorer_are_those_of_the_window(late_model):
    folder, network, step = late_model
    frames = frames_of(network, 40)
    scorer = Model(card_of(step), open_engine("tflite", folder / "model.tflite")).stream(frames[-1])
    block = scorer.push(FeatureBlock("e", 0, 320, 16_000, frames))
    rest = scorer.flush()
    clip = np.concatenate([block.clip, rest.clip])
    assert np.abs(clip - parity.whole(network, frames)["clip"]).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 8}, r"late: `input\.tensor` must be `features` float32\[1, 4, 16\] as in the graph"),
        ({"rate": 1}, r"late: `stream\.chunk / stream\.rate` must be 2: scores are float32\[1, 2, 3\], got 4"),
        ({"position": ""}, r"late: `input` must be a value for every input of the graph, got none for `clock\.pos`"),
        ({"end": "clock.stop"}, r"late: `stream\.end` must be an input of the graph, got `clock\.stop`"),
    ],
)
def test_a_card_that_does_not_fit_its_graph_is_refused(late_model, change, message):
    folder, _, step = late_model
    with pytest.raises(CardError, match=message):
        check_graph(card_of(step, **change), open_engine("tflite", folder / "model.tflite"), "late")


@pytest.mark.parametrize(
    ("grain", "message"),
    [
        (3, r"late: `stream\.grain` must be a multiple of stream\.rate = 2, got 3"),
        (8, r"late: `stream\.chunk` must be a multiple of stream\.grain = 8, got 4"),
    ],
)
def test_a_grain_that_does_not_fit_is_refused(late_model, grain, message):
    with pytest.raises(CardError, match=message):
        check_card(card_of(late_model[2], grain=grain), "late")


def test_a_state_of_another_shape_is_refused(late_model):
    folder, _, step = late_model
    states = [State(f"past.{name}", f"next.{name}", shape) for name, shape in step.shapes.items()]
    states[0] = State(states[0].input, states[0].output, [1, 9, 16, 1])
    with pytest.raises(CardError, match=r"`stream\.states\[0\]\.input` must be `past\.layers\.0` .* got float32\[1, 9"):
        check_graph(card_of(step, states=states), open_engine("tflite", folder / "model.tflite"), "late")


def test_a_network_with_a_clock_runs_in_int8_close_to_itself(late_model):
    folder, network, step = late_model
    frames = frames_of(network, 80)
    got = stream(tflite.runner(folder / "model.int8.tflite"), step, frames)
    assert 0 < np.abs(got.scores - parity.whole(network, frames)["scores"]).max() < 0.1


def test_values_beyond_what_was_calibrated_are_counted(late_model):
    folder, _, step = late_model
    quiet = [step.feeds(np.zeros((4, 16), np.float32), step.zeros())]
    loud = [step.feeds(np.full((4, 16), 1e3, np.float32), step.zeros())]
    assert quantize.saturations(folder / "model.int8.tflite", quiet)[0] == 0
    clipped, total = quantize.saturations(folder / "model.int8.tflite", loud)
    assert 4 * 16 <= clipped < total


def test_events_are_the_same_within_one_frame():
    from edge.decode.decoder import Detection

    def event(label, onset, offset):
        return Detection("end", label, onset, offset, 1.0, 1.0, "")

    a = [event("dog", 0, 640), event("dog", 3200, 6400), event("cat", 0, 640)]
    assert parity.agreement(a, a, 320) == 1
    assert parity.agreement(a, [event("dog", 320, 960), event("dog", 3200, 6721)], 320) == pytest.approx(1 / 3)
    assert parity.agreement([], [], 320) == 1
    assert parity.agreement(a, [], 320) == 0


def test_the_plan_counts_multiplications_states_and_waiting_by_hand():
    body = Sequential(Conv((1, 4), (3, 5), stride=(1, 2)), Conv((4, 8), (5, 1), (2, 1), lookahead="same"))
    network = Network(Sequential(body, BandsToChannels()), Head(nn.Linear(64, 2)), 16)
    step, spec = Step(network), FrontEndSpec(16_000, Frames(512, 320), Mel(16))
    first, second, *_ = plan.layers(step, spec)
    assert first.cost == 50 * 8 * 4 * 15
    assert second.cost == 25 * 8 * 8 * 4 * 5
    assert (second.rate, second.delay, second.ahead) == (2, 1, 1)
    assert (first.states, second.states) == ([[1, 2, 16, 1]], [[1, 4, 8, 4]])
    parts = plan.latency(step, spec, Decode(median=0.2, min_duration=0.1))
    assert parts["framing"] == 0.032
    assert parts["lookahead"] == pytest.approx(0.04)
    assert parts["chunk"] == pytest.approx(0.02)
    assert parts["smoothing"] == pytest.approx(0.08)  # five scores of 40 ms, two of them ahead
    assert parts["minimum duration"] == 0.1
    assert "1x4x8x4" in plan.text(step, spec, Decode())


def test_forever_is_the_largest_number_of_the_clocks_type():
    assert np.iinfo(np.int64).max == FOREVER
