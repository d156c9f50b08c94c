"""The example of the documentation does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import edge

PAGE = Path(edge.__file__).parent.parent / "docs/streaming.md"


def test_the_documents_network_streams_and_is_written(tmp_path, monkeypatch):
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "Network(" in c]
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    step = names["step"]
    assert (step.chunk, step.timeline.rate, step.timeline.ahead) == (2, 2, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"model.tflite", "model.onnx"}
