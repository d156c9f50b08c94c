"""Bad files are found before a training starts, and named."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from training.data.check import check
from training.data.dataset import Dataset, Item, Sound


@pytest.fixture
def dataset(tmp_path, tone):
    items = [Item(f"{k}.wav", tone(tmp_path / f"{k}.wav"), weak=(k % 2,)) for k in range(4)]
    return Dataset("birds", ("tit", "wren"), tuple(items))


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "no sound":
        path.write_text("this is text")
    elif how == "empty":
        soundfile.write(path, [], 8000)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:30])


def test_a_good_set_is_passed_on_with_its_length(dataset):
    checked = check(dataset, 8000)
    assert (checked.dataset, checked.bad) == (dataset, ())
    assert checked.seconds == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", r"expected a sound file at .*1\.wav, got nothing there"),
        ("no sound", r"expected a sound file at .*1\.wav, got: .*"),
        ("empty", r"expected sound in .*1\.wav, got none"),
        ("cut", r"expected a sound file at .*1\.wav, got: .*"),
    ],
)
def test_a_bad_file_is_named_or_left_out_and_counted(dataset, how, message):
    damage(dataset.items[1].path, how)
    with pytest.raises(ValueError, match=f"{message}; repair them, or leave them out with --skip-bad"):
        check(dataset)
    checked = check(dataset, skip_bad=True)
    assert [item.name for item in checked.dataset.items] == ["0.wav", "2.wav", "3.wav"]
    assert len(checked.bad) == 1


def test_how_many_more_there_are_is_said(dataset):
    for item in dataset.items[:3]:
        damage(item.path, "missing")
    with pytest.raises(ValueError, match=r"0\.wav, got nothing there \(and 2 more like it\)"):
        check(dataset)


def test_a_class_that_loses_its_last_file_is_refused(dataset):
    for item in dataset.items[1::2]:
        damage(item.path, "no sound")
    with pytest.raises(
        ValueError, match=r"birds without its 2 bad files: expected recordings of every class.* of wren"
    ):
        check(dataset, skip_bad=True)


def test_another_rate_is_refused_where_one_is_asked_for(dataset, tone):
    tone(dataset.items[2].path, rate=16_000)
    check(dataset, "any")
    with pytest.raises(ValueError, match=r'expected 8000 Hz in .*2\.wav, got 16000 Hz; resample .* rate = "any"'):
        check(dataset, 8000)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"strong": (Sound(0, 0.1, 0.5),)}, r"expected at least 0\.5 s in .*, as its labels say, got 0\.25 s"),
        ({"start": 0.1, "stop": 0.4}, r"expected at least 0\.4 s"),
        ({"start": 0.3}, r"expected more than 0\.3 s in .*, where a stretch begins, got 0\.25 s"),
    ],
)
def test_a_file_that_ends_before_its_labels_is_refused(tmp_path, tone, item, message):
    one = Dataset("one", ("a",), (Item("a.wav", tone(tmp_path / "a.wav"), weak=(0,), **item),))
    with pytest.raises(ValueError, match=message):
        check(one)


def test_nothing_left_is_an_error(dataset):
    for item in dataset.items:
        damage(item.path, "missing")
    with pytest.raises(ValueError, match="birds: expected some files that can be read, got none; the first: "):
        check(dataset, skip_bad=True)
