"""Two runs side by side: the verdict follows the figures only where the rounds agree."""

import json

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench import compare, report
from bench.cli import bench
from bench.compare import interval, verdict
from bench.result import Document, Figure, Result, document, figure, load, number, table, to_json, to_markdown
from edge.errors import ConfigError


def made(*figures, name="latency", load=0.0, **settings):
    return Document(
        when="2026-01-01T00:00:00.000Z",
        machine={"processor": "P", "cores": 2},
        load=[load, 0, 0],
        results=[Result(benchmark=name, settings=settings, figures=list(figures))],
    )


def ms(rounds, better="less"):
    return figure("total", "p50", rounds, "ms", better)


@pytest.mark.parametrize(
    ("a", "b", "better", "expected"),
    [
        ([1.0, 1.1, 1.0], [2.0, 2.1, 1.9], "less", "worse"),
        ([1.0, 1.1, 1.0], [2.0, 2.1, 1.9], "more", "better"),
        ([1.0, 1.1, 1.0], [2.0, 2.1, 1.9], "", "more"),
        ([2.0, 2.1, 1.9], [1.0, 1.1, 1.0], "less", "better"),
        ([1.0, 3.0, 1.1], [1.4, 0.9, 2.9], "less", "noise"),
        ([1.00, 1.001, 1.002], [1.03, 1.031, 1.032], "less", "same"),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], "less", "same"),
        ([1.0, 1.1], [2.0, 2.1], "less", "unknown"),
    ],
)
def test_verdicts(a, b, better, expected):
    assert verdict(ms(a, better), ms(b, better)) == expected


def test_counts_that_were_zero_have_no_ratio_but_a_verdict():
    a = Figure(row="run", column="dropped samples", value=0, better="less")
    b = Figure(row="run", column="dropped samples", value=160, better="less")
    (found,), _ = compare.compare(made(a), made(b))
    assert (found.ratio, found.low, found.verdict) == (None, None, "worse")


def test_the_interval_by_hand():
    # 2/1, 3/1, 4/1, 2/2, 3/2, 4/2, 2/4, 3/4, 4/4 in order: 0.5 0.75 1 1 1.5 2 2 3 4; 5 % of the way from the first to
    # the last of nine lies 0.4 of the way from 0.5 to 0.75, and likewise above.
    assert interval([1, 2, 4], [2, 3, 4]) == pytest.approx((0.6, 3.6))
    assert interval([1, 2], [1, 2, 3]) is None
    assert interval([0, 1, 1], [1, 1, 1]) is None


ROUNDS = st.lists(st.floats(0.1, 10), min_size=3, max_size=9)


@given(ROUNDS, ROUNDS)
def test_what_is_better_one_way_is_worse_the_other(a, b):
    opposite = {"better": "worse", "worse": "better"}
    forth, back = verdict(ms(a), ms(b)), verdict(ms(b), ms(a))
    # Ratios just at the border of 5 % may fall on both sides of it.
    if abs(abs(ms(b).value / ms(a).value - 1) - compare.SMALL) > 0.01:
        assert back == opposite.get(forth, forth)


@given(ROUNDS)
def test_a_run_is_the_same_as_itself(rounds):
    assert verdict(ms(rounds), ms(rounds)) == "same"


def test_other_settings_and_noisy_machines_are_said():
    found, notes = compare.compare(made(ms([1]), streams=1, load=7.0), made(ms([1]), streams=2))
    assert found == []
    assert notes == [
        "A was measured on a noisy machine: load average 7 on 2 cores",
        "latency {'streams': 1}: not in B with the same settings",
    ]


def test_the_command_reads_what_was_saved(tmp_path):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, rounds in zip(paths, ([1.0, 1.1, 1.2], [4.0, 4.4, 4.8]), strict=True):
        path.write_text(to_json(document([Result(benchmark="latency", figures=[ms(rounds)])])))
        jsonschema.validate(json.loads(path.read_text()), msgspec.json.schema(Document))
        assert load(path).results[0].figures == [ms(rounds)]
    shown = CliRunner().invoke(bench, ["compare", *map(str, paths)], catch_exceptions=False).stdout
    assert "| latency: total, p50 | 1.1 ms | 4.4 ms | 4.00 |" in shown
    assert "| worse |" in shown
    plain = json.loads(CliRunner().invoke(bench, ["compare", *map(str, paths), "--json"]).stdout)
    assert plain["comparisons"][0]["verdict"] == "worse"


@pytest.mark.parametrize("content", [b"", b"no json", b"{}", b'{"v": 2}', b"\xff\xfe"])
def test_what_is_no_run_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"bad.json: expected what `wheatear bench all --save` or `--json` wrote"
    ) as e:
        load(path)
    assert "\n" not in str(e.value)
    with pytest.raises(ConfigError, match=r"gone.json: cannot be read: No such file"):
        load(tmp_path / "gone.json")


def test_a_table_has_a_cell_for_every_figure_and_gaps_where_there_is_none():
    figures = [ms([1.234]), figure("total", "p99", [250.4], "ms"), figure("ring", "p99", [0.5], "ms")]
    assert table(Result(benchmark="b", figures=figures)).splitlines() == [
        "|  | p50 | p99 |",
        "| --- | --: | --: |",
        "| total | 1.23 ms | 250 ms |",
        "| ring |  | 0.5 ms |",
    ]
    assert [number(x) for x in (1234.5, 0.01234, 3.0, 0.0)] == ["1234", "0.0123", "3", "0"]


def test_tables_go_between_their_marks_and_say_where_they_come_from(tmp_path):
    path = tmp_path / "doc.md"
    path.write_text("before\n<!-- bench x -->\nold\n<!-- /bench x -->\nafter\n")
    text = to_markdown(document([Result(benchmark="latency", settings={"streams": 3}, figures=[ms([1])])]))
    report.replace_section(path, "bench x", text)
    written = path.read_text()
    assert written.startswith("before\n<!-- bench x -->\n**latency** (streams 3)\n")
    assert written.endswith("<!-- /bench x -->\nafter\n")
    assert "old" not in written
    assert "load average" in written
