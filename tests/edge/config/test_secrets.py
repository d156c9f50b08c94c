"""Secrets: from the environment and from files, and never from anywhere else."""

import pytest

from edge.config.secrets import reveal
from edge.errors import ConfigError


def test_places_are_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMERA", "s3cret")
    (tmp_path / "user").write_text("me\nnot this\n")
    assert reveal(f"rtsp://${{file:{tmp_path}/user}}:${{CAMERA}}@cam/1?x=$y") == "rtsp://me:s3cret@cam/1?x=$y"


@pytest.mark.parametrize("text", ["${NOT_SET}", "${file:/no/such/file}", "${file:/}"])
def test_an_empty_place_says_so(text, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigError, match="source: expected a"):
        reveal(f"rtsp://{text}@cam")
