"""Clips: orders of boundaries, halves with and without a class, a share of unlabelled recordings, found targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from edge.frontend import spec
from training import augment
from training.batch import NO_MORE, UNKNOWN
from training.data import decode
from training.data.annotations import timed
from training.data.dataset import Dataset, Item, Sound
from training.data.shelf import Shelf
from training.sampling import Material
from training.sampling.clips import Clips, ClipsSettings

RATE = 8000
SPEC = spec.parse(
    {
        "rate": RATE,
        "frames": {"window": 200, "hop": 80},
        "bands": {"kind": "mel", "count": 8, "low": 50.0, "high": 4000.0},
        "scale": {"kind": "ln", "floor": 1e-10},
    }
)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    soundfile.write(tmp_path / "tone.flac", 0.1 * np.sin(2 * np.pi * 800 * np.arange(2 * RATE) / RATE), RATE)
    return tmp_path / "tone.flac"


def clips(items, tables=(), frames=None, **settings):
    chain = augment.Chain(augment.parse(tables), rate=RATE)
    material = Material(Dataset("clips", ("a", "b"), tuple(items)), None, Shelf(RATE), SPEC, chain, frames or {})
    return Clips(ClipsSettings(**{"seconds": 2.0, "balance": "items", **settings}), material)


def test_the_order_of_a_whole_recording_is_taught(path):
    items = [Item("x", path, weak=(0, 1), order=(0, 2, 1, 3)), Item("y", path, weak=(1,), order=(2, 3))]
    orders = {tuple(row) for row in clips(items).batch(20, 1, 0).order.tolist()}
    assert orders == {(0, 2, 1, 3), (2, 3, NO_MORE, NO_MORE)}


def test_a_clip_without_sounds_has_an_empty_order_and_an_unlabelled_one_none(path):
    batch = clips([Item("x", path, weak=(), order=()), Item("y", path)]).batch(20, 1, 0)
    assert {tuple(row) for row in batch.order.tolist()} == {(NO_MORE,), (UNKNOWN,)}
    assert batch.known_order.tolist() == (batch.order[:, 0] == NO_MORE).tolist()


def test_a_piece_of_an_order_teaches_none_and_a_piece_of_times_its_own(path):
    sounds = (Sound(0, 0.0, 1.0), Sound(1, 0.5, 2.0))
    assert clips([Item("x", path, weak=(0, 1), order=(0, 2, 1, 3))], seconds=0.2).batch(4, 1, 0).order is None
    drawn = clips([timed(Item("x", path), sounds)], seconds=0.2)
    orders = {tuple(v for v in drawn.batch(1, 1, step).order[0].tolist() if v >= 0) for step in range(60)}
    assert orders == {(0, 1), (0, 2, 1, 3), (2, 3), (0, 2, 3, 1)} & orders
    assert {(0, 1), (2, 3)} <= orders


def test_a_mixed_batch_has_no_order(path):
    assert clips([Item("x", path, weak=(0,), order=(0, 1))], [{"kind": "mixup"}]).batch(2, 1, 0).order is None


def test_frames_that_the_recording_fills_are_counted(path):
    """Two seconds of 8 kHz: (16 000 - 200) / 80 + 1 = 198 frames of 25 ms that begin every 10 ms."""
    item = Item("x", path, weak=(0,))
    for more, expected in (({"seconds": 4.0}, 198), ({"seconds": 4.0, "repeat": True}, 398), ({"seconds": 0.5}, 48)):
        assert clips([item], **more).batch(2, 1, 0).heard.tolist() == [expected] * 2
    assert clips([item], [{"kind": "mixup"}], seconds=4.0).batch(2, 1, 0).heard is None


def test_half_of_a_batch_has_a_class_however_rare_the_others_are(path):
    items = [Item(f"p{k}", path, weak=(0,)) for k in range(58)] + [Item("n", path, weak=())]
    for size in (2, 8, 10):
        assert [float(clips(items, balance="halves").batch(size, 3, k).clip.sum()) for k in range(3)] == [size / 2] * 3
    with pytest.raises(ValueError, match="`halves` expects recordings with and without any class, got 58 and 0"):
        clips(items[:-1], balance="halves")


def test_the_unlabelled_share_of_a_batch_is_exact(path):
    items = [Item(f"p{k}", path, weak=(0,)) for k in range(3)] + [Item(f"u{k}", path) for k in range(30)]
    batch = clips(items, balance="labels", unlabelled=0.5).batch(6, 1, 0)
    assert (batch.clip[:, 0] < 0).sum() == 3


def test_found_frames_go_before_labels_and_move_with_the_piece(path):
    found = np.linspace(0, 1, 200, dtype=np.float32)[:, None].repeat(2, 1)  # a target says where it was cut
    item = timed(Item("x", path), (Sound(0, 0.0, 2.0),))
    for step in range(5):
        frame = clips([item], frames={"x": found}, seconds=0.5).batch(1, 1, step).frame[0, :, 0].numpy()
        first = int(np.abs(found[:, 0] - frame[0]).argmin())
        np.testing.assert_array_equal(frame, found[first : first + len(frame), 0])
    assert clips([replace(item, name="y")], frames={"x": found}).batch(1, 1, 0).frame.unique().tolist() == [0.0, 1.0]
