"""What ships, and whether a Raspberry Pi can install it. These ask a package index, so they run with the long tests."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import edge

ROOT = Path(edge.__file__).parent.parent
PLATFORMS = ["manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"]


def pip(*arguments):
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, timeout=600)


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_dependency_of_the_device_has_a_64_bit_arm_wheel(tmp_path, python):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [text.split(";")[0] for text in project["dependencies"]]
    options = [f"--platform={p}" for p in PLATFORMS] + ["--only-binary=:all:", f"--python-version={python}"]
    done = pip("download", "--quiet", *options, "--dest", str(tmp_path), *names)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_the_wheel_holds_the_model_and_no_tests(tmp_path):
    done = pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("wheatear-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "wheatear.py" in names
    for file in ("card.toml", "model.onnx", "model.int8.onnx", "model.tflite", "model.int8.tflite"):
        assert f"edge/zoo/esc10-s/{file}" in names
    assert "training/recipes/esc10-s.toml" in names
    for file in ("system.service", "user.service", "sensor.toml", "asound.conf", "90-wheatear.rules", "Containerfile"):
        assert f"firmware_config/{file}" in names
    for file in ("beehive", "garden-birds", "home-sounds", "mosquito", "profiles/generic"):
        assert f"firmware_config/{file}.toml" in names
    assert not [name for name in names if name.startswith("tests")]
