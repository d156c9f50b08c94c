"""Many streams: shared, supervised, restarted, reloaded. Real models, fake microphones."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from edge.clock import ManualClock
from edge.demo import RATE, scene
from edge.errors import CardError, SourceError, StoppedError
from edge.inference.model import Model
from edge.inference.scorer import Scorer
from edge.pipeline import Pipeline
from edge.sources.fake import FakeSource, Fault
from edge.supervise import capture as capture_module
from edge.supervise import health as health_module

SCENE = scene()[0][: 12 * RATE]  # rain, then clock ticks
QUIET = (1e-4 * np.random.default_rng(0).standard_normal(4 * RATE)).astype(np.float32)


@pytest.fixture
def fast_backoff(monkeypatch):
    monkeypatch.setattr(capture_module.Backoff, "wait", lambda self: 0.05)


def fake(samples=SCENE, **options):
    return lambda key, channels, rate: FakeSource(samples, RATE, live=False, channel=channels, **options)


def test_eight_channels_of_one_device_are_eight_streams_with_the_events_of_one(rig, config, monkeypatch):
    loads, sources = [], []
    load = Model.load.__func__
    monkeypatch.setattr(Model, "load", classmethod(lambda cls, *a: loads.append(a) or load(cls, *a)))

    def source(key, channels, rate):
        sources.append(channels)
        return fake(np.repeat(SCENE[:, None], 8, axis=1))(key, channels, rate)

    alone = rig(config({"name": "s", "source": "mic:x"}), fake()).run()
    loads.clear()
    names = [f"s{i}" for i in range(8)]
    streams = [{"name": name, "source": "mic:x", "channel": i} for i, name in enumerate(names)]
    many = rig(config(*streams), source).run()
    assert alone.error is many.error is None
    assert len(alone.heard("s")) > 2
    for name in names:
        assert many.heard(name) == alone.heard("s")
        assert (many.status(name).state, many.status(name).samples) == ("ended", len(SCENE))
    assert len({event.epoch for event in many.events}) == 1  # channels can be compared sample by sample
    assert (len(loads), len(sources)) == (1, 1)


def test_streams_of_one_model_share_one_inference_thread(rig, config):
    streams = [{"name": f"s{i}", "source": f"mic:{i}"} for i in range(4)]
    one = rig(config(*streams), fake(pace=4.0)).start()
    one.until(lambda: all(one.daemon.status.stream(f"s{i}").samples for i in range(4)))
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("inference wheatear-s") == 1
    assert sum(name.startswith("capture ") for name in names) == 4
    one.wait()
    assert one.heard("s0") == one.heard("s3") != []


def test_two_models_of_one_stream_must_not_share_labels(rig, config):
    one = rig(config({"name": "s", "model": ("esc10-s", "esc10-s"), "source": "mic:x"}), fake()).run()
    assert "expected models without common labels, got `dog_bark` of several" in str(one.error)


def test_a_stream_that_crashes_is_begun_again_and_others_go_on(rig, config, monkeypatch, caplog):
    push, crashes = Pipeline.push, []

    def fragile(self, block):
        if self.maker.stream == "b" and block.start >= 5 * RATE and not crashes:
            crashes.append(block)
            raise RuntimeError("as it was told to")
        return push(self, block)

    monkeypatch.setattr(Pipeline, "push", fragile)
    one = rig(config({"name": "a", "source": "mic:a"}, {"name": "b", "source": "mic:b"}), fake()).run()
    assert one.error is None
    assert len(one.heard("a")) == 4
    (lost,) = crashes
    told = one.of("b", "health", "gap")
    assert [event.type for event in told] == ["health", "gap"]
    assert "RuntimeError: as it was told to" in told[0].reason
    assert told[1].detail["lost_samples"] == len(lost.samples)  # only what it was at when it crashed
    reasons = {e.reason for e in one.of("b", "end")}
    assert "interrupted" in reasons  # the rain
    assert {e.id for e in one.of("b", "begin")} == {e.id for e in one.of("b", "end")}
    assert one.heard("a")[2:] == one.heard("b")[-2:]  # the clock, after the crash
    assert (one.status("b").restarts, one.status("a").restarts) == (1, 0)


def test_a_stream_that_crashes_again_and_again_is_given_up_and_the_end_is_a_failure(rig, config, monkeypatch, caplog):
    from edge.supervise import stream as stream_module

    push = Pipeline.push

    def broken(self, block):
        if self.maker.stream == "s":
            raise RuntimeError("broken")
        return push(self, block)

    monkeypatch.setattr(Pipeline, "push", broken)
    monkeypatch.setattr(stream_module.Backoff, "wait", lambda self: 0.01)
    one = rig(config({"name": "s", "source": "mic:a"}), fake(pace=5.0)).run()
    assert isinstance(one.error, StoppedError)
    assert one.error.exit_code == 1
    assert "RuntimeError: broken" in str(one.error)
    assert one.status("s").state == "failed"


def test_one_source_that_is_missing_does_not_keep_the_others_from_running(rig, config):
    def source(key, channels, rate):
        if key.source == "mic:none":
            raise SourceError("there is no such microphone")
        return fake()(key, channels, rate)

    one = rig(config({"name": "a", "source": "mic:none"}, {"name": "b", "source": "mic:b"}), source).run()
    assert len(one.heard("b")) == 4
    assert "no such microphone" in str(one.error)


def test_without_any_source_it_does_not_begin(rig, config):
    def source(key, channels, rate):
        raise SourceError("there is no such microphone")

    one = rig(config({"name": "a", "source": "mic:none"}), source).run()
    assert (type(one.error), one.events) == (SourceError, [])


def test_an_unknown_model_is_refused_before_anything_is_opened(rig, config):
    one = rig(config({"name": "a", "model": "no-such"}), lambda *_: pytest.fail("opened")).run()
    assert isinstance(one.error, CardError)


def test_a_lost_microphone_is_told_waited_for_and_heard_again(rig, config, fast_backoff):
    opened = []

    class Flaky(FakeSource):
        def open(self):
            opened.append(self)
            if len(opened) in (2, 3):
                raise SourceError("not yet")

    def source(key, channels, rate):
        fault = [Fault("error", 6 * RATE)] if not opened else []
        return Flaky(SCENE, RATE, faults=fault, reconnects=not len(opened) > 2, live=False, channel=channels)

    one = rig(config({"name": "s", "source": "mic:x"}), source).run()
    assert one.error is None
    assert len(opened) == 4
    told = [(event.type, event.reason) for event in one.events if event.label is None]
    assert told == [
        ("lost", "fake: failed at sample 96000, as it was told to"),
        ("resumed", "fake is back"),
    ]
    epochs = list(dict.fromkeys(event.epoch for event in one.events))
    assert len(epochs) == 2
    assert next(e for e in one.events if e.type == "end").reason == "gap"
    assert len([e for e in one.events if e.epoch == epochs[1] and e.label]) == 4
    assert one.status("s").reconnects == 1


def test_a_microphone_that_is_not_there_at_the_start_is_waited_for_by_a_service(rig, config, fast_backoff):
    opened = []

    class Late(FakeSource):
        def open(self):
            opened.append(self)
            self.reconnects = len(opened) < 3
            if len(opened) < 3:
                raise SourceError("not yet")

    def source(key, channels, rate):
        return Late(SCENE, RATE, live=False, channel=channels, reconnects=True)

    began = time.time_ns()
    one = rig(config({"name": "s", "source": "mic:x"}), source, patient=True).run()
    assert one.error is None
    assert [e.type for e in one.events if e.label is None] == ["lost", "resumed"]
    assert began < one.of("s", "lost")[0].onset_utc_ns < time.time_ns()  # though no sample was ever heard
    assert len(one.heard("s")) == 4


def test_a_slow_model_loses_sound_at_the_ring_and_says_how_much(rig, config, monkeypatch):
    push = Pipeline.push

    def slow(self, block):
        if block.start == 0:
            threading.Event().wait(1.5)
        return push(self, block)

    monkeypatch.setattr(Pipeline, "push", slow)
    monkeypatch.setattr(capture_module, "RING_SECONDS", 1.0)
    samples = np.tile(QUIET, 3)
    one = rig(
        config({"name": "s", "source": "mic:x"}),
        lambda key, channels, rate: FakeSource(samples, RATE, channel=channels, overwrite=True, pace=6.0),
    ).run()
    gaps = one.of("s", "gap")
    status = one.status("s")
    assert gaps
    assert all(gap.detail["exact"] for gap in gaps)
    assert status.samples + sum(gap.detail["lost_samples"] for gap in gaps) == len(samples)
    assert status.dropped["ring"] == len(gaps)


@pytest.mark.parametrize("step_s", [3600, -3600, 1, -1])
def test_a_clock_that_is_set_is_told_and_stream_time_goes_on(rig, config, step_s):
    clock = ManualClock()
    samples = np.tile(SCENE[2 * RATE : 6 * RATE], 4)

    class Ticking(FakeSource):
        def _pick(self, start, stop):
            clock.advance((stop - start) * 1_000_000_000 // RATE)
            if start == 8 * RATE:
                clock.step(step_s * 1_000_000_000)
            return super()._pick(start, stop)

        def _wait_for(self, began, index):
            while not self.stop.is_set() and one.daemon.status.stream("s").samples < index - 2 * 1600:
                self.stop.wait(0.0005)

    one = rig(
        config({"name": "s", "source": "mic:x"}),
        lambda key, channels, rate: Ticking(samples, RATE, channel=channels),
        clock=clock,
    )
    one.run()
    (told,) = [event for event in one.of("s", "health") if event.detail["fault"] == "clock"]
    assert told.detail["step_s"] == pytest.approx(step_s, abs=0.2)
    assert abs(told.onset_sample - 8 * RATE) < RATE
    assert not one.of("s", "gap")
    assert len({event.epoch for event in one.events}) == 1
    decided = [e.offset_sample if e.type == "end" else e.onset_sample for e in one.of("s", "begin", "end")]
    assert decided == sorted(decided)


def test_a_machine_that_slept_says_so(rig, config):
    clock = ManualClock()

    class Sleepy(FakeSource):
        def _pick(self, start, stop):
            clock.advance((stop - start) * 1_000_000_000 // RATE)
            if start == 2 * RATE:
                clock.suspend(90_000_000_000)
            return super()._pick(start, stop)

        def _wait_for(self, began, index):
            while not self.stop.is_set() and one.daemon.status.stream("s").samples < index - 2 * 1600:
                self.stop.wait(0.0005)

    one = rig(
        config({"name": "s", "source": "mic:x"}),
        lambda key, channels, rate: Sleepy(QUIET, RATE, channel=channels),
        clock=clock,
    )
    one.run()
    assert [(e.detail["fault"], e.detail.get("slept_s")) for e in one.of("s", "health")] == [("sleep", 90.0)]


def test_digital_silence_and_clipping_are_told_and_their_end_too(rig, config):
    loud = np.clip(8 * np.sin(np.arange(7 * RATE) / 20), -1, 1).astype(np.float32)
    samples = np.concatenate([QUIET, np.zeros(12 * RATE, np.float32), QUIET, loud, QUIET])
    one = rig(config({"name": "s", "source": "mic:x"}), lambda k, c, r: FakeSource(samples, RATE, channel=c)).run()
    told = [event for event in one.of("s", "health") if event.detail["fault"] != "lag"]
    assert [(e.detail["fault"], e.detail["active"]) for e in told] == [
        ("silence", True),
        ("silence", False),
        ("clipping", True),
        ("clipping", False),
    ]
    assert abs(told[0].onset_sample / RATE - 14) < 1.1


def test_a_microphone_of_nothing_but_zeros_is_opened_again(rig, config, fast_backoff, monkeypatch):
    monkeypatch.setattr(capture_module, "ZEROS_S", 3.0)
    opened = []

    def source(key, channels, rate):
        samples = np.zeros(30 * RATE, np.float32) if not opened else QUIET
        one = FakeSource(samples, RATE, channel=channels, pace=6.0, reconnects=not opened)
        one.zeros_are_a_fault = True
        opened.append(one)
        return one

    one = rig(config({"name": "s", "source": "mic:x"}), source).run()
    assert [e.type for e in one.events if e.type != "health"] == ["lost", "resumed"]
    assert "every sample has been the same" in one.of("s", "lost")[0].reason


def test_a_stream_that_hears_and_is_never_judged_says_so_and_starves_the_watchdog(rig, config, monkeypatch):
    monkeypatch.setattr(health_module, "UNSCORED_S", 5.0)
    push = Scorer.push

    def mute(self, block):
        scores = push(self, block)
        return replace(scores, scores=scores.scores[:0])

    monkeypatch.setattr(Scorer, "push", mute)
    one = rig(config({"name": "s", "source": "mic:x"}), fake(pace=20.0, repeats=30)).start()
    one.until(lambda: one.of("s", "health"))
    assert not one.daemon._supervisor.well
    monkeypatch.setattr(Scorer, "push", push)
    one.until(lambda: len(one.of("s", "health")) > 1)
    assert one.daemon._supervisor.well
    one.stop()
    assert [(e.detail["fault"], e.detail["active"]) for e in one.of("s", "health")] == [
        ("scores", True),
        ("scores", False),
    ]


def test_a_level_gate_saves_work_and_gives_the_same_events(rig, config, monkeypatch):
    quiet = np.tile(QUIET, 3)
    samples = np.concatenate([quiet, SCENE[2 * RATE : 7 * RATE], quiet, SCENE[2 * RATE : 6 * RATE], quiet])
    heard = []
    push = Pipeline.push
    monkeypatch.setattr(
        Pipeline, "push", lambda self, b: heard.append((self.maker.stream, len(b.samples))) or push(self, b)
    )
    gate = {"open_dbfs": -50, "hold": 3.0, "pre_roll": 5.0}
    from edge.config import Gate

    one = rig(
        config({"name": "all", "source": "mic:x"}, {"name": "gated", "source": "mic:x", "gate": Gate(**gate)}),
        fake(samples),
    ).run()
    events = {name: [e[:4] for e in one.heard(name)] for name in ("all", "gated")}
    assert len(events["all"]) >= 4
    assert events["gated"] == events["all"]
    fed = {name: sum(n for stream, n in heard if stream == name) for name in ("all", "gated")}
    assert fed["all"] == len(samples)
    assert fed["gated"] < 0.75 * len(samples)
    assert not one.of("gated", "gap")


def test_a_stream_is_off_out_of_its_hours(rig, config):
    from edge.config import Schedule

    hours = Schedule(start="04:00", stop="04:01", timezone="UTC")
    start = 1_777_608_000_000_000_000 - 60_000_000_000  # 2026-05-01 03:59 UTC
    samples = np.concatenate([SCENE[2 * RATE : 6 * RATE], np.tile(QUIET, 14), SCENE[2 * RATE : 6 * RATE], QUIET])

    def source(key, channels, rate):
        one = FakeSource(samples, RATE, live=False, channel=channels)
        one.start_utc_ns = start
        return one

    one = rig(
        config({"name": "all", "source": "mic:x"}, {"name": "dawn", "source": "mic:x", "schedule": (hours,)}), source
    ).run()
    assert [e.onset_s > 59 for e in one.of("all", "begin")] == [False, True]
    assert one.heard("dawn") == one.heard("all")[2:]


def test_a_new_configuration_changes_one_stream_and_costs_the_other_no_sample(rig, config, monkeypatch):
    from edge.supervise import reload as reload_module

    monkeypatch.setattr(reload_module, "warm", lambda config: None)  # its subprocess has a test of its own
    old = config({"name": "a", "source": "mic:x", "channel": 0}, {"name": "b", "source": "mic:x", "channel": 1})
    new = config(
        {"name": "a", "source": "mic:x", "channel": 0},
        {"name": "b", "source": "mic:x", "channel": 1, "gain_db": 6.0},
        {"name": "c", "source": "mic:y"},
    )
    pair = np.repeat(SCENE[:, None], 2, axis=1)

    def source(key, channels, rate):
        return fake(pair if key.source == "mic:x" else SCENE, pace=3.0)(key, channels, rate)

    undisturbed = rig(config({"name": "a", "source": "mic:x"}), fake()).run()
    one = rig(old, source, read=lambda: new).start()
    one.until(lambda: one.status("a").samples > 4 * RATE)
    one.daemon.reload()
    one.until(lambda: one.of("device", "health"))
    assert "ended: b; began: b, c" in one.of("device", "health")[0].reason
    one.wait()
    assert one.heard("a") == undisturbed.heard("a")
    assert (one.status("a").samples, one.status("a").gaps) == (len(SCENE), 0)
    assert one.heard("c") == undisturbed.heard("a")
    assert len({event.epoch for event in one.of("a")}) == 1
    ends = [e for e in one.of("b") if e.type == "end"]
    assert ends[0].reason == "stop"
    assert 0 < one.status("b").samples < len(SCENE)


@pytest.mark.parametrize("kind", ["file", "model", "device"])
def test_a_new_configuration_that_cannot_run_is_refused_and_the_old_one_goes_on(rig, config, kind):
    from edge.errors import ConfigError

    old = config({"name": "a", "source": "mic:x"})

    def read():
        if kind == "file":
            raise ConfigError("sensor.toml: expected TOML")
        if kind == "model":
            return config({"name": "a", "source": "mic:x", "model": "no-such-model"})
        from edge.config import Config

        return Config(device="other", streams=old.streams)

    one = rig(old, fake(pace=1.5), read=read).start()
    one.until(lambda: one.status("a").samples > 0)
    one.daemon.reload()
    one.until(lambda: one.of("device", "health"))
    told = one.of("device", "health")[0]
    assert told.detail == {"fault": "configuration", "active": True}
    assert {"file": "expected TOML", "model": "no-such-model", "device": "$.device"}[kind] in told.reason
    one.wait()
    assert one.status("a").samples == len(SCENE)
    assert len(one.heard("a")) == 4
