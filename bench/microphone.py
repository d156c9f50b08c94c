"""A microphone without hardware, privileges or a desktop: a private PulseAudio server whose source we feed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from edge.blocks import Float32

MISSING = "needs PulseAudio: apt-get install libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
TOOLS = ("pulseaudio", "pactl", "pacat", "parec")
PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"

ASOUNDRC = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.mic { type pulse; device mic; hint { show on; description "virtual microphone" } }
"""

SERVER = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
SERVER += ["--high-priority=no", "--realtime=no"]
MODULES = (
    "module-native-protocol-unix socket={home}/socket auth-anonymous=1",
    "module-null-sink sink_name=virtual rate=16000 channels=1 format=s16le",
    "module-remap-source master=virtual.monitor source_name=mic",
)


class PulseMicrophone:
    """A microphone named ``mic``, the default one.

    Parameters
    ----------
    home
        A folder of its own with a short path: that of a socket has 107 characters at most.

    Attributes
    ----------
    env
        Environment of programs that shall hear it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        cache = os.environ.get("NUMBA_CACHE_DIR", str(platformdirs.user_cache_path("wheatear") / "numba"))
        self.env = {
            **os.environ,
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "PULSE_SERVER": f"unix:{home}/socket",
            "PULSE_COOKIE": f"{home}/cookie",
            "NUMBA_CACHE_DIR": cache,  # another home, but the same kernels
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._played = 0

    def plug_in(self) -> None:
        """Start the server and wait until it answers.

        Raises
        ------
        RuntimeError
            It does not.
        """
        (self._home / ".asoundrc").write_text(ASOUNDRC)
        command = [*SERVER, f"--log-target=file:{self._home}/log"]
        for module in MODULES:
            command += ["-L", module.format(home=self._home)]
        self._begin(command)
        _until(
            lambda: subprocess.run(["pactl", "info"], env=self.env, capture_output=True, check=False).returncode == 0
        )
        subprocess.run(["pactl", "set-default-source", "mic"], env=self.env, check=True)
        # A recorder with a low latency keeps the null sink awake, else the first block comes seconds late.
        self._begin(["parec", "--device=mic", "--latency-msec=10", "--raw"], stdout=subprocess.DEVNULL)

    def play(self, samples: Float32, rate: int) -> None:
        """Let the microphone hear float32 samples ``[N]``; returns at once."""
        self._played += 1
        path = self._home / f"{self._played}.raw"
        path.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        command = ["pacat", "--playback", "--raw", f"--rate={rate}", "--channels=1", "--format=s16le"]
        self._begin([*command, "--device=virtual", "--latency-msec=50", str(path)])

    def kill(self) -> None:
        """Pull the plug; `plug_in` puts it back."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        (self._home / "socket").unlink(missing_ok=True)

    def _begin(self, command: list[str], **options: Any) -> None:
        self._processes.append(subprocess.Popen(command, env=self.env, **options))


@contextmanager
def pulse_microphone() -> Iterator[PulseMicrophone]:
    """A running `PulseMicrophone`, unplugged at the end; only where `installed`."""
    with tempfile.TemporaryDirectory(prefix="pulse") as folder:
        microphone = PulseMicrophone(Path(folder))
        try:
            microphone.plug_in()
            yield microphone
        finally:
            microphone.kill()


def installed() -> bool:
    """Whether this machine has what it needs."""
    plugin = any(Path("/usr/lib").glob(f"*/{PLUGIN}")) or Path("/usr/lib", PLUGIN).exists()
    return plugin and all(map(shutil.which, TOOLS)) and _portaudio()


def _portaudio() -> bool:
    try:
        import sounddevice
    except (ImportError, OSError):
        return False
    return bool(sounddevice)


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"PulseAudio did not come up within {seconds:g} s")
        time.sleep(0.02)
