"""Several models of a stream as one: whole streams, against an evaluation of the same recording by its files."""

import hashlib

import msgspec
import numpy as np
import onnx
import pytest
import soundfile
import soxr
import tomli_w
from onnx import TensorProto, helper, numpy_helper

from edge.config import Condition, Fuse, Rules, Second, Stream, load
from edge.errors import ConfigError
from edge.inference.card import Decode
from edge.inference.model import Model
from edge.sources.fake import FakeSource, Fault
from edge.sources.soundfile import SoundFileSource
from training.evaluation import deployed
from training.evaluation.fuse import frames
from training.metrics.events import decode, sounds

HZ = 16_000
TEXT = {"on": 0.7, "off": 0.6, "median": 0.15, "min_duration": 0.2}


def write(folder, rate, length, hop, labels=("call", "song"), **card):
    """Mean square of a window, at most 1, and what is left of 1: a model of raw samples at its own rate and step."""
    folder.mkdir()
    nodes = [
        ("Mul", ["x", "x"], ["s"]),
        ("ReduceMean", ["s"], ["m"], {"axes": [1], "keepdims": 1}),
        ("Min", ["m", "one"], ["a"]),
        ("Sub", ["one", "a"], ["b"]),
        ("Concat", ["a", "b"], ["y"], {"axis": 1}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, i, o, **(more[0] if more else {})) for op, i, o, *more in nodes],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, length])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    fields = {
        "format": 1,
        "name": folder.name,
        "version": "1",
        "licence": "CC0-1.0",
        "labels": list(labels),
        "files": [{"name": path.name, "engine": "onnx", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}],
        "input": {"kind": "waveform", "rate": rate, "tensor": "x", "layout": "BT"},
        "stream": {"mode": "window", "length": length, "hop": hop},
        "output": {"scores": "y", "kind": "clip"},
        "decode": TEXT,
    }
    (folder / "card.toml").write_text(tomli_w.dumps(fields | card))
    return str(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "fast": write(root / "fast", 16_000, 800, 800),  # 50 ms
        "odd": write(root / "odd", 22_050, 1543, 1543),  # 70 ms, nearly
        "slow": write(root / "slow", 8000, 8000, 4000),  # 1 s, every half
        "other": write(root / "other", 16_000, 800, 800, ("call", "noise")),
        "species": write(root / "species", 16_000, 8000, 4000, ("wren", "robin")),
    }


def loud(*spans, seconds=12):
    sound = 0.05 * np.random.default_rng(0).standard_normal(seconds * HZ).astype(np.float32)
    for start, stop in spans:
        sound[round(start * HZ) : round(stop * HZ)] += np.float32(0.95)
    return sound


SOUND = loud((1.02, 3.4), (5.0, 5.4), (7.3, 9.6))


def fake(samples, **options):
    return lambda key, channels, rate: FakeSource(samples, HZ, live=False, channel=channels, **options)


def stream(models, *names, weights=(), **keys):
    keys = {"decode": Rules(ignore=("song",))} | keys
    return {"name": "s", "source": "mic:x", "model": tuple(models[n] for n in names), "fuse": Fuse(weights), **keys}


def evaluated(models, names, weights, samples):
    """What the files of the models say of the recording, each by itself, fused and decided at once."""
    blocks = []
    for name in names:
        model = Model.load(models[name])
        rate = model.card.input.rate
        own = samples if rate == HZ else soxr.resample(samples, HZ, rate, "HQ")
        blocks.append(deployed.of_model(model)(own))
    labels, rules = ["call", "song"], Decode(**TEXT, ignore=["song"])
    block = frames(blocks, weights)
    return [(s.onset, s.offset) for s in sounds(decode(block, labels, rules), labels, block.rate)]


NAMES, WEIGHTS = ("fast", "odd", "slow"), (1.0, 1.0, 2.0)


@pytest.mark.parametrize("size", [331, 4096, 192_000])
def test_fused_on_the_device_it_is_what_the_evaluation_of_the_recording_says(rig, config, models, size):
    one = rig(config(stream(models, *NAMES, weights=WEIGHTS)), fake(SOUND, block=size)).run()
    assert one.error is None
    want = evaluated(models, NAMES, WEIGHTS, SOUND)
    assert len(want) == 2  # the short call is too short for the slow one, and so for all
    np.testing.assert_allclose([(e.onset_s, e.offset_s) for e in one.of("s", "end")], want, atol=1e-4)
    assert {e.model for e in one.of("s", "begin", "end")} == {"fast@1+odd@1+slow@1"}
    assert one.of("s", "gap", "health") == []


def test_weights_tell_which_of_them_is_believed(rig, config, models):
    def ends(weights):
        one = rig(config(stream(models, *NAMES, weights=weights)), fake(SOUND)).run()
        return [(e.onset_sample, e.offset_sample) for e in one.of("s", "end")]

    alone = rig(config({**stream(models, "fast"), "fuse": None}), fake(SOUND)).run()
    assert ends((1.0, 0.0, 0.0)) == [(e.onset_sample, e.offset_sample) for e in alone.of("s", "end")]
    assert len(ends((1.0, 0.0, 0.0))) == 3 > len(ends(WEIGHTS))


def test_behind_a_loss_a_piece_begins_anew_for_all_of_them(rig, config, models):
    fault = Fault("overflow", 2 * HZ, lost=3 * HZ // 2, exact=True)  # 2 s to 3.5 s are lost
    one = rig(config(stream(models, *NAMES, weights=WEIGHTS)), fake(SOUND, faults=[fault], block=800)).run()
    told = [(e.onset_s, e.offset_s, e.reason) for e in one.of("s", "end")]
    assert told[0][1:] == (2.0, "gap")
    alone = rig(config(stream(models, *NAMES, weights=WEIGHTS)), fake(SOUND)).run()
    assert told[1:] == [(e.onset_s, e.offset_s, e.reason) for e in alone.of("s", "end")][1:]


def test_a_file_is_fused_by_a_configuration(rig, models, tmp_path):
    path = tmp_path / "porch.wav"
    soundfile.write(path, SOUND, HZ, subtype="FLOAT")
    text = tomli_w.dumps(
        {
            "streams": [
                {
                    "name": "s",
                    "source": str(path),
                    "model": [models[name] for name in NAMES],
                    "fuse": {"weights": list(WEIGHTS)},
                    "decode": {"ignore": ["song"]},
                }
            ]
        }
    )
    (tmp_path / "porch.toml").write_text(text)
    source = lambda _key, channels, _rate: SoundFileSource(path, channel=channels)  # noqa: E731
    one = rig(load(tmp_path / "porch.toml"), source).run()
    want = evaluated(models, NAMES, WEIGHTS, SOUND)
    np.testing.assert_allclose([(e.onset_s, e.offset_s) for e in one.of("s", "end")], want, atol=1e-4)


def test_a_second_stage_is_woken_by_what_they_say_together(rig, config, models):
    second = Second(models["species"], when=Condition("call", 0.7, 0.5, 0.5))
    one = rig(config(stream(models, *NAMES, weights=WEIGHTS, second=second)), fake(SOUND)).run()
    status = one.status("s")
    assert (one.error, status.second) == (None, "species@1")
    assert 4.5 < status.second_samples / HZ < 8  # two calls of 2.3 s, and a second with each


def test_models_of_other_classes_are_not_fused(rig, config, models):
    one = rig(config(stream(models, "fast", "other")), fake(SOUND)).run()
    assert isinstance(one.error, ConfigError)
    assert str(one.error) == (
        "stream s: expected models of the same classes in the same order to fuse, got call, song of fast@1 and "
        "call, noise of other@1; give the other one a stream of its own"
    )


def test_without_fuse_common_classes_are_refused_and_the_way_is_told(rig, config, models):
    one = rig(config({**stream(models, "fast", "slow"), "fuse": None}), fake(SOUND)).run()
    assert "got `call` of several; fuse them (`[streams.fuse]`), or give each" in str(one.error)


@pytest.mark.parametrize(
    ("fuse", "model", "text"),
    [
        ({"weights": [1, 2]}, ["a", "b", "c"], "Expected 3 weights under `fuse`, one for each of `model`, got 2"),
        ({"weights": [1, -2]}, ["a", "b"], "Expected `float` >= 0.0 - at `$.fuse.weights[1]`"),
        ({"weights": [0, 0]}, ["a", "b"], "Expected a weight above 0 under `weights`, got only 0"),
        ({}, "a", "Expected several models under `model` to fuse, got 'a'"),
    ],
)
def test_a_fusion_that_means_nothing_is_refused(fuse, model, text):
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"model": model, "fuse": fuse}, Stream)
    assert text in str(error.value)
