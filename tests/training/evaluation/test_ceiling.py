"""What perfect frames can reach: touching sounds cannot be told apart, separate ones can."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.errors import ConfigError
from training.commands.ceiling import ceiling as command
from training.data.dataset import Dataset, Item, Sound
from training.evaluation.ceiling import ceiling, drawn_apart, moved


def a_set(*sounds: tuple[float, float]) -> Dataset:
    strong = tuple(Sound(0, *ends) for ends in sounds)
    return Dataset("notes", ("note",), (Item("a", Path("a.wav"), weak=(0,), strong=strong),))


def figures(dataset: Dataset, gap: float, jitter: float = 0.0) -> list[str]:
    return ceiling(dataset, [gap], [jitter])["rows"][0][1:]


def test_separate_sounds_are_all_found() -> None:
    assert figures(a_set((1.0, 2.0), (3.0, 4.0)), 0.0) == [2, "1.000", "1.000"]


def test_of_two_that_touch_neither_is() -> None:
    """One event of 2 s is told where two of 1 s were asked for, and a third is right: 1 of 2 told, 1 of 3 asked for."""
    assert figures(a_set((1.0, 2.0), (2.0, 3.0), (5.0, 6.0)), 0.0) == [3, "0.400", "0.400"]


def test_frames_that_pause_where_two_touch_find_both() -> None:
    touching = a_set((1.0, 2.0), (2.0, 3.0), (2.95, 4.0), (5.0, 6.0))
    rows = ceiling(touching, [0.0], [0.0], apart=0.16)["rows"]
    assert [row[0] for row in rows] == ["0 s", "0 s, 0.16 s apart"]
    assert rows[1][1:] == [4, "1.000", "1.000"]
    told = drawn_apart(touching.items[0].strong, 0.2)
    ends = np.array([(s.onset, s.offset) for s in told])
    assert ends == pytest.approx(np.array([(1.0, 1.9), (2.1, 2.85), (3.05, 4.0), (5.0, 6.0)]))


def test_joined_on_both_sides_they_are_one() -> None:
    assert figures(a_set((1.0, 2.0), (2.1, 3.0)), 0.15) == [1, "1.000", "1.000"]


def test_ends_moved_by_more_than_the_collar_are_missed() -> None:
    far = a_set(*((10.0 * k, 10.0 * k + 5) for k in range(1, 40)))
    f1 = float(figures(far, 0.0, jitter=0.3)[1])
    # Within 0.2 s at the onset and 20 % of 5 s at the offset: P(|N(0, 0.3)| <= 0.2) * P(<= 1) = 0.495
    assert 0.4 < f1 < 0.6


def test_moved_ends_keep_their_order() -> None:
    out = moved([Sound(0, 0.1, 0.2)] * 200, 0.5, np.random.default_rng(0))
    assert all(0 <= sound.onset < sound.offset for sound in out)


def test_without_times_there_is_nothing_to_reach() -> None:
    with pytest.raises(ValueError, match="expected recordings with the times"):
        ceiling(Dataset("clips", ("a",), (Item("a", Path("a.wav"), weak=(0,)),)), [0.0], [0.0])


def test_the_command_prints_the_table_and_refuses_a_set_without_times(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "labels.csv").write_text("file,label\na.wav,note\n")
    (folder / "strong.tsv").write_text("filename\tonset\toffset\tevent_label\na.wav\t1\t2\tnote\na.wav\t2\t3\tnote\n")
    asked = ["--data", str(tmp_path), "--folder", "set", "--format", "table"]
    told = CliRunner().invoke(command, [*asked, "--set", "events=strong.tsv"], catch_exceptions=False)
    assert "| 0 s | 2 | 0.000 | 0.000 |" in told.output
    assert "| 0.15 s | 1 | 1.000 | 1.000 |" in told.output
    with pytest.raises(ConfigError, match="expected recordings with the times"):
        CliRunner().invoke(command, asked, catch_exceptions=False)
