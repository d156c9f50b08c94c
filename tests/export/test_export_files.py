"""Every exported file computes the network: a random one, through both runtimes, in float and int8."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export import onnx, quantize, tflite
from export.flatbuffer import pack, schema, unpack
from export.step import Step, stream
from training.layers.conv import Conv
from training.layers.network import Network
from training.layers.streaming import StreamLayer
from training.models.dscnn import DSCNNSettings, dscnn
from training.models.registry import Shape

CHUNK, BANDS, CLASSES = 2, 16, 4
KINDS = {"onnx": (onnx.write, onnx.runner, quantize.onnx), "tflite": (tflite.write, tflite.runner, quantize.tflite)}


def convolutions(graph) -> list[str]:
    return [path for path, module in graph.named_modules() if isinstance(module, Conv)]


@pytest.fixture(scope="module")
def model() -> Network:
    torch.manual_seed(0)
    sizes = DSCNNSettings(stem=4, stages=[(6, 2), (6, 1)], width=8, kernel=3, dilations=[1, 2], embedding=5)
    network = dscnn(sizes, Shape(BANDS, CLASSES, 50.0))
    generator = torch.Generator().manual_seed(3)
    for name, value in network.named_buffers():
        if name.endswith("running_mean"):
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))
        if name.endswith("running_var"):
            value.copy_(0.3 + torch.rand(value.shape, generator=generator))
    network.head.classify.weight.data.mul_(12)  # scores that reach far from one half
    return network.eval()


@pytest.fixture(scope="module")
def step(model) -> Step:
    return Step(model, CHUNK)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((60, BANDS)).astype(np.float32)


@pytest.fixture(scope="module")
def truth(model, frames) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(frames)[None]).frame[0].numpy()


@pytest.fixture(scope="module")
def files(step, frames, tmp_path_factory) -> dict:
    """Float and int8 files of both kinds, calibrated on the frames."""
    folder = tmp_path_factory.mktemp("files")
    feeds = stream(step.run, step, frames, every=1).feeds
    paths = {}
    for kind, (write, _, to_int8) in KINDS.items():
        paths[kind, "float32"], paths[kind, "int8"] = folder / f"m.{kind}", folder / f"m.int8.{kind}"
        write(step, paths[kind, "float32"])
        to_int8(paths[kind, "float32"], paths[kind, "int8"], feeds, dict.fromkeys(convolutions(step), "int8"))
    return paths


def test_torch_steps_equal_the_whole_clip(step, frames, truth):
    got = stream(step.run, step, frames).scores
    assert np.abs(got - truth).max() < 1e-6
    assert np.ptp(truth) > 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_float_files_equal_the_whole_clip(files, kind, step, frames, truth):
    got = stream(KINDS[kind][1](files[kind, "float32"]), step, frames).scores
    assert np.abs(got - truth).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_a_chained_step_from_a_random_state_gives_all_the_networks_outputs(files, kind, step):
    rng = np.random.default_rng(5)
    feed = {name: rng.standard_normal(value.shape).astype(np.float32) for name, value in step.zeros().items()}
    feed["features"] = rng.standard_normal((1, CHUNK, BANDS)).astype(np.float32)
    expected, got = step.run(feed), KINDS[kind][1](files[kind, "float32"])(feed)
    assert set(got) == set(step.outputs)
    for name, value in expected.items():
        assert got[name].shape == value.shape
        assert np.abs(got[name] - value).max() < 1e-5, name


@pytest.mark.parametrize("kind", KINDS)
def test_int8_files_run_close_to_the_network_and_are_smaller_inside(files, kind, step, frames, truth):
    got = stream(KINDS[kind][1](files[kind, "int8"]), step, frames).scores
    assert np.abs(got - truth).mean() < 0.02
    assert np.abs(got - truth).max() > 0


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_onnx_files_have_float_inputs_and_outputs_of_the_cards_names_and_shapes(files, precision, step):
    import onnxruntime

    session = onnxruntime.InferenceSession(files["onnx", precision], providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == step.inputs
    assert sorted(o.name for o in session.get_outputs()) == sorted(step.outputs)
    assert {t.type for t in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}
    assert session.get_inputs()[0].shape == [1, CHUNK, BANDS]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_tflite_files_have_one_signature_with_float_tensors_of_the_same_names(files, precision, step):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(files["tflite", precision]))
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    signature = interpreter.get_signature_runner()
    inputs, outputs = signature.get_input_details(), signature.get_output_details()
    assert set(inputs) == set(step.inputs)
    assert set(outputs) == set(step.outputs)
    assert {d["dtype"] for d in (*inputs.values(), *outputs.values())} == {np.float32}


def test_int8_tflite_holds_int8_kernels(files):
    names = {0: "float32", 9: "int8"}
    graph = unpack(files["tflite", "int8"].read_bytes()).subgraphs[0]
    kinds = [names.get(t.type) for t in graph.tensors if t.shape is not None and len(t.shape) == 4]
    assert kinds.count("int8") >= 8


def test_int8_tflite_weights_have_a_scale_for_every_channel(files):
    model = unpack(files["tflite", "int8"].read_bytes())
    graph, found = model.subgraphs[0], 0
    for operator in graph.operators:
        kernel = graph.tensors[operator.inputs[1]] if len(operator.inputs) == 3 else None
        if kernel is not None and kernel.type == 9 and len(kernel.shape) == 4:
            assert len(kernel.quantization.scale) == max(kernel.shape[0], kernel.shape[3] * (kernel.shape[0] == 1))
            found += 1
    assert found >= 5


def test_a_layer_without_translation_is_named(tmp_path, model):
    class Strange(StreamLayer):
        def forward(self, x):
            return x

    step = Step(model, CHUNK)
    step.body.layers.append(Strange())
    step.body.layers[-1].path = "layers.9"
    with pytest.raises(TypeError, match=r"layer `layers\.9`: no TFLite translation for Strange"):
        tflite.write(step, tmp_path / "m.tflite")


def test_an_onnx_file_tells_nothing_about_the_machine_that_wrote_it(files):
    import onnx as format

    graph = format.load(files["onnx", "float32"]).graph
    assert not any(node.metadata_props or node.doc_string for node in graph.node)
    assert b".py" not in files["onnx", "float32"].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_alone_in_int8_are_nearly_exact_and_as_small(files, kind, step, frames, truth, tmp_path):
    write, runner, to_int8 = KINDS[kind]
    kinds = dict.fromkeys(convolutions(step), "weights")
    source, path = tmp_path / f"m.{kind}", tmp_path / f"m.int8.{kind}"
    write(step, source)
    to_int8(source, path, stream(step.run, step, frames, every=9).feeds, kinds)
    error, other = (np.abs(stream(runner(p), step, frames).scores - truth).mean() for p in (path, files[kind, "int8"]))
    assert 0 < error < other


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_the_convolutions_that_are_named_is_refused(files, kind, step, tmp_path):
    with pytest.raises(ValueError, match=rf"m\.{kind}: expected the convolutions .*, got "):
        KINDS[kind][2](files[kind, "float32"], tmp_path / "x", [], {"body.layers.99": "int8"})


def test_saturations_are_counted_in_both_kinds_of_files(files, step, frames):
    feeds = stream(step.run, step, frames, every=1).feeds
    loud = [feed | {"features": 50 * feed["features"]} for feed in feeds[:5]]
    for kind in KINDS:
        few, clipped = (quantize.saturations(files[kind, "int8"], heard) for heard in (feeds, loud))
        assert few[0] <= 1e-3 * few[1]  # a rounded zero point shifts the range by half a step
        assert 0.01 * clipped[1] < clipped[0] < clipped[1]


def test_constants_behind_the_flatbuffer_are_read():
    """As the quantiser writes models of more than 256 KiB."""
    constant = schema.BufferT()
    constant.offset = constant.size = 1
    model = schema.ModelT()
    model.buffers = [schema.BufferT(), constant]
    constant.offset, constant.size = -(-len(pack(model)) // 16) * 16, 4
    data = pack(model).ljust(constant.offset, b"\0") + bytes([3, 1, 4, 1])
    found = unpack(data).buffers[1]
    assert found.data.tolist() == [3, 1, 4, 1]
    assert unpack(pack(unpack(data))).buffers[1].data.tolist() == [3, 1, 4, 1]
