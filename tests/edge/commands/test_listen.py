"""``wheatear listen`` as people and programs use it, in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.commands.listen import endpoint_of

PROGRAM = [sys.executable, "-c", "from edge.cli import main; main()", "listen"]


def run(*arguments):
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


def test_lines_for_people(device):
    device.start()
    device.hear("rain", "sea_waves", None)
    done = run(device.endpoint, "--from-seq", "1", "--count", "3")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"\+00:00:00\.000 +mic +begin +rain +#1", lines[0])
    assert re.fullmatch(r"\+00:00:00\.000 +mic +begin +sea_waves +#2", lines[1])
    assert re.fullmatch(r"\+00:00:00\.000 +mic +begin +#3", lines[2])
    assert len({line.index("#") for line in lines}) == 1


def test_json_lines_are_the_events(device):
    device.start()
    device.hear("rain", "wind", "rain")
    done = run(str(device.port), "--json", "--from-seq", "2", "--label", "rain", "--timeout", "1.0")
    assert (done.returncode, done.stderr) == (0, "")
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (event["seq"], event["label"], event["durable"], event["device"]) == (3, "rain", True, "hut")


def test_a_hostile_label_does_not_reach_the_terminal(device):
    device.start()
    device.hear("\x1b[2J\x1b]0;owned\x07rain\r\n\u202ekniw\x9b31m")
    for option in ((), ("--json",)):
        done = run(device.endpoint, "--from-seq", "1", "--count", "1", *option)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)
        assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["label"] == "\x1b[2J\x1b]0;owned\x07rain\r\n\u202ekniw\x9b31m"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_code_0(device, sign):
    device.start()
    device.hear("rain")
    command = [*PROGRAM, device.endpoint, "--from-seq", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as child:
        assert b"rain" in child.stdout.readline()
        child.send_signal(sign)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (0, b"", b"")


def test_each_event_is_printed_at_once(device):
    device.start()
    device.hear("rain")
    with subprocess.Popen([*PROGRAM, device.endpoint, "--from-seq", "1"], stdout=subprocess.PIPE, text=True) as child:
        assert "rain" in child.stdout.readline()  # through a pipe, and without waiting for its buffer to fill
        device.hear("wind")
        assert "wind" in child.stdout.readline()
        child.terminate()
        child.wait()


def test_nobody_there_is_an_error_of_one_line(device):
    done = run(device.endpoint, "--timeout", "0.3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: nobody publishes at {device.endpoint}: not even a heartbeat came within 0.3 s; start `wheatear run` "
        "there, or give the endpoint of its --publish, and the keys if it has any\n"
    )


def test_a_quiet_device_is_no_error(device):
    device.start()
    done = run(device.endpoint, "--timeout", "1.2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("text", ["tcp://", "host:99999", "http://example.org:80", "--from-seq=0", "--count=x"])
def test_bad_arguments_exit_2(text):
    done = CliRunner().invoke(cli, ["listen", text])
    assert done.exit_code == 2
    assert done.stdout == ""


def test_help_shows_examples():
    done = CliRunner().invoke(cli, ["listen", "--help"])
    assert done.exit_code == 0
    assert "wheatear listen sensor.local --label rain" in done.output


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sensor.local", "tcp://sensor.local:5556"),
        ("10.0.0.7:7000", "tcp://10.0.0.7:7000"),
        ("7000", "tcp://127.0.0.1:7000"),
        ("[::1]", "tcp://[::1]:5556"),
        ("[::1]:7000", "tcp://[::1]:7000"),
        ("ipc:///run/events", "ipc:///run/events"),
    ],
)
def test_short_forms_of_an_endpoint(typed, meant):
    assert endpoint_of(typed) == meant
