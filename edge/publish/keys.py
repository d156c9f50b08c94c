"""Keys for CURVE, the encryption of ZeroMQ: who may follow a device, and how both sides know each other.

    keys/                     mode 0700
      device.key_secret       mode 0600: the device's own pair; the public half is device.key
      allowed/laptop.key      public key of a client that may connect

A client needs its own pair and the device's public key. Files are in the format of ``zmq.auth``, which other ZeroMQ
programs read too; keys are 40 characters of Z85 (Curve25519).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from edge.errors import ConfigError

DEVICE = "device"
PUBLIC, SECRET = ".key", ".key_secret"
MAX_FILE = 4_096  # bytes
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,47}")
Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_LINE = re.compile(r"""^\s*(public|secret)-key\s*=\s*"([^"\n]{40})"\s*$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client shows and expects: its own pair, and the device's public key, each Z85."""

    public: str
    secret: str
    server: str

    def __repr__(self) -> str:
        """The public half only: the secret must not reach a log."""
        return f"ClientKeys(public={self.public!r}, server={self.server!r})"

    @classmethod
    def load(cls, server: str, key: str = "", folder: Path | None = None) -> ClientKeys:
        """Read a pair, and the device's key.

        Parameters
        ----------
        server
            The device's public key, or a file that has it.
        key
            Secret file of the client, or the name of a pair in `folder`; a pair made for this call where empty, which
            gives encryption, and no admission where the device wants to know its clients.
        folder
            Where pairs are; the user's where None.

        Raises
        ------
        ConfigError
            A file cannot be read or holds no key.
        """
        import zmq

        if key:
            path = Path(key).expanduser()
            public, secret = read_pair(path if path.is_file() else (folder or default_folder()) / f"{key}{SECRET}")
        else:
            public, secret = (half.decode() for half in zmq.curve_keypair())
        return cls(public, secret, public_key(server))


class KeyFolder:
    """The keys of one machine.

    Parameters
    ----------
    path
        The folder; made at the first `new` or `allow`, for its owner only. The user's where None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_folder()
        self.allowed_path = self.path / "allowed"

    def new(self, name: str = DEVICE) -> str:
        """Make a pair; returns the public key.

        Raises
        ------
        ConfigError
            There is one of that name, or the folder cannot be written.
        """
        import zmq

        secret_path = self.path / f"{_checked(name)}{SECRET}"
        if secret_path.exists():
            raise ConfigError(f"{secret_path} exists: choose another name, or remove the file to give that key up")
        public, secret = (half.decode() for half in zmq.curve_keypair())
        _private(self.path)
        _write(secret_path, f'curve\n    public-key = "{public}"\n    secret-key = "{secret}"\n')
        _write(self.path / f"{name}{PUBLIC}", f'curve\n    public-key = "{public}"\n', 0o644)
        return public

    def pair(self, name: str = DEVICE) -> tuple[str, str]:
        """Public and secret key of a pair here.

        Raises
        ------
        ConfigError
            There is none, or others than its owner can read it.
        """
        return read_pair(self.path / f"{name}{SECRET}")

    def names(self) -> list[str]:
        """Names of the pairs here."""
        return sorted(path.name.removesuffix(SECRET) for path in self.path.glob(f"*{SECRET}"))

    def allow(self, name: str, key: str) -> str:
        """Let a client connect, by its public key or a file that has it; returns the key."""
        public = public_key(key)
        _private(self.path)
        _private(self.allowed_path)
        _write(self.allowed_path / f"{_checked(name)}{PUBLIC}", f'curve\n    public-key = "{public}"\n')
        return public

    def revoke(self, name: str) -> None:
        """Take the leave back; who is connected stays so until the connection ends.

        Raises
        ------
        ConfigError
            Nobody of that name is allowed.
        """
        path = self.allowed_path / f"{_checked(name)}{PUBLIC}"
        try:
            path.unlink()
        except OSError:
            known = ", ".join(sorted(self.allowed().values())) or "nobody"
            raise ConfigError(f"{name!r} is not allowed in {self.allowed_path}: expected one of {known}") from None

    def allowed(self) -> dict[str, str]:
        """Names of the clients that may connect, by public key; a file that holds no key counts for nobody."""
        found = {}
        for path in sorted(self.allowed_path.glob(f"*{PUBLIC}")):
            public = _keys(_text(path)).get("public", "")
            if Z85.fullmatch(public):
                found[public] = path.name.removesuffix(PUBLIC)
        return found


def default_folder() -> Path:
    """Where keys are unless told otherwise: ``keys`` in the user's configuration folder."""
    return platformdirs.user_config_path("wheatear") / "keys"


def public_key(text: str) -> str:
    """A public key from itself or from a file that has it.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if Z85.fullmatch(text):
        return text
    public = _keys(_text(Path(text).expanduser())).get("public", "")
    if Z85.fullmatch(public):
        return public
    raise ConfigError(
        f"{text!r} is no public key: expected 40 characters as `wheatear keys show` prints, or a .key file"
    )


def read_pair(path: Path) -> tuple[str, str]:
    """Public and secret key of a file.

    Raises
    ------
    ConfigError
        There is no such file, it holds no pair, or others than its owner can read it.
    """
    text = _text(path)
    if text is None:
        raise ConfigError(f"{path}: expected a key pair that can be read; make one with `wheatear keys new`")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: expected a secret that only its owner can read; type: chmod 600 {path}")
    keys = _keys(text)
    if not all(Z85.fullmatch(keys.get(half, "")) for half in ("public", "secret")):
        raise ConfigError(f"{path}: expected lines public-key and secret-key of 40 characters; make a new pair")
    return keys["public"], keys["secret"]


def _checked(name: str) -> str:
    """A name that is a file name and nothing else."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a key: expected a-z, 0-9, '-', '_' and '.', at most 48 characters")
    return name


def _keys(text: str | None) -> dict[str, str]:
    """Keys of a file by half: public, secret."""
    return {str(half): str(key) for half, key in _LINE.findall(text or "")}


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


def _private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{folder}: expected a folder that can be written, got: {error.strerror}") from None


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that never existed with wider rights."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(file, "w") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError(f"{path}: expected a file that can be written, got: {error.strerror}") from None
