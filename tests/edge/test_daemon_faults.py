"""A daemon that is left alone: what breaks around it comes back without a restart. Real programs and sockets."""

import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from bench.ports import free_ports
from edge.client import Subscriber
from edge.config import Config, Stream
from edge.daemon import Daemon
from edge.demo import RATE, scene
from edge.sources.ffmpeg import FfmpegSource
from edge.supervise import capture as capture_module

SCENE = scene()[0][: 12 * RATE]
WHEATEAR = [sys.executable, "-c", "from edge.cli import main; main()"]


@pytest.fixture
def start():
    daemons = []

    def begin(*arguments, **kwargs):
        command = [*WHEATEAR, "-v", *map(str, arguments)]
        daemons.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.kill()
        daemon.wait()
        for pipe in (daemon.stdout, daemon.stderr):
            pipe.close()


def kill_and_restart(start, microphone, tmp_path, rounds):
    """Let the sound server die `rounds` times; return how long each stream took to be back, seconds."""
    path, port = tmp_path / "sensor.toml", free_ports()
    path.write_text(
        f"""
        version = 2
        publish = {{ events = "tcp://127.0.0.1:{port}", replay = "tcp://127.0.0.1:{port + 1}" }}
        journal = {{ path = "{tmp_path}/events.journal" }}
        streams = [{{ name = "default", source = "mic:" }}, {{ name = "alsa", source = "mic:alsa:mic" }}]
        """
    )
    daemon = start("run", "--config", path, env={**os.environ, **microphone.env})
    said = drained(daemon)
    took = []
    with Subscriber(f"tcp://127.0.0.1:{port}", since=1, timeout=40) as subscriber:
        events = iter(subscriber)
        microphone.play(np.tile(SCENE[2 * RATE : 6 * RATE], 20), RATE)
        hearing = set()
        while len(hearing) < 2:
            hearing |= {event.stream for event in [next(events)] if event.type == "begin"}
        for _ in range(rounds):
            microphone.kill()
            both(events, "lost")
            microphone.plug_in()
            took.append(both(events, "resumed"))
            assert daemon.poll() is None
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert not any(b"Traceback" in line for line in said)
    return took


def drained(daemon):
    """The lines that it writes, as they come."""
    lines = []

    def read(pipe):
        with pipe:
            lines.extend(pipe)

    for pipe in (daemon.stdout, daemon.stderr):
        threading.Thread(target=read, args=(pipe,), daemon=True).start()
    return lines


def both(events, kind):
    """Wait until both streams have said so, and return how long that took."""
    began, waiting = time.monotonic(), {"default", "alsa"}
    while waiting:
        event = next(events)
        if event.type in ("lost", "resumed"):
            assert event.type == kind
            waiting.remove(event.stream)  # each says it once
    return time.monotonic() - began


def test_a_sound_server_that_dies_twice_is_lost_and_resumed_each_time(start, pulse_microphone, tmp_path):
    assert len(kill_and_restart(start, pulse_microphone, tmp_path, 2)) == 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_sound_server_that_dies_ten_times_is_back_within_five_seconds(start, pulse_microphone, tmp_path):
    took = kill_and_restart(start, pulse_microphone, tmp_path, 10)
    print(f"\nback after {', '.join(f'{seconds:.2f}' for seconds in took)} s")
    assert len(took) == 10
    assert max(took) <= 5


class Radio(http.server.BaseHTTPRequestHandler):
    """Plays rain, then says nothing more, without hanging up."""

    def do_GET(self):
        file = io.BytesIO()
        soundfile.write(file, np.tile(SCENE[2 * RATE : 6 * RATE], 6), RATE, format="WAV")
        sound = bytearray(file.getvalue())
        sound[4:8] = sound[40:44] = b"\xff\xff\xff\xff"  # no end is promised
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(sound)
            self.wfile.flush()
            self.server.asked += 1
            self.server.quiet.wait(30)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def radio():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Radio)
    server.daemon_threads = True
    server.quiet, server.asked = threading.Event(), 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.quiet.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: apt-get install ffmpeg")
def test_a_network_stream_that_falls_silent_is_had_again(radio, monkeypatch):
    monkeypatch.setattr(capture_module.Backoff, "wait", lambda self: 0.1)
    sources, events = [], []

    def source(key, channels, rate):
        sources.append(FfmpegSource(key.source, channel=channels, silence_s=2.0))
        return sources[-1]

    config = Config(device="hut", streams=(Stream(name="s", source=f"http://127.0.0.1:{radio.server_port}/live"),))
    daemon = Daemon(config, False, events.append, make_source=source)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    deadline = time.monotonic() + 60
    while sum(event.type == "resumed" for event in events) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = [source._process.pid for source in sources if source._process]
    daemon.stop()
    thread.join(20)
    kinds = [event.type for event in events if event.type in ("lost", "resumed")]
    assert kinds[:4] == ["lost", "resumed", "lost", "resumed"]
    assert "no sound for 2 s" in next(event.reason for event in events if event.type == "lost")
    assert radio.asked >= 3
    for pid in processes:  # none is left behind
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class Manager:
    """What systemd would hear."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.told = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"}

    def _listen(self):
        with suppress(OSError):
            while text := self._socket.recv(4096).decode():
                self.told.append(text.split("=")[0])

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    one = Manager(tmp_path / "notify")
    yield one
    one.close()


def test_a_service_is_ready_reloads_on_sighup_and_loses_nothing_meanwhile(start, tmp_path, manager):
    sound = tmp_path / "scene.wav"
    soundfile.write(sound, np.tile(SCENE, 4), RATE)
    stream = f"[[streams]]\nname = 'a'\nsource = '{sound}'\nrealtime = true\n"
    path = tmp_path / "sensor.toml"
    path.write_text(stream)
    daemon = start("run", "--config", path, "--json", env={**os.environ, **manager.env})
    events = (json.loads(line) for line in daemon.stdout)
    heard = [next(events)]
    path.write_text(stream + stream.replace("'a'", "'b'").replace("realtime = true", "realtime = false"))
    daemon.send_signal(signal.SIGHUP)
    heard += until(events, lambda e: e["stream"] == "device")
    assert "began: b" in heard[-1]["reason"]
    path.write_text(stream + "colour = 'green'")
    daemon.send_signal(signal.SIGHUP)
    heard += until(events, lambda e: e["stream"] == "device")
    assert "unknown field `colour`" in heard[-1]["reason"]
    assert "refused" in heard[-1]["reason"]
    heard += until(events, lambda e: e["stream"] == "a")
    daemon.send_signal(signal.SIGTERM)
    heard += events
    assert daemon.wait(20) == 0
    assert b"Traceback" not in daemon.stderr.read()
    alone = subprocess.run([*WHEATEAR, "run", "-s", sound, "--json"], capture_output=True, text=True, timeout=100)
    want = detections([json.loads(line) for line in alone.stdout.splitlines()], "scene")
    assert len(want) == 16
    assert detections(heard, "b") == want
    mine = [one for one in detections(heard, "a") if one[-1] != "stop"]
    assert len(mine) >= 2
    assert mine == want[: len(mine)]
    assert {e["epoch"] for e in heard if e["stream"] == "a"} == {heard[0]["epoch"]}
    told = [kind for kind in manager.told if kind != "WATCHDOG"]
    assert told == ["EXTEND_TIMEOUT_USEC", "READY", *["RELOADING", "EXTEND_TIMEOUT_USEC", "READY"] * 2, "STOPPING"]
    assert manager.told.count("WATCHDOG") >= 3


def until(events, condition):
    taken = []
    for event in events:
        taken.append(event)
        if condition(event):
            return taken
    raise AssertionError(f"it ended before that: {taken[-3:]}")


def detections(events, stream):
    return [
        (e["type"], e["label"], e["onset_sample"], e["offset_sample"], e["peak"], e["reason"])
        for e in events
        if e["stream"] == stream and e["label"]
    ]


HOUR = """
import json, sys, threading, time
import numpy as np
from edge.config import Config, JournalFile, Publish, Stream
from edge.daemon import Daemon
from edge.demo import RATE, scene
from edge.sources.fake import FakeSource
from edge.status import rss_bytes

folder, port, hours, pace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
samples = scene()[0]
repeats = round(hours * 3600 * RATE / len(samples))
config = Config(
    device="hut", streams=(Stream(name="s", source="mic:x"),), journal=JournalFile(folder + "/hour.journal"),
    publish=Publish(f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"),
)
def source(key, channels, rate):
    return FakeSource(samples, RATE, overwrite=True, pace=pace, repeats=repeats, channel=channels)
events = []
daemon = Daemon(config, True, lambda event: events.append(event.type), make_source=source)
rss, seconds = [], hours * 3600 / pace
def watch():
    began = time.monotonic()
    while not daemon.ended.wait(0.25):
        if time.monotonic() - began > 0.15 * seconds:
            rss.append(rss_bytes() / 2**20)
thread = threading.Thread(target=watch)
thread.start()
daemon.run()
thread.join()
status = daemon.status.streams["s"]
print(json.dumps({
    "samples": status.samples, "sent": repeats * len(samples), "gaps": status.gaps, "dropped": status.dropped,
    "events": len(events), "begins": events.count("begin"), "ends": events.count("end"), "rss_mib": rss[0],
    "growth_mib": np.mean(rss[-20:]) - np.mean(rss[:20]), "realtime_factor": status.realtime_factor,
}))
"""


def an_hour(tmp_path, hours, pace):
    command = [sys.executable, "-c", HOUR, str(tmp_path), str(free_ports()), str(hours), str(pace)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_minutes_of_sound_in_seconds_lose_nothing(tmp_path):
    got = an_hour(tmp_path, 0.025, 10)
    assert (got["samples"], got["gaps"], got["dropped"]) == (got["sent"], 0, {})
    assert got["begins"] == got["ends"] > 5


@pytest.mark.long
@pytest.mark.timeout(1300)
def test_an_hour_of_sound_in_six_minutes_loses_nothing_and_keeps_its_memory(tmp_path):
    got = an_hour(tmp_path, 1.0, 10)
    print(f"\n{got}")
    assert (got["samples"], got["gaps"], got["dropped"]) == (got["sent"], 0, {})
    assert got["growth_mib"] <= 2
