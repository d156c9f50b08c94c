"""The command as a user runs it: real files, pipes, signals, sockets, journals and a microphone."""

import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from bench.ports import free_ports
from edge.client import Subscriber
from edge.demo import RATE, scene

SAMPLES, TRUTH = scene()


def wheatear(*arguments, **kwargs):
    command = [sys.executable, "-c", "from edge.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture
def start():
    """Start a daemon that does not outlive the test."""
    daemons = []

    def begin(*arguments, **kwargs):
        daemons.append(_start(*arguments, **kwargs))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.kill()
        daemon.communicate()


def _start(*arguments, **kwargs):
    command = [sys.executable, "-c", "from edge.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "scene.wav"
    soundfile.write(path, SAMPLES[: 15 * RATE], RATE)
    return path


@pytest.fixture
def live(tmp_path):
    """Options of a daemon of its own."""
    port = free_ports()
    endpoint = f"tcp://127.0.0.1:{port}"
    options = ["--publish", endpoint, "--journal", tmp_path / "j" / "events.journal", "--device", "test"]
    return endpoint, options, tmp_path / "j" / "events.journal"


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def journalled(path):
    with sqlite3.connect(path) as db:
        return [json.loads(row[0]) for row in db.execute("SELECT body FROM events ORDER BY seq")]


def test_a_file_gives_its_events_and_nothing_else_on_standard_output(wav):
    result = wheatear("run", "--source", wav, "--json")
    assert result.returncode == 0, result.stderr
    events = events_of(result.stdout)
    assert {e["type"] for e in events} == {"begin", "end"}
    assert all(e["stream"] == "scene" and e["onset_utc"] is None and not e["durable"] for e in events)


def test_the_same_file_through_a_pipe_gives_the_same_events(wav):
    of_file = events_of(wheatear("run", "--source", wav, "--json", "--stream", "s").stdout)
    with wav.open("rb") as sound:
        piped = wheatear("run", "--source", "-", "--json", "--no-publish", "--stream", "s", stdin=sound)
    assert piped.returncode == 0, piped.stderr
    for event in (of_piped := events_of(piped.stdout)) + of_file:
        del event["epoch"], event["id"]
    assert of_piped == of_file


def test_raw_samples_on_standard_input(wav):
    raw = (SAMPLES[: 8 * RATE] * 32767).astype("<i2").tobytes()
    command = [sys.executable, "-c", "from edge.cli import main; main()", "run", "--source", "-", "--pcm"]
    result = subprocess.run([*command, "s16le:16000:1", "--no-publish"], input=raw, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert b"rain" in result.stdout


def test_a_start_time_gives_utc(wav):
    result = wheatear("run", "--source", wav, "--json", "--start", "2026-05-01T04:30:00Z")
    assert events_of(result.stdout)[0]["onset_utc"].startswith("2026-05-01T04:30:0")


def test_two_late_joiners_see_every_event_in_order(start, wav, live):
    endpoint, options, path = live
    daemon = start("run", "--source", wav, "--linger", "30", *options)
    assert b"rain" in daemon.stdout.readline()
    seen = []
    for _ in range(2):
        with Subscriber(endpoint, since=1, timeout=1.5) as subscriber:
            seen.append(list(subscriber))
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=20)
    assert daemon.returncode == 0
    want = [(e["seq"], e["id"], e["type"]) for e in journalled(path)]
    assert len(want) > 3
    assert [[(e.seq, e.id, e.type) for e in events] for events in seen] == [want, want]
    assert all(event.durable for events in seen for event in events)


def test_a_reader_that_goes_away_ends_a_file_and_not_a_daemon(start, tmp_path, live):
    path = tmp_path / "scene.wav"
    soundfile.write(path, SAMPLES, RATE)
    _, options, journal = live
    for more, whole in (([], False), (options, True)):
        daemon = start("run", "--source", path, "--realtime" if not more else "--json", *more)
        daemon.stdout.readline()
        daemon.stdout.close()
        assert (daemon.wait(60), b"Traceback" in daemon.stderr.read()) == (0, False)
        if whole:  # published: others go on hearing it
            assert journalled(journal)[-1]["label"] == "rooster"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_open_events_and_exits_cleanly(start, tmp_path, live, number):
    path = tmp_path / "rain.wav"
    soundfile.write(path, np.tile(SAMPLES[2 * RATE : 7 * RATE], 12), RATE)
    endpoint, options, journal = live
    daemon = start("run", "--source", path, "--realtime", "--json", *options)
    begun = json.loads(daemon.stdout.readline())
    daemon.send_signal(number)
    out, err = daemon.stdout.read(), daemon.stderr.read()  # `communicate` would miss what `readline` has read ahead
    assert (daemon.wait(20), b"Traceback" in err) == (0, False)
    assert f"test hears rain; events at {endpoint}".encode() in err
    events = [begun, *events_of(out)]
    ends = {e["id"]: e["reason"] for e in events if e["type"] == "end"}
    assert ends.keys() == {e["id"] for e in events if e["type"] == "begin"}
    assert ends[begun["id"]] == "stop"
    assert journalled(journal) == events


def test_kill_9_loses_nothing_that_was_seen_and_reuses_no_number(start, tmp_path, live):
    path = tmp_path / "rain.wav"
    soundfile.write(path, np.tile(SAMPLES[2 * RATE : 7 * RATE], 12), RATE)
    endpoint, options, journal = live
    seen = []
    with Subscriber(endpoint, since=1, timeout=15) as subscriber:
        for _ in range(2):
            daemon = start("run", "--source", path, "--realtime", "--stream", "s", *options)
            for event in subscriber:
                seen.append(event)
                if event.type == "begin":
                    break
            daemon.kill()
            daemon.communicate()
    last = wheatear("run", "--source", path, "--stream", "s", *options)
    assert last.returncode == 0, last.stderr
    kept = {(e["seq"], e["id"], e["type"]): e for e in journalled(journal)}
    assert {(e.seq, e.id, e.type) for e in seen} <= kept.keys()
    numbers = [e["seq"] for e in journalled(journal)]
    assert len(numbers) == len(set(numbers))
    ended = {e["id"]: e["reason"] for e in kept.values() if e["type"] == "end"}
    assert ended.keys() == {e["id"] for e in kept.values() if e["type"] == "begin"}
    assert [ended[e.id] for e in seen if e.type == "begin"] == ["interrupted"] * 2


def test_the_microphone(start, pulse_microphone, live):
    endpoint, options, _ = live
    daemon = start("run", "--realtime", *options, env={**os.environ, **pulse_microphone.env})
    with Subscriber(endpoint, since=1, timeout=30) as subscriber:
        pulse_microphone.play(np.tile(SAMPLES[RATE : 8 * RATE], 6), RATE)
        before = time.time_ns()
        event = next(e for e in subscriber if e.type == "begin")
        assert (event.stream, event.durable) == ("mic", True)
        assert abs(event.onset_utc_ns - before) < 20e9
        assert event.utc_uncertainty_ns < 1e9
        pulse_microphone.kill()
        before_loss = [event, *itertools.takewhile(lambda e: e.type != "lost", subscriber)]
        kinds = {kind: {e.id for e in before_loss if e.type == kind} for kind in ("begin", "end")}
        assert kinds["begin"] == kinds["end"]
        pulse_microphone.plug_in()
        assert next(e for e in subscriber if e.type == "resumed").reason
    daemon.send_signal(signal.SIGTERM)
    _, err = daemon.communicate(timeout=20)
    assert daemon.returncode == 0
    assert b"Traceback" not in err


def bad_input(tmp_path, kind):
    """Make a bad source; returns its options."""
    path = tmp_path / f"{kind}.wav"
    tone = 0.1 * np.sin(np.arange(RATE)).astype(np.float32)
    if kind == "text":
        path.write_text("this is no sound\n" * 100)
    elif kind == "truncated":
        soundfile.write(path, SAMPLES[: 8 * RATE], RATE)
        os.truncate(path, os.path.getsize(path) // 2)
    elif kind == "nan":
        tone[1234] = np.nan
        soundfile.write(path, tone, RATE, subtype="FLOAT")
    elif kind == "empty":
        soundfile.write(path, tone[:0], RATE)
    return ["--source", path]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("missing", "missing.wav"),
        ("text", "text.wav"),
        ("truncated", "truncated"),
        ("nan", "1 samples were not numbers .the first is sample 1234."),
        ("empty", "0 samples"),
    ],
)
def test_a_bad_source_is_one_line_and_exit_code_2(tmp_path, kind, text):
    result = wheatear("run", *bad_input(tmp_path, kind), "--json")
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert re.search(text, lines[0])
    assert "Traceback" not in result.stderr


def test_a_truncated_file_is_heard_as_far_as_it_goes(tmp_path):
    result = wheatear("run", *bad_input(tmp_path, "truncated"), "--json")
    assert [e["type"] for e in events_of(result.stdout) if e["label"] == "rain"] == ["begin", "end"]


def test_eight_channels_at_192_khz(tmp_path):
    path = tmp_path / "array.wav"
    slow = np.repeat(SAMPLES[2 * RATE : 5 * RATE], 12)
    soundfile.write(path, np.tile(slow[:, None], 8), 192_000)
    result = wheatear("run", "--source", path, "--json")
    assert result.returncode == 0, result.stderr
    assert wheatear("run", "--source", path, "--channel", "7", "--json").returncode == 0
    assert "0 to 7" in wheatear("run", "--source", path, "--channel", "8").stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--model", "no-such-model"], "no-such-model"),
        (["--config", "no-such.toml"], "no-such.toml"),
        (["--journal", "/proc/wheatear/events.journal", "--publish"], "/proc/wheatear"),
        (["--publish", "tcp://0.0.0.0:5999"], "will not listen"),
        (["--publish", "nonsense"], "nonsense"),
        (["--start", "yesterday"], "2025-05-01T04:30:00Z"),
        (["--channel", "left"], "channel"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(wav, options, text):
    result = wheatear("run", "--source", wav, *options)
    assert result.returncode == 2
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_occupied_port_says_who_and_what_to_do(wav, live):
    endpoint, options, _ = live
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(endpoint.rpartition(":")[2])))
        other.listen()
        result = wheatear("run", "--source", wav, *options)
    assert result.returncode == 2
    assert endpoint in result.stderr
    assert "--publish" in result.stderr


def test_a_corrupt_model_is_refused(wav, tmp_path):
    from edge.inference import store

    folder = tmp_path / "esc10-s"
    folder.mkdir()
    for file in store.find("esc10-s").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for file in folder.glob("*.*ite"):
        file.write_bytes(b"\0" * 1000)
    result = wheatear("run", "--source", wav, "--model", folder)
    assert result.returncode == 2
    assert "sha256" in result.stderr


def test_help_everywhere():
    for command in ([], ["run"], ["listen"], ["devices"], ["models"], ["models", "add"], ["schema"], ["demo"]):
        result = wheatear(*command, "--help")
        assert result.returncode == 0
        assert "Usage" in result.stdout
    assert re.fullmatch(r"wheatear \d+\.\d+\.\d+\n", wheatear("--version").stdout)


@pytest.mark.parametrize("what", ["event", "levels", "card", "config"])
def test_schemas_are_json_schemas(what):
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(json.loads(wheatear("schema", what).stdout))


def test_events_fit_their_schema(wav):
    import jsonschema

    schema = json.loads(wheatear("schema", "event").stdout)
    events = events_of(wheatear("run", "--source", wav, "--json").stdout)
    assert events
    for event in events:
        jsonschema.validate(event, schema)


def test_a_command_whose_library_is_missing_says_which_extra_brings_it():
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['wheatear', 'recipes']; from edge.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: recipes needs the package 'torch")
    assert "pip install 'wheatear[train]'" in done.stderr
    assert "Traceback" not in done.stderr
