"""What a second stage saves, on sound whose stretches are known."""

import shutil
import tomllib

import pytest
import soundfile
import tomli_w
from click.testing import CliRunner

from bench.cli import bench
from bench.result import parse
from edge.demo import RATE, scene
from edge.inference import store


@pytest.fixture
def stages(tmp_path):
    """A configuration whose second stage is the first one's network under other labels, woken by rain; six seconds."""
    source = store.find("esc10-s")
    card = tomllib.loads((source / "card.toml").read_text())
    shutil.copytree(source, tmp_path / "other")
    card |= {"name": "other", "labels": [f"other {label}" for label in card["labels"]], "decode": {}}
    (tmp_path / "other/card.toml").write_text(tomli_w.dumps(card))
    when = {"label": "rain", "above": 0.5, "before": 0.5, "hold": 0.5}
    stream = {"name": "s", "model": "esc10-s", "second": {"model": str(tmp_path / "other"), "when": when}}
    soundfile.write(tmp_path / "rain.wav", scene()[0][: 6 * RATE], RATE, subtype="FLOAT")
    return tmp_path, {"version": 2, "streams": [stream]}


def measure(folder, config):
    (folder / "c.toml").write_text(tomli_w.dumps(config))
    options = ["--config", str(folder / "c.toml"), "--sound", str(folder / "rain.wav"), "--rounds", "1", "--json"]
    return CliRunner().invoke(bench, ["second", *options])


def test_the_second_stage_hears_nothing_its_share_or_all(stages):
    found = measure(*stages)
    assert found.exit_code == 0, found.output
    (result,) = parse(found.stdout.encode()).results
    heard = {figure.row: figure.value for figure in result.figures if figure.column == "second stage heard"}
    assert (heard["first stage alone"], heard["both always"]) == (0, 100)
    assert 50 < heard["second stage as configured"] < 80  # rain from 2.0 s on, heard from 2.16 s on, and half a second
    assert all(figure.value > 0 for figure in result.figures if figure.column == "processor")


def test_a_configuration_without_a_second_stage_is_refused(stages):
    folder, config = stages
    del config["streams"][0]["second"]
    error = str(measure(folder, config).exception)
    assert error.startswith("$.streams: expected one stream with a `second`, got one without; say what")


def test_a_first_stage_of_several_models_as_one_is_refused(stages):
    folder, config = stages
    config["streams"][0] |= {"model": ["esc10-s", "wheatear-s"], "fuse": {}}
    error = str(measure(folder, config).exception)
    assert error.startswith("$.streams[0].fuse: expected a first stage of one model, got several fused ones")
