"""Figures of each device: a microphone that hears nothing high is wrong about what is high, and the report says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training.data import decode
from training.data.dataset import Dataset, Item, Sound
from training.evaluation import devices, heard, report
from training.evaluation.targets import Target

RATE, LABELS = 16_000, ("low", "high")
TONES = {"low": 400.0, "high": 4000.0}
FRAME = 320


def ear(samples):
    """The share of each tone's band in frames of 20 ms; where nothing sounds, a guess of low that decides nothing."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = np.stack([power[:, 4:13].sum(1), power[:, 75:86].sum(1)], axis=1)
    share = bands / (power.sum(1, keepdims=True) + 1e-9)
    scores = np.where(power.sum(1, keepdims=True) > 1, share, [[0.01, 0.0]])
    return ScoreBlock("r", 0, FRAME, RATE, scores.astype(np.float32), FRAME)


EAR = Target("ear", "float network", LABELS, RATE, Decode(), ear, None, lambda *_: False, None, None)


@pytest.fixture(scope="module")
def listened(tmp_path_factory):
    """Four clips by a good microphone, and the same by one that hears nothing high; in two folds."""
    folder, items = tmp_path_factory.mktemp("tones"), []
    for device in ("good", "deaf"):
        for n in range(4):
            label = LABELS[n % 2]
            x = np.zeros(2 * RATE, np.float32)
            if (device, label) != ("deaf", "high"):
                x[8000:24_000] = 0.3 * np.sin(2 * np.pi * TONES[label] * np.arange(RATE) / RATE)
            path = folder / f"{device}-{n}.wav"
            soundfile.write(path, x, RATE)
            sound = Sound(n % 2, 0.5, 1.5)
            items.append(Item(path.name, path, (n % 2,), (sound,), fold=1 + n // 2, device=device))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode.platformdirs, "user_cache_path", lambda *_: folder / "cache")
        return heard.hear(EAR, Dataset("tones", LABELS, tuple(items), exclusive=True))


@pytest.fixture(scope="module")
def found(listened):
    return devices.measure_each(listened, LABELS, Decode(), exclusive=True)


def test_each_device_is_measured_by_its_own_recordings(found):
    assert found["clip_accuracy"] == 0.75
    assert {name: one["recordings"] for name, one in found["by_device"].items()} == {"deaf": 4, "good": 4}
    good, deaf = (found["by_device"][name] for name in ("good", "deaf"))
    assert (good["clip_accuracy"], good["auc"], good["event_f1"]) == (1.0, 1.0, 1.0)
    # Of the deaf one's four clips the two low ones are right; low is found without a fault, high never.
    assert (deaf["clip_accuracy"], deaf["event_f1"]) == (0.5, 0.5)
    assert "by_class" not in deaf


def test_recordings_that_do_not_tell_have_no_figures_of_devices(listened):
    silent = [replace(h, item=replace(h.item, device="", strong=None)) for h in listened]
    assert "by_device" not in devices.measure_each(silent, LABELS, Decode(), exclusive=True)


def test_folds_have_the_mean_of_each_device_that_all_of_them_have(found):
    worse = {name: found["by_device"][name] | {"clip_accuracy": 0.0} for name in ("deaf", "good")}
    together = devices.across_each([found, found | {"by_device": worse}], found)["by_device"]
    assert (together["good"]["mean"]["clip_accuracy"], together["deaf"]["mean"]["clip_accuracy"]) == (0.5, 0.25)
    assert together["good"]["deviation"]["clip_accuracy"] == pytest.approx(0.5**0.5)
    assert together["good"]["pooled"]["clip_accuracy"] == 1.0
    partly = devices.across_each([found, found | {"by_device": {"good": worse["good"]}}], found)
    assert list(partly["by_device"]) == ["good"]


@pytest.mark.parametrize("folds", [False, True])
def test_the_page_has_a_row_for_each_device(found, folds):
    quiet = {"silence_60s": {}, "white_noise": {}}
    section = {
        "kind": "evaluation",
        "labels": list(LABELS),
        "data": {"name": "tones", "recordings": 8, "folder": "tones"},
        "targets": [{"name": "ear", "form": "float network", "held_out": None, "figures": found, "quiet": quiet}],
    }
    if folds:
        section["folds"] = devices.across_each([found, found], found)
    page = report.markdown(section)
    assert ("| deaf | 4 | 50.0% ± 0.0% |" if folds else "| ear | deaf | 4 | 50.0% |") in page
    assert "By device:" in page
