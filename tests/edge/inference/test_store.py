import json
import stat

import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.errors import CardError
from edge.inference import store
from edge.inference.model import Model


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty place for the user's models and another for the built-in ones."""
    monkeypatch.setenv("WHEATEAR_MODELS", str(tmp_path / "user"))
    (tmp_path / "zoo").mkdir()
    monkeypatch.setattr(store, "built_in_folder", lambda: tmp_path / "zoo")
    return tmp_path


def invoke(*args):
    return CliRunner().invoke(cli, ["models", *map(str, args)])


def test_add_copies_the_named_files_only_and_privately(make, home):
    folder = make.window(home / "bees")
    (folder / "notes.txt").write_text("not named in the card")
    target = store.add(folder)
    assert target == home / "user" / "bees"
    assert sorted(path.name for path in target.iterdir()) == ["card.toml", "model.onnx", "model.tflite"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {0o600}
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert [path.name for path in (home / "user").iterdir()] == ["bees"]
    assert Model.load("bees").id == "bees@1"


def test_a_bad_folder_leaves_nothing_behind(make, home):
    folder = make.window(home / "bees", labels=["only one"])
    with pytest.raises(CardError, match="labels"):
        store.add(folder)
    assert list((home / "user").iterdir()) == []


def test_a_name_is_taken_once(make, home):
    folder = make.window(home / "bees")
    store.add(folder)
    with pytest.raises(CardError, match=r"`name` must be free, or --replace given"):
        store.add(folder)
    make.window(folder, version="2")
    assert Model.load(store.add(folder, replace=True)).id == "bees@2"
    assert [path.name for path in (home / "user").iterdir()] == ["bees"]


def test_built_in_names_cannot_be_shadowed(make, home):
    make.window(home / "zoo" / "bees")
    folder = make.window(home / "bees", version="evil")
    with pytest.raises(CardError, match="`name` must be another one than a built-in model's, got bees"):
        store.add(folder)
    (home / "user").mkdir()
    folder.rename(home / "user" / "bees")
    assert store.find("bees") == home / "zoo" / "bees"
    assert [(entry.name, entry.built_in) for entry in store.list()] == [("bees", True)]


def test_find_takes_names_and_folders(make, home):
    folder = make.window(home / "bees")
    assert store.find(folder) == folder
    assert store.find(str(folder)) == folder
    store.add(folder)
    with pytest.raises(CardError, match=r"expected a model's name \(bees\) or a folder with a card.toml, got 'wasps'"):
        store.find("wasps")
    with pytest.raises(CardError, match=r"expected a model folder with a card.toml, got a folder without one"):
        store.find(home)
    with pytest.raises(CardError, match="expected a model's name"):
        store.find("../no/such/folder")


def test_a_broken_model_is_listed_with_its_fault(make, home):
    folder = make.window(home / "zoo" / "bees")
    (folder / "card.toml").write_text("format = 1")
    (entry,) = store.list()
    assert entry.card is None
    assert "Object missing required field" in entry.error
    assert "unusable: bees/card.toml: Object missing required field" in invoke("list").output


def test_the_commands_do_what_they_say(make, home):
    assert "no models" in invoke("list").output
    folder = make.window(home / "bees")
    assert invoke("check", folder).output == "bees 1: card, 2 file(s) and graphs agree\n"
    assert invoke("add", folder).output == f"added bees: {home}/user/bees\n"
    assert "2 classes, 8000 Hz, windows of 0.016 s every 0.008 s" in invoke("list").output
    (entry,) = json.loads(invoke("list", "--json").output)
    assert (entry["name"], entry["built_in"], entry["labels"]) == ("bees", False, ["hum", "buzz"])
    shown = invoke("show", "bees").output
    assert "hum, buzz" in shown
    assert "model.onnx (onnx, float32)" in shown
    assert "network 0 s; rules 0 s" in shown
    assert json.loads(invoke("show", "bees", "--json").output)["stream"]["mode"] == "window"


def test_a_refusal_is_one_line_and_exit_code_2(make, home):
    folder = make.window(home / "bees", labels=["one"])
    result = invoke("check", folder)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert result.output.startswith("Error: bees/model.onnx: `labels` must be 2")
    assert invoke("show", "wasps").exit_code == 2


@pytest.mark.parametrize("command", [(), ("list",), ("show",), ("check",), ("add",)])
def test_help_has_examples(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert "wheatear models" in result.output
