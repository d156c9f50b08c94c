"""What kind of computer this is: threads, accelerators, chunk and cache folder that suit it.

    defaults  <  firmware_config/profiles/NAME.toml  <  [device_profile] of the configuration  <  options

A profile only fills in what nobody said: a stream's own `engine` and `precision` stay.
"""

from __future__ import annotations

import os
import platform
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta

from edge.errors import ConfigError

MODEL = Path("/proc/device-tree/model")  # what the firmware says the board is
Provider = Literal["cpu", "cuda", "tensorrt"]


class DeviceProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the software uses this computer.

    Attributes
    ----------
    name
        Of the profile that the other keys go over; ``auto`` looks at the board.
    threads
        Threads of an inference runtime for one model; more than one pays for large models only.
    providers
        Where ONNX Runtime computes, in order of preference; what it does not offer is left out with a warning, and
        the processor is always the last.
    engine, precision
        Runtime and file that streams prefer which do not say.
    chunk_ms
        Milliseconds of sound that a stream gathers before anything is done: fewer wake-ups against a later event.
    cache
        Folder of compiled kernels; the user's where empty. ``NUMBA_CACHE_DIR`` goes before it.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}$")] = "auto"
    threads: Annotated[int, Meta(ge=1, le=64)] | None = None
    providers: tuple[Provider, ...] | None = None
    engine: Literal["", "onnx", "tflite"] | None = None
    precision: Literal["", "float32", "int8"] | None = None
    chunk_ms: Annotated[int, Meta(ge=10, le=1000)] | None = None
    cache: str | None = None


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A profile with nothing left open; the keys are those of `DeviceProfile`.

    Attributes
    ----------
    description
        The computer, for people.
    match
        Parts of what the board calls itself; it is the first profile of which one occurs.
    machine
        What ``uname -m`` says, for computers that do not call themselves anything.
    """

    name: str
    description: str
    match: tuple[str, ...] = ()
    machine: str = ""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    providers: tuple[Provider, ...] = ("cpu",)
    engine: Literal["", "onnx", "tflite"] = ""
    precision: Literal["", "float32", "int8"] = ""
    chunk_ms: Annotated[int, Meta(ge=10, le=1000)] = 100
    cache: str = ""

    @property
    def cache_path(self) -> Path:
        """The folder of compiled kernels."""
        return Path(self.cache).expanduser() if self.cache else platformdirs.user_cache_path("wheatear") / "numba"


@cache
def profiles() -> dict[str, Profile]:
    """All profiles that ship, by name."""
    found = {}
    for file in sorted(files("firmware_config").joinpath("profiles").iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = msgspec.convert({"name": name, **tomllib.loads(file.read_text("utf-8"))}, Profile)
    return found


def detect(model: Path = MODEL, machine: str = "") -> Profile:
    """The profile of this computer; ``generic`` where none knows it.

    Parameters
    ----------
    model
        The file in which the board says what it is.
    machine
        What it says where there is none; ``uname -m`` where empty.
    """
    try:
        board = model.read_bytes().rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        board = ""
    for profile in profiles().values():
        if board and any(part in board for part in profile.match):
            return profile
    machine = machine or platform.machine()
    plain = (one for one in profiles().values() if not board and one.machine and one.machine == machine)
    return next(plain, profiles()["generic"])


def resolve(wished: DeviceProfile) -> Profile:
    """The profile that a configuration means, with its own keys over it.

    Raises
    ------
    ConfigError
        No profile is called so; the message lists those there are.
    """
    if wished.name == "auto":
        profile = detect()
    elif wished.name in profiles():
        profile = profiles()[wished.name]
    else:
        raise ConfigError(
            f"device_profile.name: expected auto or one of {', '.join(profiles())}, got {wished.name!r}"
        ) from None
    given = {key: value for key in wished.__struct_fields__ if (value := getattr(wished, key)) is not None}
    return msgspec.structs.replace(profile, **{**given, "name": profile.name})


def use_cache(profile: Profile) -> None:
    """Let numba keep its kernels where the profile says; before numba is imported, and unless the user said."""
    default = str(platformdirs.user_cache_path("wheatear") / "numba")
    if os.environ.get("NUMBA_CACHE_DIR", default) != default:
        return
    try:
        profile.cache_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return  # the default stays
    os.environ["NUMBA_CACHE_DIR"] = str(profile.cache_path)
