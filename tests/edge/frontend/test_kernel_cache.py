"""Compiled kernels on disk: read by the next process, never stale, and not missed where there is no place for them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EDGE = Path(__file__).parents[3] / "edge"
SPEC = {
    "rate": 16000,
    "frames": {"window": 64, "hop": 32},
    "bands": {"kind": "mel", "count": 4},
    "scale": {"kind": "ln"},
}
SCRIPT = """
import json, sys
import numpy as np
from edge.frontend.spec import parse
assert "numba" not in sys.modules, "the spec alone must not need numba"
from numba.core import event
with event.install_recorder("numba:run_pass") as record:
    from edge.frontend.stream import FrontEnd
    spec = parse(json.loads(sys.argv[1]))
    front = FrontEnd(spec, width=int(sys.argv[2]))
    x = np.sin(np.arange(256)).astype(np.float32)
    frames = front.transform(x)
compiled = {e.data["qualname"].rpartition(".")[2] for _, e in record.buffer if e.is_start}
print(json.dumps({"compiled": sorted(compiled), "frame": frames[0].tolist()}))
"""


@pytest.fixture
def package(tmp_path):
    """A copy of what the front end needs, as if installed."""
    root = tmp_path / "installed"
    for name in ("__init__.py", "blocks.py", "errors.py", "frontend"):
        source, target = EDGE / name, root / "edge" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return root


def first_frame(root, width=4, **changes):
    unwanted = ("NUMBA_CACHE_DIR", "WHEATEAR_VECTOR_WIDTH")
    environment = {k: v for k, v in os.environ.items() if k not in unwanted}
    environment |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | changes
    command = [sys.executable, "-c", SCRIPT, json.dumps(SPEC), str(width)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_second_process_does_not_compile_and_a_changed_generator_does(package, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = first_frame(package, **cache)
    assert "push" in first["compiled"]
    assert first_frame(package, **cache) == {"compiled": [], "frame": first["frame"]}

    # The kernel's own file stays as it is: only a module that generates its code changes.
    generator = package / "edge" / "frontend" / "vector.py"
    text = generator.read_text(encoding="utf-8")
    wrong = text.replace("LN2_HIGH, LN2_LOW = 0.693359375", "LN2_HIGH, LN2_LOW = 1.693359375")
    generator.write_text(wrong, encoding="utf-8")
    changed = first_frame(package, **cache)
    assert "push" in changed["compiled"]
    assert changed["frame"] != first["frame"]


def test_a_read_only_installation_keeps_its_kernels_in_the_users_cache(package, tmp_path):
    (package / "edge" / "frontend" / "__pycache__").write_text("not a folder, so nothing can be kept here")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache")}
    first = first_frame(package, **home)
    assert first_frame(package, **home) == {"compiled": [], "frame": first["frame"]}


def test_where_nothing_can_be_written_kernels_are_compiled_in_memory(package):
    (package / "edge" / "frontend" / "__pycache__").write_text("not a folder, so nothing can be kept here")
    nowhere = {"HOME": "/dev/null/none", "XDG_CACHE_HOME": "/dev/null/none"}
    assert "push" in first_frame(package, **nowhere)["compiled"]
