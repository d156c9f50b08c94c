"""A real sound server as the microphone: PulseAudio without hardware, privileges or a desktop."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

MISSING = "needs PulseAudio: apt-get install libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
TOOLS = ("pulseaudio", "pactl", "pacat", "parec")
PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"

ASOUNDRC = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.mic { type pulse; device mic; hint { show on; description "virtual microphone" } }
"""


@dataclass
class PulseMicrophone:
    """A microphone named ``mic``, the default one.

    Attributes
    ----------
    env
        Environment of programs that shall hear it.
    """

    env: dict[str, str]
    server: subprocess.Popen
    players: list[subprocess.Popen]

    def play(self, samples, rate):
        """Let the microphone hear float32 samples ``[N]``; returns at once."""
        path = Path(self.env["HOME"], f"{len(self.players)}.raw")
        path.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        command = ["pacat", "--playback", "--raw", f"--rate={rate}", "--channels=1", "--format=s16le"]
        command += ["--device=virtual", "--latency-msec=50", str(path)]
        self.players.append(subprocess.Popen(command, env=self.env))

    def kill(self):
        """Pull the plug."""
        self.server.kill()
        self.server.wait()


def plugin_exists():
    return any(Path("/usr/lib").glob(f"*/{PLUGIN}")) or Path("/usr/lib", PLUGIN).exists()


def portaudio_exists():
    try:
        import sounddevice
    except (ImportError, OSError):
        return False
    return bool(sounddevice)


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "PulseAudio does not come up"
        time.sleep(0.02)


@pytest.fixture
def pulse_microphone(monkeypatch):
    """A running `PulseMicrophone`, for this process (PortAudio reads the environment) and for others (`env`)."""
    if not (all(map(shutil.which, TOOLS)) and plugin_exists() and portaudio_exists()):
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="pulse") as folder:  # short: a socket's path has 107 characters
        home = Path(folder)
        socket = home / "socket"
        for name, value in {"HOME": home, "XDG_RUNTIME_DIR": home, "PULSE_SERVER": f"unix:{socket}"}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("PULSE_COOKIE", str(home / "cookie"))
        (home / ".asoundrc").write_text(ASOUNDRC)
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--disable-shm=yes",
        ]
        command += ["--high-priority=no", "--realtime=no", f"--log-target=file:{home}/log"]
        for module in (
            f"module-native-protocol-unix socket={socket} auth-anonymous=1",
            "module-null-sink sink_name=virtual rate=16000 channels=1 format=s16le",
            "module-remap-source master=virtual.monitor source_name=mic",
        ):
            command += ["-L", module]
        env = dict(os.environ)
        server = subprocess.Popen(command, env=env)
        # A recorder with a low latency keeps the null sink awake, else the first block comes seconds late.
        recorder = None
        microphone = PulseMicrophone(env, server, [])
        try:
            until(lambda: subprocess.run(["pactl", "info"], env=env, capture_output=True).returncode == 0)
            subprocess.run(["pactl", "set-default-source", "mic"], env=env, check=True)
            recorder = subprocess.Popen(
                ["parec", "--device=mic", "--latency-msec=10", "--raw"], env=env, stdout=subprocess.DEVNULL
            )
            yield microphone
        finally:
            for process in filter(None, [*microphone.players, recorder, server]):
                process.send_signal(signal.SIGKILL)
                process.wait()
