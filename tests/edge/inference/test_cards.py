import re
import tomllib

import msgspec
import numpy as np
import pytest

from edge.errors import CardError, EngineError
from edge.inference import check, store
from edge.inference.card import Card
from edge.inference.model import Model, choose

HASH = re.compile(r"fe1:[0-9a-f]{64}")


def refusal(folder):
    """Text of the refusal of a folder, which is one line."""
    with pytest.raises((CardError, EngineError)) as caught:
        check.validate(store.load_card(folder), folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_good_folder_is_accepted(make, tmp_path):
    folder = make.window(tmp_path / "good")
    card = store.load_card(folder)
    check.validate(card, folder)
    assert check.label_names(card) == ["hum", "buzz"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"colour": "blue"}, "good/card.toml: Object contains unknown field `colour`"),
        ({"format": 2}, "good/card.toml: Invalid enum value 2 - at `$.format`"),
        ({"labels": []}, "good/card.toml: Expected `array` of length >= 1 - at `$.labels`"),
        ({"labels": ["hum", 3]}, "good/card.toml: Expected `str | object`, got `int` - at `$.labels["),
        ({"labels": ["hum", "hum"]}, "good/card.toml: `labels[1]` must be different from the labels before, got 'hum'"),
        ({"labels": ["hum", "=1+1"]}, "`labels[1]` must be 1 to 100 characters, no space around, no leading = + - @"),
        ({"labels": ["hum", "a\x1b[2J"]}, "`labels[1]` must be text without control characters, got 'a\\x1b[2J'"),
        ({"labels": ["hum", "a\u202eb"]}, "`labels[1]` must be text without control characters, got 'a\\u202eb'"),
        ({"labels": ["a", "b", "c"]}, "good/model.onnx: `labels` must be 2 (classes of `y`), got 3"),
        ({"name": "Good Model"}, "at `$.name`"),
        ({"input": {"rate": 16000, "tensor": "x"}}, "`input.rate` must be frontend.rate = 8000, got 16000"),
        ({"input": {"rate": 8000, "tensor": "q"}}, "`input.tensor` must be a tensor of the graph (x), got `q`"),
        (
            {"input": {"rate": 8000, "tensor": "x", "layout": "BFT"}},
            "`input.tensor` must be `x` float32[1, 4, 3] as in the graph, got float32[1, 3, 4]",
        ),
        (
            {"input": {"rate": 8000, "tensor": "x", "layout": "BTT"}},
            "`input.layout` must be each of B, T, F, C at most once, with T or F, got BTT",
        ),
        (
            {"input": {"rate": 8000, "tensor": "x", "layout": "BT"}},
            "`input.layout` must be with F for 3 of them, got BT",
        ),
        (
            {"input": {"rate": 8000, "tensor": "x", "context": 2}},
            "`input.context` must be 0 for a window, got 2",
        ),
        (
            {"input": {"rate": 8000, "tensor": "x", "constants": [{"tensor": "x", "value": 1}]}},
            "`input` must be every input tensor named once, got `x` twice",
        ),
        (
            {"input": {"rate": 8000, "tensor": "x", "constants": [{"tensor": "sr", "value": float("nan")}]}},
            "`input.constants[0].value` must be a finite number, got nan",
        ),
        (
            {"input": {"rate": 8000, "tensor": "x", "kind": "waveform"}},
            "`frontend` must be absent for a waveform model",
        ),
        ({"frontend": None}, "`frontend` must be a table for a model fed features, got none"),
        ({"frontend_hash": "fe1:" + "0" * 64}, "`frontend_hash` must be fe1:"),
        ({"frontend_hash": ""}, "`frontend_hash` must be fe1:"),
        ({"output": {"scores": "z", "kind": "clip"}}, "`output.scores` must be a tensor of the graph (y), got `z`"),
        (
            {"output": {"scores": "y", "kind": "clip", "embedding": "e"}},
            "`output.embedding` must be a tensor of the graph (y), got `e`",
        ),
        (
            {"stream": {"mode": "window", "length": 5, "hop": 2}},
            "`x` float32[1, 4, 3] as in the graph, got float32[1, 5, 3]",
        ),
        (
            {"stream": {"mode": "window", "length": 4, "hop": 5}, "output": {"scores": "y"}},
            "`stream.hop` must be at most stream.length for frame scores, got 5",
        ),
        (
            {"stream": {"mode": "window", "length": 4, "hop": 3}, "output": {"scores": "y"}},
            "`stream.hop` must be a whole number of the 1 scores of a window, got 3",
        ),
        ({"stream": {"mode": "sliding", "length": 4, "hop": 2}}, "Invalid value 'sliding' - at `$.stream.mode`"),
        (
            {"stream": {"mode": "stateful", "chunk": 5, "rate": 2}},
            "`stream.chunk` must be a multiple of stream.rate = 2, got 5",
        ),
        (
            {"stream": {"mode": "stateful", "chunk": 4}},
            "`stream.rate` must be stream.chunk = 4 for one score a chunk, got 1",
        ),
        (
            {"stream": {"mode": "stateful", "chunk": 4}, "output": {"scores": "y"}},
            "`stream.chunk / stream.rate` must be 1: scores are float32[1, 2], got 4",
        ),
        (
            {"stream": {"mode": "stateful", "chunk": 4, "rate": 4, "end": "end"}},
            "`stream.end` must be an input of the graph",
        ),
        ({"decode": {"on": 0.3, "off": 0.5}}, "`decode.off` must be at most decode.on = 0.3, got 0.5"),
        ({"decode": {"on": 1.5}}, "Expected `float` <= 1.0 - at `$.decode.on`"),
        ({"decode": {"labels": {"dog": {"on": 0.9}}}}, "`decode` must be about labels of the card, got 'dog'"),
        ({"decode": {"ignore": ["cat"]}}, "`decode` must be about labels of the card, got 'cat'"),
        (
            {"decode": {"on": 0.5, "off": 0.3, "labels": {"hum": {"on": 0.2}}}},
            "`decode.labels.hum.off` must be at most its on = 0.2, got 0.3",
        ),
        ({"metrics": {"accuracy": float("inf")}}, "`metrics.accuracy` must be a finite number, got inf"),
    ],
)
def test_a_wrong_card_is_refused_with_where_expected_and_got(make, tmp_path, fields, expected):
    if fields.get("frontend", ...) is None:
        fields = {**fields, "frontend_hash": ""}
    assert expected in refusal(make.window(tmp_path / "good", **fields))


def test_a_wrong_hash_names_the_right_one(make, tmp_path):
    text = refusal(make.window(tmp_path / "good", frontend_hash="fe1:" + "0" * 64))
    right, wrong = HASH.findall(text)
    assert wrong == "fe1:" + "0" * 64
    check.validate(store.load_card(make.window(tmp_path / "good", frontend_hash=right)), tmp_path / "good")


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b.onnx", ".hidden", "model.onnx\n"])
def test_file_names_stay_in_the_folder(make, tmp_path, name):
    folder = make.window(tmp_path / "good", kinds=("onnx",))
    card = folder / "card.toml"
    card.write_text(card.read_text().replace('"model.onnx"', '"' + name.replace("\n", "\\n") + '"'))
    text = refusal(folder)
    assert "Expected `str` matching regex" in text or "`files[0].name` must be text without control characters" in text


def test_files_are_there_plain_and_unchanged(make, tmp_path):
    folder = make.window(tmp_path / "good", kinds=("onnx",))
    model = folder / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(content + b"\0")
    assert re.search(r"`files.model.onnx.sha256` must be the file's [0-9a-f]{64}, got [0-9a-f]{64}", refusal(folder))
    model.unlink()
    assert f"`files.model.onnx` must be a file in {folder}, got none there" in refusal(folder)
    (tmp_path / "elsewhere.onnx").write_bytes(content)
    model.symlink_to(tmp_path / "elsewhere.onnx")
    assert "`files.model.onnx` must be a file of the folder itself, got a link" in refusal(folder)


def test_a_large_file_is_not_even_read(make, tmp_path, monkeypatch):
    folder = make.window(tmp_path / "good", kinds=("onnx",))
    monkeypatch.setattr(check, "MAX_MODEL_BYTES", 100)
    assert "`files.model.onnx` must be at most 100 bytes, got" in refusal(folder)


def test_a_huge_state_or_window_is_refused(make, tmp_path):
    states = [{"input": f"i{k}", "output": f"o{k}", "shape": [1_000_000, 1000]} for k in range(2)]
    stream = {"mode": "stateful", "chunk": 4, "rate": 4, "states": states}
    assert "`stream.states` must be at most 67108864 numbers in all" in refusal(
        make.window(tmp_path / "a", stream=stream)
    )
    stream = {"mode": "window", "length": 10_000_000, "hop": 1}
    folder = make.window(
        tmp_path / "b", stream=stream, frontend={**make.frontend, "bands": {"kind": "mel", "count": 30}}
    )
    assert "`input` must be at most 67108864 numbers a step, got 300000000" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"shape": [1, 2, 3]},
            "`stream.states[0].input` must be `past.x` float32[1, 1, 3] as in the graph, got float32[1, 2, 3]",
        ),
        (
            {"dtype": "int64"},
            "`stream.states[0].input` must be `past.x` float32[1, 1, 3] as in the graph, got int64[1, 1, 3]",
        ),
        ({"input": "h"}, "`stream.states[0].input` must be a tensor of the graph (end, frames, past.x, pos), got `h`"),
        ({"output": "h"}, "`stream.states[0].output` must be a tensor of the graph (next.x, scores), got `h`"),
        ({"output": "scores"}, "`stream.states[0].output` must be `scores` float32[1, 4, 3] as in the graph"),
    ],
)
def test_states_must_be_the_graphs(make, tmp_path, change, expected):
    state = {"input": "past.x", "output": "next.x", "shape": [1, 1, 3], **change}
    stream = {"mode": "stateful", "chunk": 4, "delay": 1, "states": [state], "position": "pos", "end": "end"}
    assert expected in refusal(make.lookahead(tmp_path / "s", stream=stream))


def test_every_input_of_the_graph_must_be_fed(make, tmp_path):
    stream = {"mode": "stateful", "chunk": 4, "position": "pos", "end": "end"}
    text = refusal(make.lookahead(tmp_path / "s", stream=stream))
    assert "`input` must be a value for every input of the graph, got none for `past.x`" in text


def test_constants_must_fit(make, tmp_path):
    constants = [{"tensor": "end", "value": [1, 2], "dtype": "int64"}]
    state = {"input": "past.x", "output": "next.x", "shape": [1, 1, 3]}
    stream = {"mode": "stateful", "chunk": 4, "delay": 1, "states": [state], "position": "pos"}
    source = {"rate": 8000, "tensor": "frames", "constants": constants}
    text = refusal(make.lookahead(tmp_path / "s", stream=stream, input=source))
    assert "`input.constants[0].value` must be 1 numbers, got 2" in text
    source["constants"] = [{"tensor": "end", "value": 1}]
    text = refusal(make.lookahead(tmp_path / "s", stream=stream, input=source))
    assert "`input.constants[0]` must be `end` int64[] as in the graph, got float32[]" in text


def test_several_score_rows_are_no_clip_score(make, tmp_path):
    stream = {"mode": "stateful", "chunk": 4, "rate": 4, "position": "pos", "end": "end"}
    stream["states"] = [{"input": "past.x", "output": "next.x", "shape": [1, 1, 3]}]
    text = refusal(make.lookahead(tmp_path / "s", stream=stream, output={"scores": "scores", "kind": "clip"}))
    assert "`output.kind` must be frame: `scores` is float32[1, 4, 3], got clip" in text


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe\x00", b"a = 1\na = 2", b"x = " + b"[" * 5000])
def test_a_card_that_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "card.toml").write_bytes(content)
    with pytest.raises(CardError, match=r"card.toml: expected TOML in UTF-8, got something else"):
        store.load_card(tmp_path)


def test_a_card_that_is_missing_linked_or_large_is_refused(make, tmp_path, monkeypatch):
    with pytest.raises(CardError, match=r"`card.toml` must be a file in .*, got none there"):
        store.load_card(tmp_path)
    folder = make.window(tmp_path / "good", kinds=("onnx",))
    (tmp_path / "card.toml").symlink_to(folder / "card.toml")
    with pytest.raises(CardError, match=r"must be a file of the folder itself, got a link"):
        store.load_card(tmp_path)
    monkeypatch.setattr(store, "MAX_CARD_BYTES", 10)
    with pytest.raises(CardError, match=r"must be at most 10 bytes, got"):
        store.load_card(folder)


def test_the_file_is_chosen_by_wish_then_float_then_tflite(make, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "many"
    folder.mkdir()
    make.window_onnx(folder / "model.int8.onnx")
    make.window_tflite(folder / "model.int8.tflite")
    card = store.load_card(make.window(folder))
    assert choose(card).name == "model.tflite"
    assert choose(card, engine="onnx").name == "model.onnx"
    assert choose(card, precision="int8").name == "model.int8.tflite"
    assert choose(card, "onnx", "int8").name == "model.int8.onnx"
    monkeypatch.setattr("edge.inference.model.available", lambda name: name == "onnx")
    assert choose(card).name == "model.onnx"
    assert "no runtime for model.tflite is installed (pip install ai-edge-litert)" in caplog.text
    with pytest.raises(EngineError, match=r"no runtime for model.tflite is installed: pip install ai-edge-litert"):
        choose(card, engine="tflite")


def test_a_wish_that_the_card_cannot_fulfil_lists_its_files(make, tmp_path):
    folder = make.window(tmp_path / "one", kinds=("onnx",))
    with pytest.raises(CardError, match=r"one of its files \(onnx float32\), got a wish for tflite int8"):
        Model.load(folder, engine="tflite", precision="int8")


def test_a_changed_file_is_not_run(make, tmp_path):
    folder = make.window(tmp_path / "one", kinds=("onnx",))
    make.window_onnx(folder / "model.onnx", length=5)
    with pytest.raises(CardError, match="sha256"):
        Model.load(folder)


def test_silence_is_the_front_ends(make, tmp_path):
    model = Model.load(make.window(tmp_path / "one", kinds=("onnx",)))
    np.testing.assert_array_equal(model.silence, np.zeros(3))  # power, linear: silence is nothing
    assert (model.id, model.spec.count) == ("one@1", 3)


def test_the_card_survives_json(make, tmp_path):
    card = store.load_card(make.lookahead(tmp_path / "s"))
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card
    assert tomllib.loads((tmp_path / "s" / "card.toml").read_text())["stream"]["mode"] == "stateful"
