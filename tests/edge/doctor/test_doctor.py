"""The doctor on real things: a sound server, sockets, models, and the command."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from bench.ports import free_ports
from edge.config import Config, Stream
from edge.doctor import program, sound
from edge.errors import WheatearError
from edge.publish.outbox import Outbox
from edge.publish.zeromq import Publisher

RATE = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.05, 2 * RATE).astype(np.float32)


def doctor(*arguments):
    command = [sys.executable, "-c", "from edge.cli import main; main()", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def found_in(done):
    return {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(
    ("samples", "level", "text", "fix"),
    [
        (NOISE, ["ok"], "-26 dBFS", ""),
        (0 * NOISE, ["fail"], "digital silence", "muted or the wrong device"),
        (0 * NOISE + np.float32(0.25), ["fail"], "stuck at 0.250", "alsamixer"),
        (np.clip(50 * NOISE, -1, 1), ["warn"], "of the samples are clipped", "lower the gain"),
        (NOISE + np.float32(0.1), ["warn"], "off zero by +0.1", "high_pass_hz = 20"),
        (NOISE / 2000, ["warn"], "hardly anything", "raise the gain"),
        (np.clip(50 * NOISE + 0.4, -1, 1), ["warn", "warn"], "clipped", "lower the gain"),
    ],
)
def test_levels(samples, level, text, fix):
    found = sound.levels("sound of mic", samples.astype(np.float32), RATE)
    assert [one.level for one in found] == level
    assert text in found[0].text
    assert fix in found[0].fix


def test_a_real_microphone_is_heard(pulse_microphone):
    pulse_microphone.play(np.tile(NOISE, 10), RATE)
    assert sound.devices().level == "ok"
    (found,) = sound.hear(Stream(source="mic:mic"), 1.5)
    assert (found.check, found.level) == ("sound of mic", "ok")


def test_a_real_microphone_that_hears_nothing(pulse_microphone):
    (found,) = sound.hear(Stream(source="mic:mic", name="hedge"), 1.0)
    assert (found.check, found.level) == ("sound of hedge", "fail")
    assert "digital silence" in found.text


def test_a_microphone_that_is_not_there(pulse_microphone):
    (found,) = sound.hear(Stream(source="mic:bat detector"), 1.0)
    assert found.level == "fail"
    assert "bat detector" in found.text
    assert "`mic`" in found.text + found.fix


def test_a_file_is_heard_too_and_a_missing_one_is_said(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", NOISE, RATE)
    assert [one.level for one in sound.hear(Stream(source=str(tmp_path / "a.wav")), 1.0)] == ["ok"]
    (found,) = sound.hear(Stream(source=str(tmp_path / "b.wav")), 1.0)
    assert found.level == "fail"


def test_the_models_load_and_are_timed():
    (found,) = program.models(Config(streams=(Stream(name="a"), Stream(name="b"))))
    assert found.check == "model wheatear-s"
    assert "2 of them" in found.text
    with pytest.raises(WheatearError, match="expected a model's name"):
        list(program.models(Config(streams=(Stream(model="unicorn"),))))


@pytest.fixture
def taken():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def test_a_port_that_somebody_has(taken):
    endpoint = f"tcp://127.0.0.1:{taken}"
    found = program.port("port events", endpoint, endpoint)
    assert (found.level, "Address already in use" in found.text) == ("fail", True)
    assert found.fix.startswith(f"ss -ltnp 'sport = :{taken}'")


def test_a_port_that_a_running_wheatear_has(taken):
    endpoint = f"tcp://127.0.0.1:{free_ports(1)}"
    assert program.port("port events", endpoint, endpoint).level == "ok"
    with Outbox(None, Publisher(endpoint, "hut"), streams=["mic"]):
        found = program.port("port events", endpoint, endpoint)
    assert (found.level, found.text) == ("ok", f"{endpoint}: a running wheatear has it")


def test_an_ipc_endpoint_needs_its_folder(tmp_path):
    assert program.port("p", f"ipc://{tmp_path}/events", "").level == "ok"
    assert program.port("p", "ipc:///no/such/folder/events", "").level == "fail"


@pytest.fixture
def config(tmp_path, taken):
    import soundfile

    soundfile.write(tmp_path / "a.wav", NOISE, RATE)

    def write(source="a.wav", port=taken):
        path = tmp_path / "sensor.toml"
        path.write_text(
            f'version = 2\n[[streams]]\nname = "hedge"\nsource = "{tmp_path / source}"\n[publish]\n'
            f'events = "tcp://127.0.0.1:{port or free_ports(1)}"\nreplay = "tcp://127.0.0.1:*"\n'
            f'[journal]\npath = "{tmp_path}/j/a.journal"\n'
        )
        return path

    return write


def test_the_command_fails_where_something_fails_and_only_there(config):
    fine = doctor("--config", config(port=0), "--seconds", "0.5", "--json")
    lines = found_in(fine)
    asked = {"configuration", "clock", "disk of journal", "port events", "model wheatear-s", "sound of hedge"}
    assert asked <= set(lines)
    assert fine.returncode == (1 if "fail" in {line["level"] for line in lines.values()} else 0)
    assert lines["sound of hedge"]["level"] == lines["port events"]["level"] == "ok"
    broken = doctor("--config", config(), "--seconds", "0.5", "--no-sound", "--json")
    assert broken.returncode == 1
    assert found_in(broken)["port events"]["level"] == "fail"
    assert "sound of hedge" not in found_in(broken)


def test_a_broken_configuration_is_a_line_not_the_end(tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text("version = 2\nwarp = 9\n")
    done = doctor("--config", path, "--no-sound")
    assert done.returncode == 1
    first = done.stdout.splitlines()[0]
    assert first.startswith("FAIL  configuration")
    assert "warp" in first
    assert "model wheatear-s" in done.stdout
    assert "Traceback" not in done.stderr
