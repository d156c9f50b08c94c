"""Device profiles: each one loads, is found by what its board says, and gives way to what the user says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import firmware_config
from edge.config.profile import DeviceProfile, detect, resolve, use_cache
from edge.errors import ConfigError

NAMES = sorted(path.stem for path in (Path(firmware_config.__file__).parent / "profiles").glob("*.toml"))
BOARDS = {
    "Raspberry Pi Zero 2 W Rev 1.0": "raspberry-pi-zero-2-w",
    "Raspberry Pi 3 Model B Rev 1.2": "raspberry-pi-3",
    "Raspberry Pi 3 Model B Plus Rev 1.3": "raspberry-pi-3",
    "Raspberry Pi 4 Model B Rev 1.5": "raspberry-pi-4",
    "Raspberry Pi Compute Module 4 Rev 1.0": "raspberry-pi-4",
    "Raspberry Pi 5 Model B Rev 1.0": "raspberry-pi-5",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson-orin",
    "NVIDIA Jetson AGX Orin Developer Kit": "jetson-orin",
    "NVIDIA Orin NX Developer Kit": "jetson-orin",
    "Raspberry Pi Model B Rev 2": "generic",
    "Some Board Nobody Knows": "generic",
}


def test_the_promised_devices_have_a_profile():
    assert set(NAMES) == {*BOARDS.values(), "x86-mini-pc"}


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_loads_and_leaves_nothing_open(name):
    profile = resolve(DeviceProfile(name=name))
    assert (profile.name, profile.description != "") == (name, True)
    assert profile.threads >= 1
    assert profile.providers[-1] == "cpu"
    assert profile.cache_path.is_absolute()
    assert msgspec.convert(json.loads(msgspec.json.encode(profile)), type(profile)) == profile


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_is_known_by_what_it_calls_itself(tmp_path, board):
    (tmp_path / "model").write_bytes(board.encode() + b"\0")
    assert detect(tmp_path / "model", "aarch64").name == BOARDS[board]


def test_a_computer_that_says_nothing_is_known_by_its_machine(tmp_path):
    assert detect(tmp_path / "none", "x86_64").name == "x86-mini-pc"
    assert detect(tmp_path / "none", "riscv64").name == "generic"


def test_the_users_keys_go_over_the_profile():
    profile = resolve(DeviceProfile(name="jetson-orin", threads=3, precision=""))
    assert (profile.threads, profile.precision, profile.engine) == (3, "", "onnx")
    assert profile.providers == ("tensorrt", "cuda", "cpu")


def test_an_unknown_profile_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"expected auto or one of generic, jetson-orin, .*, got 'pi-9'"):
        resolve(DeviceProfile(name="pi-9"))


def test_numba_keeps_its_kernels_where_the_profile_says_unless_the_user_said(tmp_path, monkeypatch):
    profile = resolve(DeviceProfile(name="generic", cache=str(tmp_path / "kernels")))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    use_cache(profile)
    assert os.environ["NUMBA_CACHE_DIR"] == "/somewhere"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    use_cache(profile)
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "kernels")
    assert (tmp_path / "kernels").stat().st_mode & 0o777 == 0o700


def test_profiles_bring_no_numba():
    code = "import sys, edge.config.profile as p; p.detect(); print('numba' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
