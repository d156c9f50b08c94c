"""The whole way, timed: stages add up, a slowed one shows where it was slowed, only the sound decides what comes."""

import itertools
import json
import time

import jsonschema
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench import latency, rig, vitals
from bench.cli import bench
from bench.result import Document
from bench.scene import busy_scene
from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.decode.event import EventMaker
from edge.demo import RATE
from edge.errors import ConfigError
from edge.inference.card import Card, Decode, Rule
from edge.inference.model import Model
from edge.pipeline import Pipeline

CARD = msgspec.convert(
    {
        "format": 1,
        "name": "made-up",
        "version": "1",
        "licence": "none",
        "labels": ["a", "b"],
        "files": [],
        "input": {"rate": 1000, "tensor": "x"},
        "frontend": {
            "rate": 1000,
            "frames": {"window": 30, "hop": 10},
            "bands": {"kind": "spectrum", "spectrum": "magnitude"},
        },
        "stream": {"mode": "stateful", "chunk": 2, "rate": 2, "delay": 1},
        "output": {"scores": "y"},
    }
    | {"files": [{"name": "m.onnx", "engine": "onnx", "sha256": "0" * 64}]},
    Card,
)


@given(st.lists(st.integers(0, 10**9), min_size=len(rig.STAGES), max_size=len(rig.STAGES)), st.integers(0, 10**15))
def test_the_stages_of_an_event_add_up_to_the_whole(steps, begin):
    marks = tuple(itertools.accumulate(steps, initial=begin))
    journey = rig.Journey("s0", "begin", "a", 0, 0, marks)
    assert len(journey.stages) == len(rig.STAGES)
    assert sum(journey.stages) == pytest.approx(journey.total, abs=1e-9)
    assert journey.total == pytest.approx(sum(steps) / 1e9)


def test_declared_latency_by_hand():
    # Score every 20 samples of 1000 Hz. The first frame of a chunk waits for window 30 and one more hop of 10, then for
    # one score of delay, 20: 60 ms. A minimum of 65 ms takes four scores (the first one spans 20), 3 to wait: 60 ms.
    # A median of 100 ms has five scores, two of them later: 40 ms.
    rules = Decode(min_duration=0.065, median=0.1, labels={"b": Rule(min_duration=0, median=0)})
    assert latency.declared(CARD, rules) == pytest.approx({"a": 0.160, "b": 0.060})


def test_where_a_score_tells_at_once_a_begin_needs_exactly_what_is_declared():
    model = Model.load("esc10-s")
    rules = Decode(on=0.3, off=0.3, median=0.14, min_duration=0.2, merge_gap=0.0)
    samples, _ = busy_scene(30)
    block = 80
    pipeline = Pipeline(model, EventMaker("d", "s", model.id, RATE, SampleClock(RATE)), rules)
    declared = latency.declared(model.card, rules)
    hop = model.card.frontend.hop
    begins = 0
    for first in range(0, len(samples), block):
        for event in pipeline.push(AudioBlock("e", first, RATE, samples[first : first + block])):
            if event.type == "begin" and event.onset_sample > 0:
                waited = first + block - event.onset_sample
                most = round(declared[event.label] * RATE)
                assert most - (model.card.stream.chunk - 1) * hop <= waited <= most + block
                begins += 1
    assert begins > 2


def test_what_decides_an_event_does_not_depend_on_other_blocks():
    model = Model.load("esc10-s")
    samples, _ = busy_scene(10)
    fine = rig.decisions(model, samples, RATE, 160)
    coarse = rig.decisions(model, samples, RATE, 1600)
    assert [latency.identity(e) for e, _ in fine] == [latency.identity(e) for e, _ in coarse]
    assert [number // 10 for _, number in fine] == [number for _, number in coarse]


def test_a_real_run_as_json(tmp_path):
    arguments = ["latency", "--duration", "9", "--streams", "2", "--load", "1", "--json"]
    done = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    plain = json.loads(done.stdout)
    jsonschema.validate(plain, msgspec.json.schema(Document))
    stages, costs = plain["results"]
    assert stages["settings"]["streams"] == 2
    by_cell = {(f["row"], f["column"]): f["value"] for f in stages["figures"]}
    for row in (*rig.STAGES, latency.TOTAL):
        p50, p90, p99, most = (by_cell[row, column] for column in latency.PERCENTILES)
        assert 0 <= p50 <= p90 <= p99 <= most, row
    assert by_cell[latency.TOTAL, "max"] <= sum(by_cell[row, "max"] for row in rig.STAGES) + 1e-6
    values = {f["column"]: f["value"] for f in costs["figures"]}
    assert values["dropped samples"] == values["gaps"] == values["events not received"] == 0
    assert values["events not foreseen"] == 0
    assert values["processor"] > 0
    assert values["resident"] > 10


class SlowJournal(rig.StampedJournal):
    def append(self, events):
        time.sleep(0.06)
        return super().append(events)


class SlowModel(Model):
    def stream(self, silence=None):
        scorer = super().stream(silence)
        push = scorer.push

        def slow(block):
            time.sleep(0.004)
            return push(block)

        scorer.push = slow
        return scorer


def test_a_slowed_stage_shows_where_it_was_slowed():
    model = Model.load("esc10-s")
    slow = SlowModel(model.card, model._shared.engine)
    run = latency.measure(latency.Options(seconds=7, endpoint="ipc"), journal=SlowJournal, model=slow)
    assert len(run.journeys) > 1
    assert run.unexpected == run.lost_events == run.lost_samples == 0
    for journey in run.journeys:
        seconds = dict(zip(rig.STAGES, journey.stages, strict=True))
        assert seconds["journal"] >= 0.06
        assert seconds["engine"] >= 0.004
        assert all(b >= a for a, b in itertools.pairwise(journey.marks))
        assert sum(journey.stages) == pytest.approx(journey.total)


def test_a_sound_without_events_is_said(tmp_path):
    import soundfile

    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(RATE, np.float32), RATE)
    with pytest.raises(ConfigError, match="expected events of esc10-s in 2 s of sound, got none"):
        latency.run(latency.Options(seconds=2, sound=path))


def test_no_sound_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"none.wav: expected a sound file"):
        latency.run(latency.Options(seconds=2, sound=tmp_path / "none.wav"))


@pytest.mark.parametrize("streams", [2, 25, 32, 40])
@pytest.mark.parametrize("chunk", [0.02, 0.04, 1.0])
def test_streams_do_not_step_at_the_same_moment(streams, chunk):
    phases = sorted(rig.stagger(i) / 1e9 % chunk / chunk for i in range(streams))
    gaps = np.diff([*phases, phases[0] + 1])
    assert gaps.max() < 4 / streams


def test_the_scene_is_loud_where_its_truth_says():
    samples, truth = busy_scene(30, seed=3)
    assert len(samples) == 30 * RATE
    assert len(truth) == 7
    for t in truth:
        inside = samples[round(t.onset * RATE) : round(t.offset * RATE)]
        before = samples[round((t.onset - 1) * RATE) : round(t.onset * RATE)]
        assert np.sqrt(np.mean(inside**2)) > 20 * np.sqrt(np.mean(before**2))


def test_temperature_and_throttling_come_from_the_system_where_it_tells(tmp_path):
    assert vitals.temperature(tmp_path) is None
    assert vitals.throttle_count(tmp_path, tmp_path / "none") is None
    for zone, text in (("thermal_zone0", "41500\n"), ("thermal_zone1", "63000\n"), ("thermal_zone2", "")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "temp").write_text(text)
    assert vitals.temperature(tmp_path) == 63.0
    (tmp_path / "flags").write_text("0x50000\n")
    assert vitals.throttle_count(tmp_path, tmp_path / "flags") == 1
    (tmp_path / "cpu0" / "thermal_throttle").mkdir(parents=True)
    (tmp_path / "cpu0" / "thermal_throttle" / "core_throttle_count").write_text("7\n")
    assert vitals.throttle_count(tmp_path, tmp_path / "flags") == 7


def test_vitals_count_the_work_of_this_process():
    with vitals.Vitals() as idle:
        time.sleep(0.3)
    with vitals.Vitals() as busy:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    assert idle.cpu < busy.cpu
    assert busy.rss_mib > 10
