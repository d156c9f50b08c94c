"""Streaming equals offline: any chunking, any rate, and each piece between gaps by itself."""

import msgspec
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.decode.event import EventMaker, rfc3339
from edge.demo import RATE, scene
from edge.inference.model import Model
from edge.pipeline import Pipeline

MODEL = Model.load("esc10-s")
SCENE = scene()[0][: 15 * RATE]  # rain and clock ticks
AT = {rate: soxr.resample(SCENE, RATE, rate).astype(np.float32) for rate in (RATE, 22_050, 48_000)}


def pipeline(rate):
    clock = SampleClock(rate)
    clock.begin("e")
    clock.fix(1_777_609_800_000_000_000, 1000)
    return Pipeline(MODEL, EventMaker("device", "stream", MODEL.id, rate, clock))


def wire(events):
    return b"\n".join(msgspec.json.encode(event) for event in events)


def heard(samples, rate, cuts=(), start=0):
    p, events = pipeline(rate), []
    for a, b in zip([0, *cuts], [*cuts, len(samples)], strict=True):
        events += p.push(AudioBlock("e", start + a, rate, samples[a:b]))
    return events + p.flush("stop")


@pytest.mark.parametrize("rate", AT)
def test_something_is_heard(rate):
    events = heard(AT[rate], rate)
    assert {"begin", "end"} == {event.type for event in events}
    assert all(event.onset_s == round(event.onset_sample / rate, 6) for event in events)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(AT)), st.lists(st.integers(0, 10**6), max_size=30))
def test_any_chunking_gives_the_same_events_byte_for_byte(rate, cuts):
    samples = AT[rate]
    assert wire(heard(samples, rate, sorted(c % len(samples) for c in cuts))) == wire(heard(samples, rate))


def test_single_samples_give_the_same_events():
    samples = SCENE[2 * RATE : 5 * RATE]
    assert wire(heard(samples, RATE, range(1, len(samples)))) == wire(heard(samples, RATE))


def test_every_begin_has_its_end_with_the_same_id_and_time():
    events = heard(SCENE, RATE)
    begins = {e.id: e for e in events if e.type == "begin"}
    ends = {e.id: e for e in events if e.type == "end"}
    assert begins.keys() == ends.keys()
    for id_, end in ends.items():
        assert end.onset_utc_ns == begins[id_].onset_utc_ns
        assert end.offset_sample > end.onset_sample
        assert 0 < end.mean <= end.peak <= 1


def test_utc_follows_the_sample_clock():
    event = heard(SCENE, RATE)[0]
    assert event.onset_utc_ns == 1_777_609_800_000_000_000 + event.onset_sample * 1_000_000_000 // RATE
    assert event.onset_utc == rfc3339(event.onset_utc_ns)
    assert event.onset_utc.startswith("2026-05-01T04:30:0")


@pytest.mark.parametrize("rate", AT)
def test_a_gap_is_counted_ends_what_was_open_and_each_piece_is_as_if_alone(rate):
    samples, second = AT[rate], 2 * rate
    rain = samples[second : 5 * rate]  # rain sounds at the cut
    lost = 12345
    p = pipeline(rate)
    events = p.push(AudioBlock("e", 0, rate, rain))
    events += p.push(AudioBlock("e", len(rain) + lost, rate, rain, gap=lost))
    events += p.flush("stop")
    gap = next(e for e in events if e.type == "gap")
    assert gap.detail == {"lost_samples": lost, "exact": True}
    assert (gap.onset_sample, gap.offset_sample) == (len(rain), len(rain) + lost)
    before, after = events[: events.index(gap)], events[events.index(gap) + 1 :]
    assert [(e.type, e.reason) for e in before if e.type == "end"][-1] == ("end", "gap")
    alone = heard(rain, rate, start=len(rain) + lost)
    assert wire(after) == wire(alone)
    assert after[0].onset_sample >= len(rain) + lost


def test_a_new_epoch_starts_afresh():
    p = pipeline(RATE)
    rain = SCENE[2 * RATE : 5 * RATE]
    first = p.push(AudioBlock("e", 0, RATE, rain))
    events = p.push(AudioBlock("f", 0, RATE, rain, gap=100, exact=False)) + p.flush("stop")
    assert {(e.type, e.reason) for e in events if e.epoch == "e"} == {("end", "gap")}
    gap = next(e for e in events if e.type == "gap")
    assert (gap.epoch, gap.detail) == ("f", {"lost_samples": 100, "exact": False})
    assert [e.onset_sample for e in events if e.type == "begin"] == [e.onset_sample for e in first if e.type == "begin"]


def test_scores_of_the_stream_equal_those_of_the_whole_clip():
    spec = MODEL.spec
    from edge.blocks import FeatureBlock
    from edge.frontend.stream import FrontEnd

    frames = FrontEnd(spec).transform(SCENE)
    whole, parts = MODEL.stream(), MODEL.stream()
    one = whole.push(FeatureBlock("e", 0, spec.hop, spec.rate, frames)).scores
    many = [parts.push(FeatureBlock("e", t, spec.hop, spec.rate, frames[t : t + 1])).scores for t in range(len(frames))]
    assert np.concatenate(many).tobytes() == one.tobytes()
