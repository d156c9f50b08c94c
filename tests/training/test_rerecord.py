"""Clips as several devices hear them: the same clips for each, on disk and read back, labels hidden where asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.errors import ConfigError
from training import rerecord
from training.commands.compose import compose as command
from training.data import decode, sets, splits
from training.data.dataset import Sound
from training.data.device import Device

RATE = 8000
DEVICES = (Device(name="a"), Device(name="b", gain=-20.0))
TABLE = {"kind": "table", "folder": "calls", "fold": "fold"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: folder)


@pytest.fixture
def root(tmp_path):
    rows = ["file,fold,label", "1.wav,1,low", "2.wav,1,high", "3.wav,2,low", "4.wav,2,high"]
    (tmp_path / "calls").mkdir()
    for k in range(4):
        sound = 0.1 * np.sin(2 * np.pi * 300 * (1 + k) * np.arange(RATE // 2) / RATE)
        soundfile.write(tmp_path / f"calls/{k + 1}.wav", sound, RATE)
    (tmp_path / "calls/labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def written(root: Path, out: str = "both", table: dict = TABLE) -> Path:
    for _ in rerecord.rerecord(table, DEVICES, root, root / out, RATE):
        pass
    return root / out


def test_each_device_has_every_clip_with_its_label_its_fold_and_its_sound(root):
    old, new = sets.load("table", root / "calls", fold="fold"), sets.load("devices", written(root))
    assert (new.labels, len(new)) == (old.labels, 8)
    for device, loudness in (("a", 1.0), ("b", 0.1)):
        own = new.where(lambda item, device=device: item.device == device)
        assert [(i.weak, i.fold) for i in own.items] == [(i.weak, i.fold) for i in old.items]
        for before, after in zip(old.items, own.items, strict=True):
            np.testing.assert_allclose(after.samples(RATE), loudness * before.samples(RATE), atol=1e-4)


def test_a_clip_and_its_likes_are_on_one_side_of_every_split(root):
    both = sets.load("devices", written(root))
    assert [item.group for item in both.items] == ["1.wav", "2.wav", "3.wav", "4.wav"] * 2
    split = splits.hold_out(both, 0.25, 0)
    assert {i.group for i in split.test.items}.isdisjoint(i.group for i in split.train.items)


def test_labels_of_a_device_are_hidden_where_a_training_must_not_know_them(root):
    out = written(root)
    hidden, known = sets.load("devices", out, unlabelled=("b",)), sets.load("devices", out)
    for item, own in zip(hidden.items, known.items, strict=True):
        assert item.weak == (None if item.device == "b" else own.weak)
    with pytest.raises(ValueError, match=r"expected `unlabelled` of the devices a, b, got 'c'"):
        sets.load("devices", out, unlabelled=("c",))


def test_any_table_may_say_its_devices(root):
    path = root / "calls/labels.csv"
    path.write_text("file,label,source_label\n1.wav,low,a\n2.wav,high,a\n3.wav,low,b\n")
    found = sets.load("table", root / "calls", device="source_label", unlabelled=("b",))
    assert [(item.device, item.weak) for item in found.items] == [("a", (1,)), ("a", (0,)), ("b", None)]
    with pytest.raises(ValueError, match=r"of the devices \(`device` names no column\), got 'b'"):
        sets.load("table", root / "calls", unlabelled=("b",))


def test_times_stay(root):
    (root / "calls/strong.tsv").write_text(
        "filename\tonset\toffset\tevent_label\n1.wav\t0.1\t0.25\tlow\n2.wav\t0.0\t0.5\thigh\n"
        "3.wav\t0.2\t0.3\tlow\n4.wav\t0.3\t0.4\thigh\n"
    )
    both = sets.load("devices", written(root, table=TABLE | {"events": "strong.tsv"}))
    low = both.labels.index("low")
    assert [both.items[k].strong for k in (0, 4)] == [(Sound(low, 0.1, 0.25),)] * 2
    hidden = sets.load("devices", root / "both", unlabelled=("b",))
    assert hidden.items[4].strong is None


def test_the_same_devices_give_the_same_bytes_and_a_folder_that_holds_something_is_left_alone(root):
    first, second = written(root, "first"), written(root, "second")
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 8 + 2
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    with pytest.raises(ConfigError, match="expected a new or empty folder"):
        written(root, "first")


def test_the_command_writes_devices_and_its_file_serves_another_set(root):
    arguments = ["--data", root, "--devices", "microphones", "--foreground", "table:calls", "--out", root / "out"]
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.output == f"{root / 'out'}: 12 clips, 4 by each of a, b, c\n"
    said = json.loads((root / "out/devices.json").read_text())
    assert (said["labels"], said["rate"], said["devices"][0]) == (["high", "low"], 16_000, {"name": "a"})
    arguments[3], arguments[-1] = root / "out/devices.json", root / "again"
    CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert (root / "again/audio/c/00001.flac").read_bytes() == (root / "out/audio/c/00001.flac").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --devices with one --foreground FORMAT:FOLDER, got 0"),
        (["--foreground", "table:calls", "--snr", "0", "9"], "expected --devices without --snr, which is for scenes"),
        (["--foreground", "table:calls", "--by-fold"], "expected --devices without --by-fold"),
        (["--foreground", "soundscapes:calls"], r"compose: calls: expected labelled recordings, got '1\.wav' without"),
    ],
)
def test_what_the_command_refuses(root, arguments, message):
    common = ["--data", str(root), "--out", str(root / "out"), "--devices", "microphones"]
    result = CliRunner().invoke(command, [*common, *arguments])
    with pytest.raises(ConfigError, match=message):
        raise result.exception


def test_a_folder_that_was_not_composed_says_what_was_expected(root):
    with pytest.raises(ValueError, match=r"expected clips of several devices at .*devices\.json, got nothing there"):
        sets.load("devices", root / "calls")
    (root / "calls/devices.json").write_text("{}")
    with pytest.raises(ValueError, match=r"expected what `wheatear compose --devices` writes, got: .*labels"):
        sets.load("devices", root / "calls")
