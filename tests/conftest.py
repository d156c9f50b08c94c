"""A real sound server as the microphone: PulseAudio without hardware, privileges or a desktop."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import platformdirs
import pytest

MISSING = "needs PulseAudio: apt-get install libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
TOOLS = ("pulseaudio", "pactl", "pacat", "parec")
PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"

ASOUNDRC = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.mic { type pulse; device mic; hint { show on; description "virtual microphone" } }
"""


MODULES = (
    "module-native-protocol-unix socket={home}/socket auth-anonymous=1",
    "module-null-sink sink_name=virtual rate=16000 channels=1 format=s16le",
    "module-remap-source master=virtual.monitor source_name=mic",
)


class PulseMicrophone:
    """A microphone named ``mic``, the default one.

    Attributes
    ----------
    env
        Environment of programs that shall hear it.
    """

    def __init__(self, home, env):
        self.env = env
        self._home = home
        self._server = None
        self._helpers = []

    def plug_in(self):
        """Start the server and wait until it answers."""
        (self._home / ".asoundrc").write_text(ASOUNDRC)
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--disable-shm=yes",
        ]
        command += ["--high-priority=no", "--realtime=no", f"--log-target=file:{self._home}/log"]
        for module in MODULES:
            command += ["-L", module.format(home=self._home)]
        self._server = subprocess.Popen(command, env=self.env)
        until(lambda: subprocess.run(["pactl", "info"], env=self.env, capture_output=True).returncode == 0)
        subprocess.run(["pactl", "set-default-source", "mic"], env=self.env, check=True)
        # A recorder with a low latency keeps the null sink awake, else the first block comes seconds late.
        self._help(["parec", "--device=mic", "--latency-msec=10", "--raw"], stdout=subprocess.DEVNULL)

    def play(self, samples, rate):
        """Let the microphone hear float32 samples ``[N]``; returns at once."""
        path = self._home / f"{len(self._helpers)}.raw"
        path.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        command = ["pacat", "--playback", "--raw", f"--rate={rate}", "--channels=1", "--format=s16le"]
        self._help([*command, "--device=virtual", "--latency-msec=50", str(path)])

    def kill(self):
        """Pull the plug; `plug_in` puts it back."""
        for process in [*self._helpers, self._server]:
            process.kill()
            process.wait()
        (self._home / "socket").unlink(missing_ok=True)

    def _help(self, command, **options):
        self._helpers.append(subprocess.Popen(command, env=self.env, **options))


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
        cache = os.environ.get("NUMBA_CACHE_DIR", str(platformdirs.user_cache_path("wheatear") / "numba"))
        monkeypatch.setenv("NUMBA_CACHE_DIR", cache)  # another home, but the same kernels
        variables = {"HOME": folder, "XDG_RUNTIME_DIR": folder, "PULSE_SERVER": f"unix:{folder}/socket"}
        for name, value in {**variables, "PULSE_COOKIE": f"{folder}/cookie"}.items():
            monkeypatch.setenv(name, value)
        microphone = PulseMicrophone(Path(folder), dict(os.environ))
        try:
            microphone.plug_in()
            yield microphone
        finally:
            microphone.kill()
