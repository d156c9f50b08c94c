"""Carried state against sliding windows: its exactness, its tables and their place in the documentation."""

from __future__ import annotations

import json

import pytest

from bench import streaming


@pytest.fixture(scope="module")
def exact():
    return streaming.exactness(48)


def test_all_layers_are_exact_and_all_masks_are_needed(exact):
    assert exact["largest_error"] <= 1e-5
    assert exact["smallest_error_without_mask"] > 1e-4
    assert exact["networks"] == len(exact["errors"]) > exact["masked_networks"] > 0


def test_the_tables_stand_between_the_marks_and_the_figures_beside_them(exact, tmp_path):
    row = {
        "window": "1 s",
        "runtime": "tflite",
        "ideal": 10.0,
        "us_per_second": {"window": 2000.4, "state": 250.0, "short": 500.0},
        "ratio_same_hop": 8.0,
        "ratio_short": 4.0,
        "warning": "",
    }
    results = {
        "machine": {"processor": "cpu", "python": "3", "versions": {"numpy": "2"}},
        "exact": exact,
        "sliding": [row],
        "step": {"us": {"int8": {"p50": 40.0, "p99": 50.0}}, "share_of_silero": 0.31, "warning": ""},
        "memory_mb": {"int8": 47.0},
        "folds": [{"fold": 1, "clips": 80, "right": {"float32": 71, "int8": 70}, "bytes": {}}],
        "sizes": {"model.tflite": 100, "model.int8.tflite": 30, "model.onnx": 100, "model.int8.onnx": 40},
    }
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench streaming -->\nold\n<!-- /bench streaming -->\nbehind\n")
    streaming.write(results, tmp_path / "page")
    text = page.read_text()
    assert "| 1 s | tflite | 2000 | 250 | 8.0 | 500 | 4.0 | 10 |" in text
    assert "| held-out clips lost by int8 | 1 | of 80 |" in text
    assert "| int8 size, tflite | 0.30 | of float32 |" in text
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("behind\n")
    assert json.loads((tmp_path / "page.json").read_text())["exact"]["networks"] == exact["networks"]
