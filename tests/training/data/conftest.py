"""Sets of a few short sounds, written in each format's own layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.data import decode

RATE = 8000


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: folder)


@pytest.fixture
def tone():
    """Write a tone as a sound file below a folder, and return its path."""

    def write(path: Path, seconds: float = 0.25, hertz: float = 500.0, rate: int = RATE) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), rate)
        return path

    return write
