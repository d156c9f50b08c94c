import contextlib
import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import EngineError
from edge.inference import litert
from edge.inference.engine import settle
from edge.inference.litert import LiteRtEngine
from edge.inference.onnx import OnnxEngine
from edge.inference.protobuf import refuse_foreign
from edge.inference.runtimes import available, open_engine


def random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_engines_agree_with_numpy_and_with_each_other(make, tmp_path):
    engines = [
        OnnxEngine(make.window_onnx(tmp_path / "m.onnx")),
        LiteRtEngine(make.window_tflite(tmp_path / "m.tflite")),
    ]
    for seed in range(20):
        x = random((1, 4, 3), seed)
        results = [engine.run({"x": x})["y"].copy() for engine in engines]
        np.testing.assert_allclose(results[0], results[1], atol=1e-6)
        np.testing.assert_allclose(results[0][0], make.reference_window(x[0]), atol=1e-6)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_buffers_are_reused_from_run_to_run(make, tmp_path, name):
    path = {"onnx": make.window_onnx, "tflite": make.window_tflite}[name](tmp_path / f"m.{name}")
    engine = open_engine(name, path)
    first = engine.run({"x": random((1, 4, 3))})["y"]
    before = first.copy()
    assert engine.run({"x": random((1, 4, 3), 1)})["y"] is first
    assert not np.array_equal(first, before)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
@pytest.mark.parametrize("content", [b"", b"a text file, no model", b"\x08\x07\x12\xff\xff\xff\xff\x7f", bytes(4000)])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / f"bad.{name}"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        open_engine(name, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_every_truncation_is_refused(make, tmp_path, name):
    whole = {"onnx": make.window_onnx, "tflite": make.window_tflite}[name](tmp_path / f"m.{name}").read_bytes()
    path = tmp_path / f"cut.{name}"
    for size in range(0, len(whole) - 20, 23):
        path.write_bytes(whole[:size])
        with pytest.raises(EngineError):
            open_engine(name, path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(EngineError, match=r"none.onnx: cannot read the model file: No such file"):
        OnnxEngine(tmp_path / "none.onnx")


def test_a_missing_or_misshapen_feed_is_refused(make, tmp_path):
    for engine in (
        OnnxEngine(make.window_onnx(tmp_path / "m.onnx")),
        LiteRtEngine(make.window_tflite(tmp_path / "m.tflite")),
    ):
        with pytest.raises(EngineError, match="expected a value for input 'x', got none"):
            engine.run({})
        with pytest.raises(EngineError, match="could not run the graph"):
            engine.run({"x": np.zeros((1, 5, 3), np.float32)})


def test_onnx_external_data_is_refused_also_in_a_branch(make, tmp_path):
    path = make.window_onnx(tmp_path / "m.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    with pytest.raises(EngineError, match="expected all weights inside the file, got ONNX external data"):
        OnnxEngine(path)
    inner = onnx.helper.make_graph(
        [], "branch", [], [], [onnx.load(path, load_external_data=False).graph.initializer[0]]
    )
    outer = onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    graph = onnx.helper.make_graph([outer], "g", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "nested.onnx")
    with pytest.raises(EngineError, match="external data"):
        OnnxEngine(tmp_path / "nested.onnx")


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_or_refused(data):
    with contextlib.suppress(EngineError):
        refuse_foreign(data, "here")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_changed_byte_is_walked_or_refused(make, tmp_path, at, byte):
    data = bytearray(make.window_onnx(tmp_path / "m.onnx").read_bytes())
    data[at % len(data)] = byte
    with contextlib.suppress(EngineError):
        refuse_foreign(bytes(data), "here")


def test_onnx_custom_operators_are_refused(tmp_path):
    node = onnx.helper.make_node("Evil", ["x"], ["y"], domain="com.example")
    info = [onnx.helper.make_tensor_value_info(n, 1, [1]) for n in "xy"]
    graph = onnx.helper.make_graph([node], "g", info[:1], info[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("com.example", 1)]), tmp_path / "m.onnx"
    )
    with pytest.raises(EngineError, match=r"got custom ones of domain `com\.example`"):
        OnnxEngine(tmp_path / "m.onnx")


def leaky(make, folder, name):
    """state ← state / 2 + x, y = sigmoid(state)."""
    if name == "onnx":
        return make.onnx(
            folder / "m.onnx",
            {"x": (np.float32, [1, 3]), "s": (np.float32, [1, 3])},
            {"y": (np.float32, [1, 3]), "t": (np.float32, [1, 3])},
            [("Mul", ["s", "half"], ["f"]), ("Add", ["f", "x"], ["t"]), ("Sigmoid", ["t"], ["y"])],
            {"half": np.float32(0.5)},
        )
    tensors = {n: ("float32", [1, 3], None, 0, 0) for n in ("x", "s", "f", "t", "y")}
    tensors["half"] = ("float32", [1, 3], [0.5] * 3, 0, 0)
    ops = [("MUL", ["s", "half"], ["f"]), ("ADD", ["f", "x"], ["t"]), ("LOGISTIC", ["t"], ["y"])]
    return make.tflite(folder / "m.tflite", tensors, ops, {"x": "x", "s": "s"}, {"y": "y", "t": "t"})


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_carried_input_gets_what_its_output_gave(make, tmp_path, name):
    engine = open_engine(name, leaky(make, tmp_path, name))
    engine.carry({"s": "t"})
    state, xs = np.zeros((1, 3), np.float32), [random((1, 3), seed) for seed in range(9)]
    for i, x in enumerate(xs):
        np.testing.assert_allclose(engine.carried["s"], state, atol=1e-6)
        got = engine.run({"x": x})
        state = state / 2 + x
        np.testing.assert_allclose(got["y"], 1 / (1 + np.exp(-state)), atol=1e-6)
        if i == 4:  # whoever takes over puts a state of its own in
            state = random((1, 3), 77)
            engine.carried["s"][...] = state
    engine.carry({"s": "t"})
    assert not engine.carried["s"].any()
    with pytest.raises(EngineError, match="expected a value for input 'x', got none"):
        engine.run({})


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_what_cannot_be_carried_is_refused(make, tmp_path, name):
    engine = open_engine(name, leaky(make, tmp_path, name))
    with pytest.raises(EngineError, match="expected an input `s` and an output `u` to carry, got none"):
        engine.carry({"s": "u"})
    with pytest.raises(EngineError, match="an output of its own"):
        engine.carry({"s": "t", "x": "t"})
    other = open_engine(name, {"onnx": make.window_onnx, "tflite": make.window_tflite}[name](tmp_path / f"w.{name}"))
    with pytest.raises(EngineError, match=r"expected `y` as `x` is, float32\[1, 4, 3\], got float32\[1, 2\]"):
        other.carry({"x": "y"})


def test_a_quantised_state_is_carried_in_its_own_numbers(make, tmp_path):
    path = make.tflite(
        tmp_path / "m.tflite",
        {
            "s": ("int8", [1, 2], None, 0.1, 0),
            "f": ("float32", [1, 2], None, 0, 0),
            "t": ("int8", [1, 2], None, 0.2, 5),
        },
        [("DEQUANTIZE", ["s"], ["f"]), ("QUANTIZE", ["f"], ["t"])],
        {"s": "s"},
        {"t": "t"},
    )
    engine = LiteRtEngine(path)
    engine.carry({"s": "t"})
    engine.carried["s"][...] = [[1.0, -0.6]]
    engine.run({})
    np.testing.assert_allclose(engine.carried["s"], [[1.0, -0.6]], atol=1e-6)


def test_copies_are_joined_where_both_sides_lie_one_behind_another():
    memory = np.arange(24, dtype=np.float32)
    inputs, outputs = memory[:8], memory[12:20]
    (move,) = litert.merged([(inputs[:4], outputs[:4]), (inputs[4:], outputs[4:])])
    move[0][...] = move[1]
    assert memory[:8].tolist() == list(range(12, 20))
    assert len(litert.merged([(inputs[:4], outputs[4:]), (inputs[4:], outputs[:4])])) == 2


def test_states_that_move_on_to_one_another_are_copied_at_once():
    a, b, c = memory = np.array([[1.0] * 4, [2.0] * 4, [3.0] * 4], np.float32)
    for target, source in litert.merged([(a, b), (b, c)]):
        target[...] = source
    assert memory[:, 0].tolist() == [2, 3, 3]


def test_memory_that_a_graph_moves_is_found_again(make, tmp_path):
    engine = LiteRtEngine(leaky(make, tmp_path, "tflite"))
    engine.carry({"s": "t"})
    engine.run({"x": np.ones((1, 3), np.float32)})
    engine._probe = np.zeros(1, np.float32)  # as if the tensors had been elsewhere in the run before
    engine.run({"x": np.ones((1, 3), np.float32)})
    assert np.may_share_memory(engine._probe, engine._anywhere())
    np.testing.assert_allclose(engine.carried["s"], 1.5)


def test_open_axes_take_the_hint_and_unknown_outputs_are_learnt(make, tmp_path):
    path = make.onnx(
        tmp_path / "m.onnx", {"x": (np.float32, ["B", "T"])}, {"y": (np.float32, ["B", "T"])}, [("Neg", ["x"], ["y"])]
    )
    engine = OnnxEngine(path, {"x": (1, 5)})
    assert engine.inputs["x"].shape == (1, 5)
    assert engine.outputs["y"].shape == (-1, -1)
    x = random((1, 5))
    np.testing.assert_array_equal(engine.run({"x": x})["y"], -x)
    assert engine.outputs["y"].shape == (1, 5)


def test_settle_keeps_fixed_axes():
    assert settle((-1, 3), (2, 9)) == (2, 3)
    assert settle((-1, 3), None) == (1, 3)
    assert settle((-1,), (2, 9)) == (1,)


def test_quantised_ports_round_and_clip(make, tmp_path):
    path = make.tflite(
        tmp_path / "m.tflite",
        {
            "in": ("int8", [1, 4], None, 0.1, 3),
            "mid": ("float32", [1, 4], None, 0, 0),
            "out": ("int8", [1, 4], None, 0.5, -10),
        },
        [("DEQUANTIZE", ["in"], ["mid"]), ("QUANTIZE", ["mid"], ["out"])],
        {"x": "in"},
        {"y": "out"},
    )
    engine = LiteRtEngine(path)
    assert str(engine.inputs["x"]) == "float32[1, 4]"
    got = engine.run({"x": np.array([[0.26, -0.26, 100.0, -100.0]], np.float32)})["y"]
    # 0.26 → q 6 → 0.3 → 0.5 · 1; −0.26 → q 0 → −0.3 → −0.5; the ends are q = 127 → 12.4 and −128 → −13.1
    np.testing.assert_allclose(got, [[0.5, -0.5, 12.5, -13.0]], atol=1e-6)


def test_without_a_signature_tensor_names_are_used(make, tmp_path):
    tensors = {"in:0": ("float32", [1, 2], None, 0, 0), "out:0": ("float32", [1, 2], None, 0, 0)}
    ops = [("LOGISTIC", ["in:0"], ["out:0"])]
    engine = LiteRtEngine(
        make.tflite(tmp_path / "m.tflite", tensors, ops, {"x": "in:0"}, {"y": "out:0"}, signature=False)
    )
    assert list(engine.inputs) == ["in:0"]
    assert list(engine.outputs) == ["out:0"]


def test_tflite_runtime_under_numpy_2_says_what_to_install(monkeypatch):
    monkeypatch.setattr(litert, "find_spec", lambda name: None if name == "ai_edge_litert" else name)
    with pytest.raises(EngineError, match=r"tflite-runtime needs numpy 1, got numpy 2.*pip install ai-edge-litert"):
        litert.import_interpreter()


def test_no_runtime_says_what_to_install(monkeypatch):
    monkeypatch.setattr(litert, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match="no runtime for TFLite models is installed: pip install ai-edge-litert"):
        litert.import_interpreter()


def test_available_is_what_can_be_imported():
    assert available("onnx") == (importlib.util.find_spec("onnxruntime") is not None)
    assert available("tflite")


def test_a_tflite_model_runs_with_numpy_and_litert_alone(make, tmp_path):
    folder = make.window(tmp_path / "small", kinds=("tflite",))
    code = f"""
        import sys
        import numpy as np
        from edge.blocks import FeatureBlock
        from edge.inference.model import Model
        model = Model.load({str(folder)!r})
        scorer = model.stream(silence=np.zeros(3, np.float32))
        block = scorer.push(FeatureBlock("e", 0, 32, 8000, np.ones((5, 3), np.float32)))
        last = scorer.flush()
        assert block.scores.shape == (1, 2) and last.scores.shape == (1, 2)
        heavy = {{"numba", "onnxruntime", "zmq", "sounddevice", "soxr", "torch", "scipy"}} & set(sys.modules)
        assert not heavy, heavy
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_tflite_runtime_in_its_own_environment_agrees_with_litert(make, tmp_path):
    folder = make.window(tmp_path / "small", kinds=("tflite",))
    python = _environment(tmp_path / "venv")
    frames = random((40, 3))
    np.save(tmp_path / "frames.npy", frames)
    code = f"""
        import sys
        import numpy as np
        from edge.blocks import FeatureBlock
        from edge.inference.model import Model
        scorer = Model.load({str(folder)!r}).stream(silence=np.zeros(3, np.float32))
        block = scorer.push(FeatureBlock("e", 0, 32, 8000, np.load({str(tmp_path / "frames.npy")!r})))
        np.save({str(tmp_path / "scores.npy")!r}, block.scores)
        print(np.__version__, "tflite_runtime" in sys.modules, "ai_edge_litert" in sys.modules)
    """
    root = os.fspath(_root())
    done = subprocess.run(
        [python, "-c", textwrap.dedent(code)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1.")
    assert done.stdout.split()[1:] == ["True", "False"]
    windows = [make.reference_window(frames[k : k + 4]) for k in range(0, 37, 2)]
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), windows, atol=1e-6)
    engine = LiteRtEngine(folder / "model.tflite")
    here = [engine.run({"x": frames[None, k : k + 4]})["y"][0].copy() for k in range(0, 37, 2)]
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), here, atol=1e-6)


def _root():
    import edge

    return os.path.dirname(os.path.dirname(edge.__file__))


def _environment(folder):
    """A virtual environment with tflite-runtime and numpy 1."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime 2.14 has no wheel for this Python")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    packages = ["tflite-runtime==2.14", "numpy<2", "msgspec"]
    done = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install tflite-runtime here: {done.stderr.splitlines()[-1:]}")
    return python
