"""The house: what may import what, and the names that stay."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edge
import wheatear

ROOT = Path(edge.__file__).parent.parent
FORBIDDEN = {
    "edge": {"torch", "scipy", "librosa", "sklearn", "training", "export", "bench"},
    "training": {"export", "bench"},
    "export": {"bench"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_dependencies_point_one_way(folder):
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / folder).rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in FORBIDDEN[folder]
    }
    assert found == set()


def test_no_import_cycles_in_edge():
    files = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in (ROOT / "edge").rglob("*.py")}

    def eager(path):
        """Imports that run when the module is imported: not those inside functions or for type checkers only."""
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    graph = {name: {i for i in eager(path) if i in files and i != name} for name, path in files.items()}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"import cycle: {' → '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        path.append(name)
        for other in graph[name]:
            visit(other)
        path.pop()
        done.add(name)

    for name in graph:
        visit(name)
    assert len(done) == len(files)


def test_the_device_runs_where_torch_and_scipy_cannot_be_imported():
    code = (
        "import sys; sys.modules.update({n: None for n in ('torch', 'scipy', 'librosa', 'sklearn', 'onnx')}); "
        "sys.argv = ['wheatear', 'demo', '--fast']; from edge.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "truths found" in result.stdout


def test_the_public_names_are_locked():
    assert wheatear.__all__ == [
        "AudioBlock",
        "CardError",
        "ConfigError",
        "Cursor",
        "EngineError",
        "Event",
        "FeatureBlock",
        "FrontEndSpec",
        "JournalError",
        "ScoreBlock",
        "SourceError",
        "SpecError",
        "Subscriber",
        "WheatearError",
        "WireError",
    ]
    assert all(hasattr(wheatear, name) for name in wheatear.__all__)


def test_every_error_derives_from_one():
    assert all(
        issubclass(getattr(wheatear, n), wheatear.WheatearError) for n in wheatear.__all__ if n.endswith("Error")
    )
