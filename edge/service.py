"""The systemd unit: made from a template for the Python that runs this, and put where systemd looks for it.

The first line of a unit carries the hash of the rest, so that a file that somebody has changed is known and left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import string
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.errors import ConfigError, ServiceError

UNIT = "wheatear.service"
MARK = "# wheatear unit sha256:"
SAFE = re.compile(r"[A-Za-z0-9_@:./+,=-]+")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclass(frozen=True, slots=True)
class Service:
    """Where a unit goes and what it runs.

    Attributes
    ----------
    user
        A service of the user's own manager, not of the system's.
    run_as
        System service: the user it runs as; systemd invents one (``DynamicUser``) where empty.
    config
        The configuration file; the usual place where None.
    root
        A system that is not running: files go below it and no `systemctl` is called.
    program
        The command `wheatear`; the one beside this Python where None.
    """

    user: bool = False
    run_as: str = ""
    config: Path | None = None
    root: Path | None = None
    program: Path | None = None

    @property
    def unit_path(self) -> Path:
        """The unit's file."""
        folder = _config_home() / "systemd/user" if self.user else Path("/etc/systemd/system")
        return self._below(folder / UNIT)

    @property
    def config_path(self) -> Path:
        """The configuration's file, as the service sees it."""
        usual = _config_home() / "wheatear/sensor.toml" if self.user else Path("/etc/wheatear/sensor.toml")
        return Path(os.path.abspath(self.config)) if self.config else usual

    def _below(self, path: Path) -> Path:
        return self.root / path.relative_to("/") if self.root else path

    def text(self) -> str:
        """The unit.

        Raises
        ------
        ServiceError
            The program is not there, or the service's user could not read it.
        """
        program = self.program or Path(sys.executable).with_name("wheatear")
        if not program.is_file():
            raise ServiceError(f"expected the command at {program}, got none: install it with pip or pipx first")
        if self.run_as and not USER.fullmatch(self.run_as):
            raise ConfigError(f"--as: expected a user's name, got {self.run_as!r}")
        at_home = any(
            path.is_relative_to("/home") or path.is_relative_to("/root") for path in (program, program.resolve())
        )
        if not (self.user or self.run_as or self.root):
            _check_open_to_all(program)
        fields = {
            "exec": f"{_quoted(program)} run --config {_quoted(self.config_path)}",
            "user": f"User={self.run_as}" if self.run_as else "DynamicUser=yes",
            "home": "read-only" if at_home else "yes",
        }
        name = "user.service" if self.user else "system.service"
        template = files("firmware_config").joinpath(name).read_text("utf-8")
        body = string.Template(template).substitute(fields)
        return f"{MARK}{_hash(body)}\n{body}"

    def install(self, force: bool = False, start: bool = True) -> list[str]:
        """Write unit and, where there is none, an example configuration; enable and start.

        Returns
        -------
        list of str
            What was done, line by line.

        Raises
        ------
        ServiceError
            A file was changed by hand, cannot be written, or systemd refuses.
        """
        text, path = self.text(), self.unit_path
        if path.exists() and not force and is_changed(path):
            raise ServiceError(f"{path}: was changed by hand; compare with --dry-run, then use --force to replace it")
        done = []
        config = self._below(self.config_path)
        if not config.exists():
            example = files("firmware_config").joinpath("sensor.toml").read_text("utf-8")
            _write(config, example, 0o644 if not self.user else 0o600)
            done.append(f"wrote {config}, an example: set the microphone and the names in it")
        _write(path, text, 0o644)
        done.append(f"wrote {path}")
        if self.root is None:
            self._systemctl("daemon-reload")
            self._systemctl("enable", UNIT)
            if start:
                self._systemctl("restart", UNIT)
            done.append("enabled and started" if start else "enabled")
        return done

    def uninstall(self, force: bool = False) -> list[str]:
        """Stop, disable and remove the unit; configuration, journal and clips stay.

        Raises
        ------
        ServiceError
            There is none, it was changed by hand, or cannot be removed.
        """
        path = self.unit_path
        if not path.exists():
            raise ServiceError(f"{path}: expected the service's unit, got none; is it a {self._other} service?")
        if not force and is_changed(path):
            raise ServiceError(f"{path}: was changed by hand; use --force to remove it all the same")
        if self.root is None:
            self._systemctl("disable", "--now", UNIT)
        try:
            path.unlink()
        except OSError as error:
            raise ServiceError(f"{path}: cannot be removed: {error.strerror}; use sudo") from None
        if self.root is None:
            self._systemctl("daemon-reload")
        return [f"removed {path}", f"left {self._below(self.config_path)}, the journal and the clips as they are"]

    @property
    def _other(self) -> str:
        return "system (without --user)" if self.user else "user's (--user)"

    def _systemctl(self, *arguments: str) -> None:
        if shutil.which("systemctl") is None:
            raise ServiceError("expected systemd, got no `systemctl`; --root DIR only writes the files")
        command = ["systemctl", *(["--user"] if self.user else []), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise ServiceError(f"`{' '.join(command)}` failed: {why}")


def is_changed(path: Path) -> bool:
    """Whether a unit differs from what was written."""
    head, _, body = path.read_text("utf-8", "replace").partition("\n")
    return head != f"{MARK}{_hash(body)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _quoted(path: Path) -> str:
    """A path as systemd reads it: quoted where it must be, ``%`` and ``$`` meaning themselves."""
    text = str(path)
    if any(ord(c) < 32 for c in text):
        raise ConfigError(f"expected a path without control characters, got {text!r}")
    if SAFE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _check_open_to_all(program: Path) -> None:
    """Refuse a program in somebody's private folder: the service's user could not reach it."""
    for folder in [*program.parents, *program.resolve().parents]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise ServiceError(
                f"{program}: {folder} is closed to other users, so that the service could not start; install into "
                "/opt/wheatear, or use --as USER, or --user"
            )


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file as a whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.chmod(mode)
        part.replace(path)
    except OSError as error:
        raise ServiceError(f"{path}: cannot be written: {error.strerror}; use sudo, or --user") from None
