"""Sound through a core: what is counted is the real thing, and the loops it is compared with compute the same."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench import model as bench_model
from bench import throughput
from bench.cli import bench
from bench.detectors import PlainLiteRt, SlidingWindow
from bench.latency import identity
from bench.result import parse
from bench.scene import busy_scene
from bench.throughput import bisect
from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.decode.event import EventMaker
from edge.demo import RATE
from edge.errors import ConfigError
from edge.frontend.stream import FrontEnd
from edge.inference import store
from edge.inference.model import Model
from edge.pipeline import Pipeline

DATA = Path(os.environ.get("WHEATEAR_DATA", "../shared/data"))
BIRDNET = DATA.parent / "models" / "birdnet-stm32" / "birdnet_stm32n6_100.tflite"
BIRDNET_CARD = Path(__file__).parents[2] / "docs" / "examples" / "birdnet-stm32" / "card.toml"


@given(st.integers(0, 3000))
def test_bisection_finds_the_limit_up_to_an_eighth(limit):
    tried = []

    def fits(count):
        tried.append(count)
        return count <= limit

    found = bisect(fits, 32, 2048)
    assert found <= limit
    assert found >= min(limit, 2048) - max(1, found // 8)
    assert max(tried) <= 2048
    assert len(tried) == len(set(tried)) <= 15


def test_a_file_gives_the_events_of_its_samples(tmp_path):
    model = Model.load("esc10-s")
    samples, _ = busy_scene(12)
    path = tmp_path / "scene.wav"
    soundfile.write(path, samples, RATE, "FLOAT")
    pipeline = Pipeline(model, EventMaker("d", "s", model.id, RATE, SampleClock(RATE)))
    direct = pipeline.push(AudioBlock("e", 0, RATE, samples)) + pipeline.flush("stop")
    assert [identity(event) for event in throughput.hear(model, path)] == [identity(event) for event in direct]
    assert direct


def test_two_streams_keep_up_and_none_is_left_behind():
    assert throughput.keeps_up(Model.load("esc10-s"), 2, 1.0, 0.1)


def test_the_hand_written_loop_computes_the_same_network():
    loop = SlidingWindow(store.find("esc10-s"))
    samples, _ = busy_scene(4)
    model = Model.load("esc10-s", "onnx")
    front, scorer = FrontEnd(model.spec), model.stream()
    front.reset("e", 0)
    ours = scorer.push(front.push(AudioBlock("e", 0, RATE, samples[RATE : 2 * RATE]))).scores
    scorer.reset("e", 0)
    theirs = loop.score(samples[RATE : 2 * RATE])
    assert len(theirs) == loop.frames == 49
    np.testing.assert_allclose(theirs[: len(ours)], ours, atol=2e-4)
    assert len(loop(samples)) == 31
    assert np.ptp(ours) > 0.01


def test_the_loops_refuse_models_that_are_not_theirs(tmp_path):
    folder = tmp_path / "birds"
    folder.mkdir()
    shutil.copy(BIRDNET_CARD, folder)
    with pytest.raises(ConfigError, match="birds: expected a stateful model with an ONNX file"):
        SlidingWindow(folder)
    with pytest.raises(ConfigError, match="esc10-s: expected a window model with a TFLite file"):
        PlainLiteRt(store.find("esc10-s"))


def test_the_plain_loop_scores_the_same_windows(tmp_path):
    if not BIRDNET.is_file():
        pytest.skip(f"needs {BIRDNET}")
    folder = tmp_path / "birdnet"
    folder.mkdir()
    shutil.copy(BIRDNET_CARD, folder)
    shutil.copy(BIRDNET, folder)
    model = Model.load(folder)
    rate = model.card.input.rate
    t = np.arange(4 * rate) / rate
    samples = (0.2 * np.sin(2 * np.pi * (3000 + 900 * np.sin(9 * t)) * t)).astype(np.float32)
    front, scorer = FrontEnd(model.spec), model.stream()
    front.reset("e", 0)
    ours = scorer.push(front.push(AudioBlock("e", 0, rate, samples))).scores
    theirs = PlainLiteRt(folder)(samples)
    # The border of a window is silence for the one and sound for the other: a few of 256 frames.
    assert len(ours) == len(theirs) > 1
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_every_file_of_a_model_gets_its_row(monkeypatch):
    monkeypatch.setattr(bench_model, "LOADS", 1)
    done = CliRunner().invoke(bench, ["model", "--duration", "1", "--rounds", "3", "--json"], catch_exceptions=False)
    (result,) = parse(done.stdout.encode()).results
    rows = {}
    for figure in result.figures:
        rows.setdefault(figure.row, {})[figure.column] = figure.value
    files = store.load_card(store.find("esc10-s")).files
    assert list(rows) == [f"{file.engine} {file.precision}" for file in files]
    first = next(iter(rows.values()))
    assert first["largest difference from onnx float32"] == 0
    for row in rows.values():
        assert row["step p50"] <= row["step p99"]
        assert row["load with its runtime"] > 0
        assert row["size"] > 10


def test_recordings_are_counted_for_every_contender():
    (result,) = throughput.run(throughput.Options(seconds=5, rounds=3, trial_s=0))
    names = list(dict.fromkeys(figure.row for figure in result.figures))
    assert names[0] == throughput.OURS
    assert names[-2:] == list(throughput.HAND.values())
    for name in names:
        cells = {f.column: f for f in result.figures if f.row == name}
        assert len(cells["per second of sound"].rounds) == 3
        inverse = 1000 / cells["per second of sound"].value
        assert cells["hours of sound per core-hour"].value == pytest.approx(inverse)
