"""Where a figure comes from, and how it is shown: on a terminal, as JSON, in the documentation."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Row = Sequence[str]


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Processor, system and versions that figures belong to."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := installed(name))},
    }


def installed(package: str) -> str:
    """Version of a distribution; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def markdown(header: Row, rows: Sequence[Row]) -> str:
    """A table in Markdown, its columns after the first one to the right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def replace_section(path: Path, name: str, text: str) -> None:
    """Put `text` between ``<!-- name -->`` and ``<!-- /name -->`` of a document.

    Raises
    ------
    ValueError
        Where the document has no such section.
    """
    document = path.read_text(encoding="utf-8")
    pattern = re.compile(f"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if not pattern.search(document):
        raise ValueError(f"{path}: expected the marks <!-- {name} --> and <!-- /{name} -->, found none: add them")
    path.write_text(pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", document), encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
