"""Times that nobody labelled: two tones that touch, in recordings that were labelled second by second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from msgspec import structs
from torch import nn

from edge.frontend.spec import parse
from training.data import decode
from training.data.dataset import Dataset, Item
from training.data.notes import Stretch
from training.data.shelf import Shelf
from training.layers.conv import Conv
from training.layers.heads import Head
from training.layers.network import Network
from training.layers.streaming import Sequential
from training.losses.frame_clip import FrameClipSettings, frame_clip
from training.procedures.notes import NotesSettings, draw_apart, taught_notes
from training.procedures.registry import Job
from training.sampling import Material
from training.sampling.windows import Windows, WindowsSamplingSettings

RATE, FRAME, BANDS = 8000, 0.05, 8
SPEC = parse(
    {
        "rate": RATE,
        "frames": {"window": 400, "hop": 400},
        "bands": {"kind": "mel", "count": BANDS, "low": 50.0, "high": 4000.0},
        "scale": {"kind": "ln", "floor": 1e-6},
    }
)
SETTINGS = NotesSettings(steps=6, batch=2, warmup=1, rate=0.02, average=0.5, apart=0.1, shortest=0.2, blur=0.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def dataset(tmp_path):
    """Six seconds: 0.5 to 1.3 s low, to 2.1 s high; at 4.2 s what the labels do not know, at 5.5 s one more."""
    rng, t = np.random.default_rng(0), np.arange(6 * RATE) / RATE
    sound = 0.001 * rng.standard_normal(len(t))
    for onset, offset, hz in ((0.5, 1.3, 300), (1.3, 2.1, 2500), (4.2, 4.7, 300), (5.5, 5.9, 300)):
        sound += 0.3 * np.sin(2 * np.pi * hz * t) * ((t >= onset) & (t < offset))
    soundfile.write(tmp_path / "x.wav", sound, RATE)
    heard = [(0,), (0,), (0,), (), (), (0,)]
    items = [Item(f"x@{k}", tmp_path / "x.wav", weak=heard[k], start=k, stop=k + 1, group="x") for k in range(6)]
    return Dataset("calls", ("call",), tuple(items))


def job(dataset, folder, drawn):
    folder.mkdir(exist_ok=True)
    material = Material(dataset, None, Shelf(RATE), SPEC)

    def redraw(material):
        drawn.append(material)
        sampler = Windows(WindowsSamplingSettings(windows=6), material)
        return lambda size, step: sampler.batch(size, 0, step)

    torch.manual_seed(0)
    loss = frame_clip(FrameClipSettings(frame_weight=1.0, clip_weight=0.0), len(dataset.labels))
    network = Network(
        Sequential(Conv((1, 6), (3, BANDS), collapse=True)), Head(nn.Linear(6, len(dataset.labels))), BANDS
    )
    one = {"material": material, "redraw": redraw, "seed": 3}
    return Job(network, redraw(material), loss, folder / "checkpoint.safetensors", **one)


def stretches(frames):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], frames[:, 0] > 0.5, [0]]).astype(int)))
    return (edges * FRAME).reshape(-1, 2)


def test_notes_are_taught_where_labels_and_energy_agree_and_those_that_touch_are_apart(dataset, tmp_path):
    drawn = []
    fitted = taught_notes(SETTINGS)(job(dataset, tmp_path / "run", drawn))
    assert fitted.figures["notes"] == 3
    whole = np.concatenate([drawn[-1].frames[item.name] for item in dataset.items])
    assert stretches(whole) == pytest.approx(np.array([(0.5, 1.25), (1.35, 2.1), (5.5, 5.9)]), abs=FRAME + 1e-6)


def test_the_sampler_gives_found_frames_in_place_of_the_windows_labels(dataset, tmp_path):
    drawn = []
    taught_notes(SETTINGS)(job(dataset, tmp_path / "run", drawn))
    batch = Windows(WindowsSamplingSettings(windows=6), drawn[-1]).batch(1, 0, 0)
    whole = np.concatenate([drawn[-1].frames[item.name] for item in dataset.items])
    assert batch.frame.shape == (1, 120, 1)
    assert np.array_equal(batch.frame[0].numpy(), whole[:120])


@pytest.mark.parametrize(("changes", "count"), [({"turn": 1.0, "reach": 3.0}, 2), ({"gate": 200.0}, 0)])
def test_without_cuts_touching_notes_are_one_and_a_high_gate_finds_none(changes, count, dataset, tmp_path):
    drawn = []
    settings = structs.replace(SETTINGS, **changes)
    assert taught_notes(settings)(job(dataset, tmp_path / "run", drawn)).figures["notes"] == count
    if not count:  # a labelled window without a note teaches nothing, one without the label silence
        frames = [drawn[-1].frames[item.name] for item in dataset.items]
        assert [set(part[:, 0]) for part in frames] == [{-1}, {-1}, {-1}, {0}, {0}, {-1}]


def test_of_several_labels_nobody_knows_whose_a_note_is_but_silence_is_silence(dataset, tmp_path):
    drawn = []
    two = tuple(replace(item, weak=(0, 1)) if item.name == "x@0" else item for item in dataset.items)
    taught_notes(SETTINGS)(job(replace(dataset, labels=("call", "song"), items=two), tmp_path / "run", drawn))
    assert set(np.unique(drawn[-1].frames["x@0"])) == {-1, 0}
    assert {tuple(frame) for frame in drawn[-1].frames["x@1"]} == {(0, 0), (1, 0)}


def test_unlabelled_recordings_are_not_taught(dataset, tmp_path):
    known = replace(dataset, items=tuple(replace(item, weak=None) for item in dataset.items))
    begun = job(dataset, tmp_path / "run", [])
    with pytest.raises(ValueError, match="expected a labelled window"):
        taught_notes(SETTINGS)(replace(begun, material=replace(begun.material, dataset=known)))


def test_apart_by_hand():
    targets = np.full(12, -1.0, np.float32)
    draw_apart(targets, [Stretch(1, 4), Stretch(4, 8), Stretch(9, 11)], 2)
    assert targets.tolist() == [-1, 1, 1, 0, 0, 1, 1, 1, -1, 1, 1, -1]
