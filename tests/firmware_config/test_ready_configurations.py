"""The ready configurations: each is valid, says nothing that its model does not know, and starts."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tomli_w
from click.testing import CliRunner

import firmware_config
from bench.ports import free_ports
from edge.cli import cli
from edge.config import load
from edge.inference import store

FOLDER = Path(firmware_config.__file__).parent
NAMES = ("beehive", "garden-birds", "home-sounds", "mosquito")
RATE = 22_050


def read(name):
    return load(FOLDER / f"{name}.toml")


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_good_for_the_command_that_checks_it(name):
    found = CliRunner().invoke(cli, ["config", "check", str(FOLDER / f"{name}.toml")])
    assert (found.exit_code, "good" in found.stdout) == (0, True), found.output


@pytest.mark.parametrize("name", NAMES)
def test_nobody_outside_the_device_hears_it_unless_told(name):
    config = read(name)
    assert not config.publish.allow_remote
    assert config.publish.events.startswith("tcp://127.0.0.1:")
    assert (config.mqtt.host == "127.0.0.1") == (name == "home-sounds")


def test_sound_is_kept_only_inside_the_hive():
    assert [name for name in NAMES if read(name).clips.enabled] == ["beehive"]


def test_the_home_ignores_labels_that_the_model_has_and_keeps_some():
    (stream,) = read("home-sounds").streams
    labels = set(store.load_card(store.find(stream.model)).labels)
    assert set(stream.decode.ignore) < labels
    assert {"dog_bark", "baby_cry"} <= labels - set(stream.decode.ignore)


@pytest.mark.parametrize("name", ["beehive", "garden-birds", "mosquito"])
def test_the_model_is_that_of_a_recipe_and_its_bands_are_left_whole(name):
    from training import recipe

    config = read(name)
    chosen = recipe.load(config.streams[0].model)
    assert f"wheatear train {chosen.name} " in (FOLDER / f"{name}.toml").read_text()
    assert f"DATA/{chosen.data.folder}".rstrip("./") in (FOLDER / f"{name}.toml").read_text()
    assert config.streams[0].high_pass_hz <= chosen.frontend.bands.low
    decode = config.streams[0].decode
    assert all(getattr(decode, key) in (None, getattr(chosen.decode, key)) for key in ("on", "off", "median"))


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The built-in network under the names that the configurations call: recipes have tests of their own."""
    root, source = tmp_path_factory.mktemp("models"), store.find("esc10-s")
    for name in ("beehive", "garden-birds", "mosquito"):
        model = read(name).streams[0].model
        shutil.copytree(source, root / model)
        card = tomllib.loads((source / "card.toml").read_text())
        card["name"] = model
        card["labels"] = ["bee", "nobee", *card["labels"][2:]]
        card["decode"] = {"on": 0.5, "off": 0.3, "ignore": ["bee"]}
        (root / model / "card.toml").write_text(tomli_w.dumps(card))
    return root


@pytest.fixture(scope="session")
def tone(tmp_path_factory):
    """Two seconds of a sine of amplitude 0.2: -17 dB of full scale."""
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    soundfile.write(path, 0.2 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE), RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_hears_a_file_and_tells_how_loud_it_was(name, models, tone, tmp_path, monkeypatch):
    monkeypatch.setenv("WHEATEAR_MODELS", str(models))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    port = free_ports()
    options = ["--source", str(tone), "--json", "--journal", str(tmp_path / "journal")]
    options += ["--publish", f"tcp://127.0.0.1:{port}", "--replay", f"tcp://127.0.0.1:{port + 1}"]
    found = CliRunner().invoke(cli, ["run", "--config", str(FOLDER / f"{name}.toml"), *options], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    told = [json.loads(line) for line in found.stdout.splitlines()]
    levels = [one for one in told if one["type"] == "levels"]
    assert len(levels) == read(name).streams[0].levels
    for one in levels:
        assert one["z"]["leq"] == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.2)
    ignored = {*read(name).streams[0].decode.ignore, "bee"}
    assert not [one for one in told if one["type"] in ("begin", "end") and one["label"] in ignored]
