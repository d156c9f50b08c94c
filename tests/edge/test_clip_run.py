"""Clips of the whole program: `wheatear run` on a file, and the samples that it kept."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from edge.demo import RATE, scene


def wheatear(*arguments):
    command = [sys.executable, "-c", "from edge.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def configured(tmp_path):
    """A file of the scene at three times the model's rate, and a configuration that keeps clips of it."""
    samples = np.repeat(scene()[0][: 15 * RATE], 3)
    path = tmp_path / "scene.wav"
    soundfile.write(path, samples, 3 * RATE, subtype="PCM_16")

    def write(privacy=""):
        config = tmp_path / "sensor.toml"
        config.write_text(
            f'version = 2\ndevice = "hut"\n[[streams]]\nname = "mic"\nsource = "{path}"\ngain_db = 6.0\n'
            f'[clips]\nenabled = true\nfolder = "{tmp_path}/clips"\nmin_free_mb = 0\n{privacy}'
        )
        return config

    write.sound = soundfile.read(path, dtype="float32")[0]
    write.clips = tmp_path / "clips"
    return write


def test_every_event_has_its_clip_and_every_clip_is_the_source(configured):
    done = wheatear("run", "--config", configured(), "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [event for event in events if event["type"] == "end"]
    told = [event["detail"] for event in events if event["type"] == "health"]
    assert ends
    kept = {}
    for path in configured.clips.rglob("*.flac"):
        about = json.loads(path.with_suffix(".json").read_text())
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == about["rate"] == 3 * RATE
        assert np.array_equal(samples, configured.sound[about["start_sample"] : about["stop_sample"]])
        kept |= {event["id"]: about for event in about["events"]}
    for event in ends:
        clip = kept[event["id"]]
        assert clip["start_sample"] <= event["onset_sample"]
        assert clip["stop_sample"] >= min(event["offset_sample"], len(configured.sound))
    assert sorted(detail["clip"] for detail in told) == sorted({clip["clip"] for clip in kept.values()})
    assert sorted(id for detail in told for id in detail["events"]) == sorted(kept)


def test_a_class_of_the_streams_model_can_be_private(configured):
    everything = wheatear("run", "--config", configured(), "--json")
    label = next(json.loads(line)["label"] for line in everything.stdout.splitlines() if '"begin"' in line)
    for path in configured.clips.rglob("*.*"):
        path.unlink()
    done = wheatear("run", "--config", configured(f'[clips.privacy]\nlabels = ["{label}"]\nthreshold = 0.1\n'))
    assert done.returncode == 0, done.stderr
    for path in configured.clips.rglob("*.flac"):
        about = json.loads(path.with_suffix(".json").read_text())
        assert label not in [event["label"] for event in about["events"]]
        samples, _ = soundfile.read(path, dtype="float32")
        expected = configured.sound[about["start_sample"] : about["stop_sample"]].copy()
        for first, last in about["masked"]:
            expected[first - about["start_sample"] : last - about["start_sample"]] = 0
        assert np.array_equal(samples, expected)


def test_a_private_label_that_no_model_knows_ends_the_start(configured):
    done = wheatear("run", "--config", configured('[clips.privacy]\nlabels = ["unicorn"]\n'))
    assert done.returncode == 2
    assert "clips.privacy.labels: expected labels of the stream's models, got 'unicorn'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_can_be_chosen_and_an_unknown_one_is_refused(configured):
    done = wheatear("run", "--config", configured(), "--profile", "raspberry-pi-zero-2-w", "--json")
    assert done.returncode == 0, done.stderr
    assert '"begin"' in done.stdout
    done = wheatear("run", "--config", configured(), "--profile", "pi-9")
    assert done.returncode == 2
    assert "device_profile.name: expected auto or one of generic" in done.stderr
