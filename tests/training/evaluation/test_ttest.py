"""Two evaluations side by side: pairs, means and p."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from edge.errors import ConfigError
from training.commands.ttest import ttest as command
from training.evaluation.ttest import compare

LABELS = ["a", "b", "c"]


def section(precisions, folds=()):
    figures = {"by_class": {n: {"average_precision": p} for n, p in zip(LABELS, precisions, strict=True)}}
    targets = [
        {"held_out": k, "figures": {"clip_accuracy": value, "by_class": {}}} for k, value in enumerate(folds, start=1)
    ]
    pooled = {"folds": {"pooled": figures}} if folds else {}
    return {
        "kind": "evaluation",
        "labels": LABELS,
        "targets": targets or [{"held_out": None, "figures": figures}],
        **pooled,
    }


def test_classes_are_paired_and_p_is_that_of_the_hand_worked_test():
    """Differences 1, 2, 3 tenths: t = 2 √3 with two degrees of freedom, p = 1 - √(12 / 14)."""
    found = compare(section([0.2, 0.4, 0.6]), section([0.1, 0.2, 0.3]), ("x", "y"))
    assert found["columns"] == ["figure", "x", "y", "difference", "pairs", "p"]
    assert found["rows"] == [["AP, by class", "40.0%", "20.0%", "+20.0%", 3, "0.074"]]


def test_folds_are_paired_by_their_number_and_a_difference_everywhere_is_marked():
    first, second = section([0.5] * 3, [0.8, 0.7, 0.6]), section([0.5] * 3, [0.7, 0.6, 0.5])
    rows = compare(first, second, ("x", "y"))["rows"]
    assert rows[0][4:] == [3, "1.000"]
    assert rows[1] == ["clip accuracy, by fold", "70.0%", "60.0%", "+10.0%", 3, "below 0.001 *"]


def test_a_class_without_a_figure_is_left_out():
    found = compare(section([0.2, None, 0.6]), section([0.1, 0.2, 0.3]), ("x", "y"))
    assert found["rows"][0][4] == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"kind": "table"}, "expected the report of an evaluation, got 'table' of y"),
        ({**section([0.1] * 3), "labels": ["a"]}, "expected the same classes of both, got others of y"),
        (section([None] * 3), "expected two classes or folds that both have figures of, got none"),
    ],
)
def test_what_cannot_be_compared_is_refused(other, message):
    with pytest.raises(ConfigError, match=message):
        compare(section([0.1] * 3), other, ("x", "y"))


def test_the_command_reads_the_folders_of_reports(tmp_path):
    for name, values in (("x", [0.2, 0.4, 0.6]), ("y", [0.1, 0.2, 0.3])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(section(values)))
    done = CliRunner().invoke(command, [str(tmp_path / "x"), str(tmp_path / "y")], catch_exceptions=False)
    assert "| AP, by class | 40.0% | 20.0% | +20.0% | 3 | 0.074 |" in done.output
    (tmp_path / "y" / "report.json").write_text("no")
    with pytest.raises(ConfigError, match=r"expected a report\.json at .*y/report\.json, got: Expecting value"):
        CliRunner().invoke(command, [str(tmp_path / "x"), str(tmp_path / "y")], catch_exceptions=False)
