"""The container file: its instructions, its user, and that what it copies and calls is there."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

import firmware_config
from edge.cli import cli

ROOT = Path(firmware_config.__file__).parent.parent
KNOWN = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"}


def instructions():
    text = (ROOT / "firmware_config/Containerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def of(name):
    return [rest for one, rest in instructions() if one == name]


def test_it_is_made_of_instructions():
    assert {name for name, _ in instructions()} == KNOWN | {"ENTRYPOINT", "CMD"}
    assert instructions()[0][0] == "ARG"


def test_it_ends_as_a_user_without_rights():
    names = [name for name, _ in instructions()]
    assert of("USER") == ["wheatear"]
    assert "useradd --system" in of("RUN")[1]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_what_it_copies_is_there():
    copied = [rest.split()[0] for rest in of("COPY") if not rest.startswith("--from")]
    assert copied
    assert all((ROOT / path).exists() for path in copied)


def test_what_it_calls_is_a_command():
    run = json.loads(of("CMD")[0])
    assert json.loads(of("ENTRYPOINT")[0]) == ["wheatear"]
    for command in (run, ["warm"]):
        shown = CliRunner().invoke(cli, [command[0], "--help"])
        assert shown.exit_code == 0
        assert all(option in shown.output for option in command if option.startswith("--"))


def test_its_folders_are_those_that_it_may_write():
    places = dict(word.split("=", 1) for word in of("ENV")[0].split())
    volumes = json.loads(of("VOLUME")[0])
    assert f"{places['XDG_STATE_HOME']}/wheatear" in volumes
    assert places["NUMBA_CACHE_DIR"].startswith(f"{places['XDG_CACHE_HOME']}/wheatear/")
    assert f"{places['XDG_CACHE_HOME']}/wheatear" in volumes
