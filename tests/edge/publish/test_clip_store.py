"""Clips on disk: age, space and minimum per class; a disk that never fills; names that never leave the folder."""

import json
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.clips import Clips
from edge.errors import ClipError
from edge.publish.clipstore import MB, ClipStore

RATE = 8000
NOISE = np.random.default_rng(0).integers(-(2**15), 2**15, 60 * RATE).astype(np.float32) / 2**15
UTC = 1_777_609_800 * 10**9


def store(folder, statvfs=os.statvfs, device="hut", stream="mic", **limits):
    return ClipStore(Clips(**{"min_free_mb": 0, **limits}), folder, device, stream, statvfs)


def labels(folder):
    return sorted(path.name.split(".")[2] for path in folder.rglob("*.flac"))


def write(one, label, days_ago=0.0, seconds=1.0, start=0, **sidecar):
    name = one.write(label, NOISE[: int(seconds * RATE)], RATE, start, {"start_utc_ns": UTC, **sidecar})
    then = time.time() - days_ago * 86_400
    os.utime(one._root / name, (then, then))
    return name


def test_old_clips_go_but_for_the_newest_of_each_label(tmp_path):
    one = store(tmp_path, keep_days=10, keep_per_label=2)
    for day in (40, 30, 20, 5, 1):
        write(one, "rain", day)
    for day in (60, 50, 40):
        write(one, "owl", day)
    one.sweep()
    assert labels(tmp_path) == ["owl", "owl", "rain", "rain"]
    assert len(list(tmp_path.rglob("*.json"))) == 4


def test_without_days_nothing_goes_for_its_age(tmp_path):
    one = store(tmp_path, keep_days=0, keep_per_label=0)
    write(one, "rain", 4000)
    one.sweep()
    assert labels(tmp_path) == ["rain"]


def test_a_clip_of_before_the_clock_was_set_has_no_age(tmp_path):
    one = store(tmp_path, keep_days=1, keep_per_label=0)
    name = write(one, "rain")
    os.utime(tmp_path / name, (100, 100))
    one.sweep()
    assert labels(tmp_path) == ["rain"]


def test_space_is_bounded_and_the_oldest_go_first(tmp_path):
    one = store(tmp_path, max_mb=2, keep_per_label=1)
    write(one, "owl", 9, seconds=10)
    for index in range(30):
        write(one, "rain", 8 - index / 10, seconds=30, start=index)
        total = sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.is_file())
        assert total <= 2 * MB
    kept = sorted(int(path.name.split(".")[4]) for path in tmp_path.rglob("*.rain.*.flac"))
    assert kept == list(range(30 - len(kept), 30))
    assert labels(tmp_path)[0] == "owl"


def test_foreign_files_are_never_touched(tmp_path):
    one = store(tmp_path, keep_days=1, keep_per_label=0, max_mb=1)
    day = tmp_path / "mic" / "2020-01-01"
    day.mkdir(parents=True)
    foreign = [day / "holiday.flac", tmp_path / "notes.flac", day / "hut.mic.rain.undated.1.flac"]
    outside = tmp_path.parent / "outside.flac"
    for path in (*foreign, outside):
        path.write_bytes(b"x" * 3 * MB)
        os.utime(path, (1.6e9, 1.6e9))
    (day / "hut.mic.rain.undated.0000000001.flac").symlink_to(outside)
    write(one, "rain", 2)
    one.sweep()
    assert all(path.exists() for path in (*foreign, outside))
    assert not list(tmp_path.rglob("hut.mic.rain.20*.flac"))


class Disk:
    """A disk of `size` bytes that holds what stands in `folder`, told through statvfs."""

    def __init__(self, folder, size):
        self.folder, self.size = folder, size

    def __call__(self, path):
        used = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        return SimpleNamespace(f_bavail=self.size - used, f_frsize=1)


def test_the_disk_keeps_its_floor_whatever_is_asked_for(tmp_path):
    disk = Disk(tmp_path, 5 * MB)
    one = store(tmp_path, disk, max_mb=0, keep_days=0, keep_per_label=1, min_free_mb=2)
    for index in range(20):
        write(one, "rain", 1 - index / 100, seconds=30, start=index)
        assert disk(tmp_path).f_bavail >= 2 * MB
    assert 2 < len(labels(tmp_path)) < 20
    disk.size = 2 * MB
    with pytest.raises(
        ClipError, match=r"expected 2 MB free behind a clip of 0\.\d MB, 0\.\d MB are missing; make room"
    ):
        write(one, "rain")
    assert labels(tmp_path) == ["rain"]


@pytest.fixture
def tmpfs(tmp_path):
    """A real file system of 4 MB."""
    folder = tmp_path / "card"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_small_disk_keeps_its_floor(tmpfs):
    one = store(tmpfs, max_mb=0, keep_days=0, keep_per_label=0, min_free_mb=1)
    for index in range(20):
        write(one, "rain", 1 - index / 100, seconds=30, start=index)
        disk = os.statvfs(tmpfs)
        assert disk.f_bavail * disk.f_frsize >= MB
    assert 2 < len(labels(tmpfs)) < 20


def test_a_real_disk_that_fills_up_while_writing_leaves_nothing_half(tmpfs):
    one = store(tmpfs, lambda path: SimpleNamespace(f_bavail=10**9, f_frsize=1))
    (tmpfs / "other").write_bytes(b"x" * 3_900_000)
    with pytest.raises(ClipError, match="No space left on device"):
        write(one, "rain", seconds=30)
    assert [path.name for path in tmpfs.rglob("*") if path.is_file()] == ["other"]
    (tmpfs / "other").unlink()
    write(one, "rain", seconds=30)
    assert labels(tmpfs) == ["rain"]


def test_two_streams_share_a_folder(tmp_path):
    one, two = (store(tmp_path, stream=name, max_mb=1, keep_per_label=0) for name in ("north", "south"))
    for index in range(10):
        write(one, "rain", 1 - index / 100, seconds=12, start=index)
        write(two, "rain", 1 - index / 100, seconds=12, start=index)
    one.sweep()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.is_file()) <= MB


def test_what_a_killed_process_left_is_removed(tmp_path):
    one = store(tmp_path)
    name = write(one, "rain")
    half = (tmp_path / name).with_name(".hut.mic.rain.flac.part")
    half.write_bytes(b"half")
    one.clean()
    assert not half.exists()
    assert (tmp_path / name).exists()


def test_clips_are_not_written_through_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "mic").symlink_to(outside)
    with pytest.raises(ClipError, match="expected a folder, got a link"):
        write(store(tmp_path / "clips"), "rain")
    assert list(outside.iterdir()) == []


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80), st.one_of(st.none(), st.integers(0, 2**62)))
@settings(max_examples=60, deadline=None)
def test_no_name_leads_out_of_the_folder(tmp_path_factory, device, stream, label, utc):
    root = tmp_path_factory.mktemp("root")
    folder = root / "clips"
    name = store(folder, device=device, stream=stream).write(label, NOISE[:100], RATE, 5, {"start_utc_ns": utc})
    files = [path for path in root.rglob("*") if path.is_file()]
    assert sorted(files) == sorted([folder / name, (folder / name).with_suffix(".json")])
    assert ".." not in Path(name).parts
    assert len(Path(name).parts) == 3
    assert json.loads((folder / name).with_suffix(".json").read_text())["clip"] == name


def test_a_name_that_is_taken_is_not_overwritten(tmp_path):
    one = store(tmp_path)
    names = [write(one, "rain", start=7) for _ in range(3)]
    assert [Path(name).stem.rpartition(".")[2] for name in names] == ["0000000007", "0000000007-2", "0000000007-3"]


def test_clips_grow_old_where_nothing_new_is_heard(tmp_path):
    write(store(tmp_path), "rain", 5)
    one = store(tmp_path, keep_days=1, keep_per_label=0)
    one.tidy()
    assert labels(tmp_path) == []
    write(store(tmp_path), "rain", 5)
    one.tidy()  # not again within the hour
    assert labels(tmp_path) == ["rain"]


def test_tidying_where_nothing_is_makes_nothing(tmp_path):
    store(tmp_path / "clips").tidy()
    assert not (tmp_path / "clips").exists()
