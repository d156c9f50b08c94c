"""`wheatear config` and `wheatear warm`, as typed."""

import json
import tomllib

import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.config import load


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sensor.toml"


def wheatear(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_a_good_file(path):
    path.write_text("version = 2\n[[streams]]\nname = 'a'\n[[streams]]\nname = 'b'")
    result = wheatear("config", "check", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: good; streams: a, b\n")


def test_an_old_file_is_said_to_be_old(path):
    path.write_text("stream = 'a'")
    assert "of version 1, which is still read" in wheatear("config", "check", path).stdout


def test_every_problem_has_its_line(path):
    path.write_text("[[streams]]\nsorce = 'a'\nchannel = -1\n[journal]\nkeep = 3")
    result = wheatear("config", "check", path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 3
    assert all(line.startswith(f"{path}: ") for line in result.stderr.splitlines())


def test_what_is_shown_can_be_loaded_again_and_tells_no_password(path, tmp_path):
    path.write_text("source = 'rtsp://me:secret@cam/1'\nstream = 's'\n[decode]\non = 0.5")
    shown = wheatear("config", "show", path).stdout
    assert "secret" not in shown
    again = tmp_path / "again.toml"
    again.write_text(shown)
    assert load(again).streams[0].decode == load(path).streams[0].decode
    assert tomllib.loads(shown)["version"] == 2
    assert wheatear("config", "show").exit_code == 0


def test_the_schema_knows_the_keys():
    schema = json.loads(wheatear("config", "schema").stdout)
    assert {"version", "streams", "publish"} <= schema["$defs"]["Config"]["properties"].keys()


def test_warm_compiles_for_the_models_of_a_configuration(path):
    path.write_text("version = 2\n[[streams]]\nname = 'a'\n[[streams]]\nname = 'b'\nsource = 'x'")
    result = wheatear("warm", "--config", path)
    assert (result.exit_code, result.stdout) == (0, "wheatear-s@1.1.0 is ready\n")
    path.write_text("model = 'no-such-model'")
    assert wheatear("warm", "--config", path).exit_code == 2
