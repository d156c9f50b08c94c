"""Procedures of several stages on a tiny set: what each stage is taught, and that a killed one goes on where it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch import nn

from edge.frontend.spec import parse
from training.data import decode
from training.data.dataset import Dataset, Item
from training.data.shelf import Shelf
from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import Head
from training.layers.network import Network
from training.layers.streaming import Sequential
from training.losses.frame_clip import FrameClipSettings, frame_clip
from training.procedures.iterate import IterateSettings, Smoothing, iterate
from training.procedures.registry import Job
from training.procedures.stages import labelled, shown, tagged, taught
from training.procedures.targets import masked, smoothed
from training.procedures.two_pass import TwoPassSettings, two_pass
from training.sampling import Material
from training.sampling.clips import Clips, ClipsSettings

RATE, HOP, BANDS = 8000, 400, 8
SPEC = parse(
    {
        "rate": RATE,
        "frames": {"window": 400, "hop": HOP},
        "bands": {"kind": "mel", "count": BANDS, "low": 50.0, "high": 4000.0},
        "scale": {"kind": "ln", "floor": 1e-6},
        "post": [{"kind": "standardise", "mean": -8.0, "std": 3.0}],
    }
)
HOW = {"steps": 12, "batch": 4, "warmup": 1, "rate": 0.02, "average": 0.5}
TWO_PASS = TwoPassSettings(first_steps=8, first_batch=3, **HOW)
RETRAINED = TwoPassSettings(first_steps=8, first_batch=3, frames="none", **HOW)
SMOOTHING = Smoothing(median=0.15, sigma=0.05)
ITERATE = IterateSettings(teacher_steps=8, rounds=3, smoothings=[SMOOTHING], **HOW)
SEVERAL = IterateSettings(teacher_steps=8, rounds=2, smoothings=[Smoothing(median=0.0, sigma=0.0), SMOOTHING], **HOW)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def dataset(tmp_path):
    """Two seconds of faint noise and in it one of a tone; four labelled recordings, then two that are not."""
    rng, t, items = np.random.default_rng(0), np.arange(2 * RATE) / RATE, []
    for k in range(6):
        tone = np.sin(2 * np.pi * (300, 2500)[k % 2] * t) * ((t >= 0.5) & (t < 1.5))
        soundfile.write(tmp_path / f"{k}.wav", 0.3 * tone + 0.001 * rng.standard_normal(len(t)), RATE)
        items.append(Item(f"{k}", tmp_path / f"{k}.wav", weak=(k % 2,) if k < 4 else None))
    return Dataset("tones", ("low", "high"), tuple(items))


def network(_=None):
    body = Sequential(Conv((1, 6), (3, BANDS), collapse=True), Dropout(0.3), Conv((6, 6)))
    return Network(body, Head(nn.Linear(6, 2)), BANDS)


def job(dataset, folder, until=None):
    folder.mkdir(exist_ok=True)
    material = Material(dataset, None, Shelf(RATE), SPEC)

    def redraw(material):
        sampler = Clips(ClipsSettings(seconds=1.0, balance="items"), material)
        return lambda size, step: sampler.batch(size, 0, step)

    torch.manual_seed(0)
    loss = frame_clip(FrameClipSettings(frame_weight=1.0, clip_weight=1.0), 2)
    more = {"until": until, "build": network, "material": material, "redraw": redraw, "seed": 3}
    inner = dataset.where(lambda item: item.weak is not None)
    return Job(network(), redraw(material), loss, folder / "checkpoint.safetensors", inner=inner, **more)


@pytest.mark.parametrize(
    ("procedure", "stages"),
    [(two_pass(TWO_PASS), 1), (two_pass(RETRAINED), 1), (iterate(ITERATE), 4), (iterate(SEVERAL), 4)],
)
def test_a_training_killed_in_any_stage_gives_the_same_weights(procedure, stages, dataset, tmp_path):
    whole = procedure(job(dataset, tmp_path / "whole"))
    assert len(list((tmp_path / "whole").glob("checkpoint.*.lesson.safetensors"))) == stages
    folder = tmp_path / "cut"
    for until, learnt in ((5, 0), (10, 0), (11, 0), (11, 11)) if stages == 1 else ((5, 0), (10, 0), (12, 12)):
        torch.manual_seed(until)  # a process of its own
        assert len(procedure(job(dataset, folder, until)).curve) in (learnt, until)
    rest = procedure(job(dataset, folder))
    assert rest.curve == whole.curve
    assert all(torch.equal(rest.weights[name], value) for name, value in whole.weights.items())


def test_a_killed_stage_is_not_taken_for_a_finished_one(dataset, tmp_path):
    assert iterate(ITERATE)(job(dataset, tmp_path / "run", 9)).curve == []  # the first two have 8 steps, a round has 12
    names = {path.name for path in (tmp_path / "run").iterdir()}
    lessons = {f"checkpoint.{name}.lesson.safetensors" for name in ("tagger", "teacher", "round1")}
    assert names == {"checkpoint.tagger.safetensors", "checkpoint.teacher.safetensors", *lessons}


def test_later_stages_are_taught_frames_alone_of_every_recording(dataset, tmp_path):
    frames = {item.name: np.full((40, 2), 0.25, np.float32) for item in dataset.items}
    found = taught(job(dataset, tmp_path / "run"), frames, {item.name: (1,) for item in dataset.items})
    batch = found.draw(8, 0)
    assert (batch.frame == 0.25).all()
    assert (batch.clip == -1).all()
    assert {item.weak for item in Clips(ClipsSettings(), found.material).items} == {(0,), (1,), None}


def test_a_first_stage_is_drawn_from_labelled_recordings_alone(dataset, tmp_path):
    batches = [labelled(job(dataset, tmp_path / "run")).draw(8, step) for step in range(3)]
    assert all((batch.clip >= 0).all() for batch in batches)


def test_tags_of_unlabelled_recordings_are_taught_as_labels_of_clips(dataset, tmp_path):
    found = tagged(job(dataset, tmp_path / "run"), {item.name: (1,) for item in dataset.items})
    batch = found.draw(8, 0)
    assert batch.clip.tolist() == [[0.0, 1.0]] * 8
    assert batch.frame is None


@pytest.mark.parametrize("procedure", [two_pass(RETRAINED), iterate(ITERATE)])
def test_the_second_network_learns_from_the_clips_of_all_recordings(procedure, dataset, tmp_path):
    """Card 12 and passes 0 and 1 of card 34: the tagger's labels, from then on."""
    seen = drawn_from(procedure, job(dataset, tmp_path / "run"))
    assert [(len(m.dataset), len(m.frames)) for m in seen[:2]] == [(4, 0), (6, 0)]
    assert all(item.weak is not None for item in seen[1].dataset.items)


def material_taught(procedure, job):
    """What the last stage of a procedure draws from."""
    return drawn_from(procedure, job)[-1]


def drawn_from(procedure, job):
    """What the stages of a procedure draw from."""
    drawn = []

    def redraw(material):
        drawn.append(material)
        return job.redraw(material)

    procedure(replace(job, redraw=redraw))
    return drawn


def test_a_gated_pass_teaches_the_labels_where_the_tone_sounds(dataset, tmp_path):
    """It sounds in frames 10 … 29 of 40. A tone has energy in few bands, so its gate is below the mean of all (0)."""
    known = replace(dataset, items=dataset.items[:4])
    settings = TwoPassSettings(frames="loud", gate=-0.7, **HOW)
    found = material_taught(two_pass(settings), job(known, tmp_path / "run"))
    for name, frames in found.frames.items():
        assert np.flatnonzero(frames[:, int(name) % 2]).tolist() == list(range(10, 30))
        assert not frames[:, 1 - int(name) % 2].any()


def test_a_pass_over_labelled_recordings_needs_no_tagger(dataset, tmp_path):
    known = replace(dataset, items=dataset.items[:4])
    fitted = two_pass(TWO_PASS)(job(known, tmp_path / "run"))
    assert fitted.figures["tagged"] == 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.safetensors"]


def test_unlabelled_recordings_alone_cannot_be_tagged(dataset, tmp_path):
    unknown = replace(dataset, items=dataset.items[4:])
    with pytest.raises(ValueError, match="tones: expected labelled recordings for the first pass, got none"):
        two_pass(TWO_PASS)(job(unknown, tmp_path / "run"))


def test_a_round_has_a_network_for_each_smoothing_and_the_last_learns_each_classs_best(dataset, tmp_path):
    """What teaches a class in the end is what one student says of it, by the smoothing that this one learnt from."""
    own = job(dataset, tmp_path / "run")
    seen = drawn_from(iterate(SEVERAL), own)
    assert len(seen) == 5  # tagger, teacher, a round of two, the network
    rough, smooth, last = (np.concatenate([m.frames[item.name] for item in dataset.items[:4]]) for m in seen[2:])
    assert np.abs(np.diff(smooth, axis=0)).sum() < 0.9 * np.abs(np.diff(rough, axis=0)).sum()
    said = []
    for k, widths in ((1, (1, 0.0)), (2, (3, 1.0))):
        student = network().eval()
        student.load_state_dict(load_file(tmp_path / f"run/checkpoint.round1-{k}.safetensors"))
        frames = shown(own, student, dataset.where(lambda item: item.weak is not None))
        said.append(np.concatenate([masked(smoothed(one.frame, *widths), one.item.weak) for one in frames]))
    assert np.abs(said[0] - said[1]).max(0).min() > 0.01
    assert all(any(np.array_equal(last[:, c], one[:, c]) for one in said) for c in (0, 1))


def test_soft_frames_keep_to_the_labels(dataset, tmp_path):
    found = material_taught(iterate(ITERATE), job(dataset, tmp_path / "run"))
    for item in found.dataset.items[:4]:
        frames = found.frames[item.name]
        assert not frames[:, 1 - item.weak[0]].any()
        assert ((frames[:, item.weak[0]] > 0) & (frames[:, item.weak[0]] < 1)).all()


@pytest.mark.parametrize("procedure", [two_pass(TWO_PASS), iterate(ITERATE)])
def test_a_sampler_that_teaches_no_found_frames_is_refused_before_anything_is_trained(procedure, dataset, tmp_path):
    with pytest.raises(ValueError, match="expected `clips` or `windows` sampling"):
        procedure(replace(job(dataset, tmp_path / "run"), material=None))
    assert not list((tmp_path / "run").iterdir())
