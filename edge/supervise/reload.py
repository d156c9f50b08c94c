"""A new configuration while sound goes on: checked, compiled for, loaded, and only then switched to."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.config import Config
from edge.errors import ConfigError, WheatearError
from edge.supervise.supervisor import Supervisor

log = logging.getLogger(__name__)

COMPILE_S = 600.0
AT_START = ("publish", "journal", "mqtt", "json_lines", "metrics", "clips")  # opened once


def reload(read: Callable[[], Config], supervisor: Supervisor, say: Callable[[bool, str], None]) -> None:
    """Read the configuration again and run it; where it cannot be run, the old one stays.

    Parameters
    ----------
    read
        Reads and checks it.
    supervisor
        Whose streams it is about.
    say
        Told whether it went well, and what happened.
    """
    old = supervisor.config
    try:
        new = read()
        warm(new)
        supervisor.load(new)
        _check_device(old, new)
    except WheatearError as error:
        say(False, f"the new configuration is refused, the old one goes on: {error}")
        return
    ended, begun = supervisor.switch(new)
    changed = f"ended: {', '.join(ended) or 'none'}; began: {', '.join(begun) or 'none'}"
    later = [key for key in AT_START if getattr(old, key) != getattr(new, key)]
    if later:
        changed += f"; {', '.join(later)} changed too: that takes effect when the daemon is started again"
    say(True, f"the new configuration runs; streams that {changed}")


def _check_device(old: Config, new: Config) -> None:
    if old.device_name != new.device_name:
        raise ConfigError(
            f"$.device: expected `{old.device_name}` while the daemon runs, got `{new.device_name}`; start it again"
        )


def warm(config: Config) -> None:
    """Compile, in another process, the kernels that a configuration needs: no thread of this one stands still for it.

    Raises
    ------
    ConfigError
        Where the configuration cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="wheatear-") as folder:
        path = Path(folder) / "config.json"
        path.write_bytes(msgspec.json.encode(config))
        command = [sys.executable, "-c", "from edge.cli import main; main()", "warm", "--plain", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"compiling for the new configuration failed: {error}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"ended with code {done.returncode}"]
        raise ConfigError(said[0].removeprefix("Error: "))
