"""The source-drop guard by figures that are made up: what is kept, what is refused, and on what it may be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from training.data.dataset import Dataset, Item
from training.losses import LOSSES
from training.procedures import guard
from training.procedures.registry import Job

LOSS = LOSSES.build(LOSSES.parse({"kind": "exclusive"}), 2)
HELD = Dataset("porch", ("low", "high"), tuple(Item(n, Path(n), w) for n, w in (("a", (0,)), ("b", (1,)), ("c", None))))


def job(figures=None, held=HELD):
    """A job whose networks have accuracies by their names."""
    validate = None if figures is None else lambda model: {"clip_accuracy": figures[model], "other": 0.0}
    return Job(nn.Identity(), lambda *_: None, LOSS, Path("c"), validate=validate, inner=held)


@pytest.mark.parametrize(
    ("after", "fall", "adapted"),
    [(0.91, 0.01, True), (0.90, 0.01, True), (0.889, 0.01, False), (0.5, 0.01, False), (0.5, 0.4, True), (0, 1, True)],
)
def test_a_fall_of_so_much_is_let_through_and_more_is_not(after, fall, adapted):
    old, new = nn.Identity(), nn.Identity()
    kept = guard.guarded(job({old: 0.90, new: after}), old, new, fall)
    assert kept.model is (new if adapted else old)
    assert kept.figures == {"source_before": 0.90, "source_after": after, "adapted": float(adapted)}


def test_without_held_back_recordings_it_must_be_switched_off(tmp_path):
    with pytest.raises(ValueError, match=r"`fall` expects labelled recordings to be held back.* set `inner`"):
        guard.check(job(), 0.01, tmp_path)
    guard.check(job(), 1.0, tmp_path)
    new = nn.Identity()
    assert guard.guarded(job(), nn.Identity(), new, 1.0) == (new, {})


def test_recordings_that_the_start_has_learnt_are_told(tmp_path, caplog):
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["x", "c", "b"]}))
    assert guard.learnt(tmp_path, HELD) == ["b"]  # of c nobody asks: it has no labels
    guard.check(job({}), 0.01, tmp_path)
    assert "has learnt from 1 of the 2 recordings that `inner` holds back, such as b" in caplog.text
    caplog.clear()
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["x"]}))
    guard.check(job({}), 0.01, tmp_path)
    assert not caplog.text
