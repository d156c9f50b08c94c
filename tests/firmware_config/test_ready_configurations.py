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
NAMES = ("beehive", "beehive-state", "garden-birds", "garden-species", "home-sounds", "mosquito")
TAUGHT = [name for name in NAMES if name != "home-sounds"]  # by the user, or a third party
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
    assert [name for name in NAMES if read(name).clips.enabled] == ["beehive", "beehive-state"]


def test_the_home_ignores_labels_that_the_model_has_and_keeps_some():
    (stream,) = read("home-sounds").streams
    labels = set(store.load_card(store.find(stream.model)).labels)
    assert set(stream.decode.ignore) < labels
    assert {"dog_bark", "baby_cry"} <= labels - set(stream.decode.ignore)


@pytest.mark.parametrize(
    ("name", "model", "told"),
    [
        ("beehive", "hive-compact", "beehive"),
        ("beehive-state", "hive-compact", "beehive-state"),
        ("beehive-state", "hive-state", "beehive-state"),
        ("garden-birds", "bird-s", "garden-birds"),
        ("garden-species", "bird-s", "garden-birds"),
        ("mosquito", "mosquito", "mosquito"),
    ],
)
def test_the_model_is_that_of_a_recipe_and_its_bands_are_left_whole(name, model, told):
    from training import recipe

    (stream,) = read(name).streams
    chosen, text = recipe.load(model), (FOLDER / f"{told}.toml").read_text()
    assert f"wheatear train {model} " in text
    assert f"DATA/{chosen.data.folder}".rstrip("./") in text
    assert stream.high_pass_hz <= chosen.frontend.bands.low
    decode = stream.rules[[wish[0] for wish in stream.wishes].index(model)]
    keys = ("on", "off", "median", "states")
    assert all(getattr(decode, key) in (None, getattr(chosen.decode, key)) for key in keys)


def test_the_second_stages_wait_for_what_the_first_ones_are_taught_to_hear():
    from training import recipe

    bird, outside = (recipe.load(model).table()["data"] for model in ("bird-s", "hive-compact"))
    assert read("garden-species").streams[0].second.when.label == bird["label"]
    hive = read("beehive-state")
    assert hive.streams[0].second.unless.label == outside["names"][1]
    assert hive.clips.labels == (hive.streams[0].second.unless.label,)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The built-in network under the names that the configurations call: recipes have tests of their own."""
    root, source = tmp_path_factory.mktemp("models"), store.find("esc10-s")
    for stage, model in sorted({(stage, wish[0]) for name in TAUGHT for stage, wish in enumerate(wishes(name))}):
        shutil.copytree(source, root / model)
        card = tomllib.loads((source / "card.toml").read_text())
        card["name"] = model
        first = ["bee", "hive_external", "bird", *card["labels"][3:]]
        card["labels"] = [f"state {label}" for label in card["labels"]] if stage else first
        card["decode"] = {"on": 0.5, "off": 0.3} | ({} if stage else {"ignore": ["bee"]})
        (root / model / "card.toml").write_text(tomli_w.dumps(card))
    return root


def wishes(name):
    return read(name).streams[0].wishes


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
