"""The second stage: which samples it hears, by hand and by brute force, and whole streams of small models."""

import hashlib
import re
import subprocess
from itertools import pairwise

import numpy as np
import onnx
import pytest
import soundfile
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.blocks import AudioBlock, ScoreBlock
from edge.clock import SampleClock
from edge.config import Condition, Rules, Second
from edge.decode.event import EventMaker
from edge.inference.model import Model
from edge.pipeline import Pipeline
from edge.sources.fake import FakeSource, Fault
from edge.sources.pipe import PipeSource
from edge.sources.soundfile import SoundFileSource
from edge.supervise.second import Stretches, wait_s

RATE = 100  # of the source; the model's is 50, a score every 5 of its samples: 0.1 s, 10 source samples
SOUND = np.arange(1000, dtype=np.float32)


def block(first, scores, hop=5, span=5, epoch="e"):
    return ScoreBlock(epoch, first, hop, 50, np.array(scores, np.float32)[:, None], span)


def stretches(when=True, before=0.3, hold=0.2, above=0.5):
    condition = Condition("x", above, before, hold)
    return Stretches(RATE, Second("m", when=condition) if when else Second("m", unless=condition), 0)


def heard(found):
    """Stretches of samples by first and last but one; the sound of each is what it was."""
    spans, joins = [], False
    for one in found:
        if one is None:
            joins = False
            continue
        np.testing.assert_array_equal(one.samples, SOUND[one.start : one.stop])
        if joins:
            assert one.start == spans[-1][1]
            spans[-1] = (spans[-1][0], one.stop)
        else:
            spans.append((one.start, one.stop))
        joins = True
    return spans


def whole(one, scores, size=1000, first=0, **options):
    one.push(AudioBlock("e", first, RATE, SOUND[first:size]))
    one.scores(block(first // 10, scores, **options))
    return [*one.decided(), *one.decided(final=True)]


def at(*active, count=100):
    scores = np.zeros(count)
    scores[list(active)] = 0.5
    return scores


def test_when_it_is_heard_from_before_the_cause_to_the_hold_behind_it():
    assert heard(whole(stretches(), at(20, 21, 60))) == [(170, 240), (570, 630)]


def test_unless_it_is_heard_but_there():
    assert heard(whole(stretches(when=False), at(20, 21, 60))) == [(0, 170), (240, 570), (630, 1000)]


def test_causes_whose_surroundings_touch_are_one_stretch():
    assert heard(whole(stretches(), at(20, 26))) == [(170, 290)]  # 170 … 230 and 230 … 290
    assert heard(whole(stretches(), at(20, 27))) == [(170, 230), (240, 300)]


def test_what_no_score_speaks_of_is_not_known_to_be_free():
    # The first score begins with sample 100, the last ends with sample 400.
    scores = block(10, np.zeros(30))
    for when, expected in ((True, []), (False, [(100, 400)])):
        one = stretches(when)
        one.push(AudioBlock("e", 0, RATE, SOUND))
        one.scores(scores)
        assert heard([*one.decided(), *one.decided(final=True)]) == expected


def test_windows_that_overlap_are_taken_whole():
    # Row 20 speaks of samples 200 … 300.
    assert heard(whole(stretches(before=0, hold=0), at(20), span=50)) == [(200, 300)]
    assert heard(whole(stretches(False, 0, 0), at(20), span=50)) == [(0, 200), (300, 1000)]


def test_a_score_that_is_no_number_counts_as_a_cause():
    scores = at(count=100)
    scores[20] = np.nan
    assert heard(whole(stretches(), scores)) == [(170, 230)]


def test_awake_it_hears_at_once_and_asleep_it_waits_for_the_scores():
    one = stretches()
    one.push(AudioBlock("e", 0, RATE, SOUND[:200]))
    one.scores(block(0, at(18, count=19)))
    assert heard(one.decided()) == [(150, 200)]  # the hold reaches to 210
    one.push(AudioBlock("e", 200, RATE, SOUND[200:230]))
    assert heard(one.decided()) == [(200, 210)]
    one.push(AudioBlock("e", 230, RATE, SOUND[230:260]))
    one.scores(block(19, np.zeros(5)))
    assert list(one.decided()) == []  # score 24, of 240 … 250, could still wake it from 210 on
    one.scores(block(24, np.zeros(1)))
    assert list(one.decided()) == [None]


def test_after_a_reset_the_past_is_neither_heard_nor_a_cause():
    one = stretches()
    one.push(AudioBlock("e", 0, RATE, SOUND[:500]))
    one.scores(block(0, at(49, count=50)))
    assert heard(one.decided()) == [(460, 500)]
    one.reset()
    assert heard(whole(one, at(count=30), first=700)) == []


@settings(max_examples=40, deadline=None)
@given(
    st.booleans(),
    st.lists(st.integers(0, 99), max_size=12),
    st.sampled_from([0.0, 0.13, 0.8]),
    st.sampled_from([0.0, 0.27, 1.5]),
    st.data(),
)
def test_any_chunking_of_sound_and_scores_gives_what_counting_samples_gives(when, active, before, hold, data):
    scores, holds = at(*active), np.zeros(1000, bool)
    for row in np.flatnonzero(scores):
        holds[max(0, row * 10 - round(before * RATE)) : row * 10 + 10 + round(hold * RATE)] = True
    wanted = holds if when else ~holds
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]])))
    expected = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    one, found, row = stretches(when, before, hold), [], 0
    cuts = data.draw(st.lists(st.integers(0, 1000), max_size=8))
    for a, b in pairwise([0, *sorted(cuts), 1000]):
        one.push(AudioBlock("e", a, RATE, SOUND[a:b]))
        rows = data.draw(st.integers(0, b // 10 - row))  # scores come when they like, but not before their sound
        one.scores(block(row, scores[row : row + rows]))
        row += rows
        found += one.decided()
    one.scores(block(row, scores[row:]))
    assert heard([*found, *one.decided(final=True)]) == expected


# Whole streams. Their models hear raw samples at 8 kHz: `loudness` scores each 0.1 s by its mean square, `bias` each
# second by its mean.

HZ = 8000


def write(folder, nodes, outputs, constants, length, stream, labels, decode=None):
    """A model folder of a small ONNX graph over ``x [1, length]``."""
    folder.mkdir()
    graph = helper.make_graph(
        [helper.make_node(op, i, o, **(a[0] if a else {})) for op, i, o, *a in nodes],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, length])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    card = {
        "format": 1,
        "name": folder.name,
        "version": "1",
        "licence": "CC0-1.0",
        "labels": labels,
        "files": [{"name": path.name, "engine": "onnx", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}],
        "input": {"kind": "waveform", "rate": HZ, "tensor": "x", "layout": "BT"},
        "stream": stream,
        "output": {"scores": "y", "kind": "clip"},
        "decode": decode or {},
    }
    (folder / "card.toml").write_text(tomli_w.dumps(card))
    return folder


def loudness(folder, label):
    """Mean square of 0.1 s, at most 1."""
    nodes = [
        ("Mul", ["x", "x"], ["s"]),
        ("ReduceMean", ["s"], ["m"], {"axes": [1], "keepdims": 1}),
        ("Min", ["m", "one"], ["y"]),
    ]
    stream = {"mode": "stateful", "chunk": 800, "rate": 800}
    return write(folder, nodes, [1, 1], {"one": 1.0}, 800, stream, [label], {"on": 0.5, "off": 0.5})


def bias(folder, labels):
    """σ(±20 · mean) of a window of a second."""
    nodes = [
        ("ReduceMean", ["x"], ["m"], {"axes": [1], "keepdims": 1}),
        ("Mul", ["m", "slope"], ["z"]),
        ("Sigmoid", ["z"], ["y"]),
    ]
    stream = {"mode": "window", "length": 8000, "hop": 4000}
    return write(folder, nodes, [1, 2], {"slope": [[20.0, -20.0]]}, 8000, stream, labels)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "call": str(loudness(root / "call", "call")),
        "species": str(bias(root / "species", ["wren", "robin"])),
        "state": str(bias(root / "state", ["queenright", "queenless"])),
    }


def burst(sound, start, stop, value):
    sound[round(start * HZ) : round(stop * HZ)] = value
    return sound


@pytest.fixture
def spied(monkeypatch):
    """Stretches that each model was given, as events name it: ``[start, stop, reason of its end]``, seconds."""
    spans, push, flush = {}, Pipeline.push, Pipeline.flush

    def pushed(self, block):
        mine = spans.setdefault(self.maker.model, []) if self.maker.stream == "s" else []
        events = push(self, block)
        if mine and mine[-1][1:] == [block.start / HZ, None]:
            mine[-1][1] = block.stop / HZ
        else:
            mine.append([block.start / HZ, block.stop / HZ, None])
        return events

    def flushed(self, reason):
        mine = spans.get(self.maker.model, [])
        if mine and mine[-1][2] is None:
            mine[-1][2] = reason
        return flush(self, reason)

    monkeypatch.setattr(Pipeline, "push", pushed)
    monkeypatch.setattr(Pipeline, "flush", flushed)
    return spans


def birds(models, **second):
    condition = {"label": "call", "above": 0.5, "before": 1.0, "hold": 2.0} | second
    return {
        "name": "s",
        "source": "mic:x",
        "model": models["call"],
        "second": Second(models["species"], when=Condition(**condition)),
    }


def hive(models, **second):
    condition = {"label": "call", "above": 0.5, "before": 0.5, "hold": 0.5} | second
    rules = Rules(states=True, on=0.6, min_duration=3.0)
    return {
        "name": "s",
        "source": "mic:x",
        "model": models["call"],
        "second": Second(models["state"], unless=Condition(**condition), decode=rules),
    }


DAWN = burst(burst(np.zeros(20 * HZ, np.float32), 5.05, 5.95, 0.9), 14.0, 14.5, -0.9)


def fake(samples, **options):
    return lambda key, channels, rate: FakeSource(samples, HZ, live=False, channel=channels, **options)


def detections(events, model):
    return [
        (e.type, e.label, e.onset_sample, e.offset_sample, e.peak, e.mean)
        for e in events
        if e.model == model and e.type in ("begin", "end")
    ]


def alone(folder, spans, sound, rules=None, padded=True):
    """What a model says of stretches of a sound, each a piece by itself."""
    model, events = Model.load(folder), []
    for start, stop in spans:
        first, last = round(start * HZ), round(stop * HZ)
        clock = SampleClock(HZ)
        clock.begin("e")
        one = Pipeline(model, EventMaker("hut", "s", model.id, HZ, clock), rules, padded=padded)
        events += one.push(AudioBlock("e", first, HZ, sound[first:last])) + one.flush("stop")
    return detections(events, model.id)


@pytest.mark.parametrize("size", [331, 800, 12_800, 160_000])
def test_the_woken_model_hears_its_stretches_and_says_of_them_what_it_says_alone(rig, config, models, spied, size):
    one = rig(config(birds(models)), fake(DAWN, block=size)).run()
    assert one.error is None
    assert spied["call@1"] == [[0, 20, "stop"]]
    # Loud tenths: 5.0 … 6.0 s (from 5.05 on: 0.405 < 0.5, so 5.1 … 5.9) and 14.0 … 14.5 s.
    assert spied["species@1"] == [[4.1, 7.9, "gate"], [13.0, 16.5, "gate"]]
    spans = [(4.1, 7.9), (13.0, 16.5)]
    assert detections(one.events, "species@1") == alone(models["species"], spans, DAWN) != []
    assert {e.label for e in one.of("s", "begin") if e.model == "species@1"} >= {"wren", "robin"}
    assert one.of("s", "gap", "health") == []  # what was not listened to is no loss
    status = one.status("s")
    assert (status.second, status.second_samples, status.samples) == ("species@1", 7.3 * HZ, 20 * HZ)
    assert status.second_share == 0.365


def test_a_model_that_is_never_woken_never_runs(rig, config, models, spied):
    one = rig(config(birds(models)), fake(np.zeros(5 * HZ, np.float32))).run()
    assert (one.error, one.events, one.status("s").second_samples) == (None, [], 0)
    assert [*spied] == ["call@1"]


@pytest.mark.parametrize("kind", ["file", "pipe", "microphone"])
def test_a_file_a_pipe_and_a_microphone_give_the_same_events(rig, config, models, tmp_path, kind):
    path = tmp_path / "dawn.wav"
    soundfile.write(path, DAWN, HZ, subtype="FLOAT")
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        sources = {
            "file": lambda channel: SoundFileSource(path, channel=channel),
            "pipe": lambda channel: PipeSource(fd=cat.stdout.fileno(), channel=channel),
            "microphone": lambda channel: FakeSource(DAWN, HZ, 80, live=True, channel=channel),
        }
        one = rig(config(birds(models)), lambda _key, channels, _rate: sources[kind](channels)).run()
    assert one.error is None
    assert detections(one.events, "species@1") == alone(models["species"], [(4.1, 7.9), (13.0, 16.5)], DAWN)


def test_a_loss_is_a_gap_for_both_and_wakes_nobody_behind_it(rig, config, models, spied):
    # 1 s is lost in the middle of the first call; of the second call nothing is.
    fault = Fault("overflow", 44_000, lost=HZ, exact=True)
    one = rig(config(birds(models)), fake(DAWN, faults=[fault], block=800)).run()
    assert [e.detail["lost_samples"] for e in one.of("s", "gap")] == [HZ]
    assert spied["call@1"] == [[0, 5.5, "gap"], [6.5, 20, "stop"]]
    assert spied["species@1"] == [[4.1, 5.5, "gap"], [13.0, 16.5, "gate"]]


HUM = burst(np.full(40 * HZ, 0.1, np.float32), 20, 40, -0.1)
OUTSIDE = burst(HUM.copy(), 8, 12, 0.9)  # would sound queenright, and loud
OUTSIDE[26 * HZ : 30 * HZ] += np.float32(0.9) * np.tile([1, -1], 2 * HZ).astype(np.float32)


@pytest.mark.parametrize("size", [331, 12_800, 320_000])
def test_the_hives_state_is_not_judged_while_there_is_external_sound(rig, config, models, spied, size):
    one = rig(config(hive(models)), fake(OUTSIDE, block=size)).run()
    assert one.error is None
    assert spied["state@1"] == [[0, 7.5, "gate"], [12.5, 25.5, "gate"], [30.5, 40, "stop"]]
    external = [(e.type, e.onset_s, e.offset_s) for e in one.of("s", "begin", "end") if e.label == "call"]
    assert external == [("begin", 8, None), ("end", 8, 12), ("begin", 26, None), ("end", 26, 30)]
    states = [(e.type, e.label, e.onset_s, e.offset_s, e.reason) for e in one.events if e.model == "state@1"]
    # Windows of 1 s every 0.5 s; that of 19.5 s is half of each and tells neither.
    assert states == [
        ("begin", "queenright", 0, None, None),
        ("end", "queenright", 0, 20, "offset"),
        ("begin", "queenless", 20, None, None),
        ("end", "queenless", 20, 40, "stop"),
    ]
    confidence = 1 / (1 + np.exp(-2))
    assert [e.mean for e in one.events if e.model == "state@1"] == pytest.approx([confidence] * 4, abs=1e-4)


def test_no_window_that_silence_fills_up_is_judged(rig, config, models, monkeypatch):
    """The last whole window before 7.5 s begins at 6.5 s; the next would be half silence."""
    rows, decide = [], Pipeline._decide

    def spy(self, blocks):
        if (self.maker.stream, self.maker.model) == ("s", "state@1"):
            rows.extend(b.first_frame + row for b in blocks for row in range(len(b.scores)))
        return decide(self, blocks)

    monkeypatch.setattr(Pipeline, "_decide", spy)
    rig(config(hive(models, hold=0.7)), fake(OUTSIDE)).run()
    seconds = [row / 2 for row in rows]
    assert [s for s in seconds if s < 12] == [k / 2 for k in range(14)]
    assert [s for s in seconds if 12 < s < 26] == [k / 2 for k in range(26, 50)]  # from 12.7 s, from 13.0 s on


def test_the_state_outlasts_what_was_not_judged_but_not_a_loss(rig, config, models):
    same = burst(np.full(20 * HZ, 0.1, np.float32), 8, 12, 0.9)
    one = rig(config(hive(models)), fake(same)).run()
    assert [(e.type, e.onset_s) for e in one.events if e.model == "state@1"] == [("begin", 0), ("end", 0)]
    fault = Fault("overflow", 10 * HZ, lost=4000, exact=True)  # amid the external sound
    one = rig(config(hive(models)), fake(same, faults=[fault])).run()
    told = [(e.type, e.onset_s, e.offset_s, e.reason) for e in one.events if e.model == "state@1"]
    assert told == [
        ("begin", 0, None, None),
        ("end", 0, 7.5, "gap"),
        ("begin", 12.5, None, None),
        ("end", 12.5, 20, "stop"),
    ]


def test_a_label_that_no_model_of_the_stream_knows_is_refused_at_the_start(rig, config, models):
    one = rig(config(birds(models, label="cal")), fake(DAWN)).run()
    assert one.error.exit_code == 2
    assert re.search(r"s: expected `second` to wait for a label of .*call \(call\), got `cal`; correct", str(one.error))


def test_the_second_stage_has_labels_of_its_own(rig, config, models):
    second = Second(models["call"], when=Condition("call"))
    one = rig(config({"name": "s", "model": models["call"], "source": "mic:x", "second": second}), fake(DAWN)).run()
    assert "expected models without common labels, got `call` of several" in str(one.error)


def test_the_wait_of_a_model_is_its_window_or_its_chunk_with_its_delay(models):
    assert (wait_s(Model.load(models["species"])), wait_s(Model.load(models["call"]))) == (1.0, 0.1)
    assert wait_s(Model.load("esc10-s")) == pytest.approx(0.02 * 4, abs=0.5)
