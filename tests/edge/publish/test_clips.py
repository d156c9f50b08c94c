"""Clips: the very samples that were heard, and nothing that must not be kept."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import Event, ScoreBlock
from edge.config.clips import Clips, Privacy
from edge.publish.clips import ClipRecorder
from edge.publish.clipstore import ClipStore, encode
from edge.ring import Ring

RATE, HOP = 8000, 80  # source; scores at half of it, every 20 ms
LABELS = ("rain", "dog", "voice")
UTC = 1_777_609_800 * 10**9  # 2026-05-01T04:30:00Z
CLIPS = Clips(enabled=True, before=0.5, after=0.25, join=1.0, longest=10.0, min_free_mb=0)


def noise(seconds, bits=16, seed=0):
    span = 2 ** (bits - 1)
    whole = np.random.default_rng(seed).integers(-span, span, int(seconds * RATE))
    return (whole / span).astype(np.float32)


class Stream:
    """A stream with its ring, scores that follow the sound, and a recorder."""

    def __init__(self, folder, sound, clips=CLIPS, epoch="e1", held=40.0, **options):
        self.sound, self.said, self.drops = sound, [], []
        clips = Clips(**{**{f: getattr(clips, f) for f in clips.__struct_fields__}, "folder": str(folder)})
        self.recorder = ClipRecorder(
            clips, "hut", "mic", [LABELS], self.said.append, lambda: self.drops.append(1), **options
        )
        self.capacity, self.folder = int(held * RATE), folder
        self.attach(epoch)

    def attach(self, epoch):
        self.ring, self.epoch, self.at = Ring(self.capacity, RATE), epoch, 0
        self.ring.begin(epoch)
        self.recorder.attach(self.ring, RATE, epoch)

    def hear(self, until, voice=()):
        """Sound and scores up to second `until`; voice scores 0.9 in the given spans of seconds."""
        while self.at < round(until * RATE):
            self.ring.write(self.sound[self.at : self.at + 2 * HOP])
            second = self.at / RATE
            score = np.array([[0, 0, 0.9 if any(a <= second < b for a, b in voice) else 0.0]], np.float32)
            self.recorder.scores(ScoreBlock(self.epoch, self.at // (2 * HOP), HOP, RATE // 2, score, HOP), LABELS)
            self.at += 2 * HOP

    def event(self, kind, label, onset, offset=None):
        sample = round(onset * RATE)
        stop = None if offset is None else round(offset * RATE)
        self.recorder.event(
            Event(
                stream="mic", id=f"{self.epoch}:{label}:{sample}", device="hut", epoch=self.epoch, type=kind,
                label=label, onset_sample=sample, onset_s=onset, offset_sample=stop, offset_s=offset,
                onset_utc_ns=UTC + int(onset * 1e9),
            )
        )  # fmt: skip

    def close(self):
        self.recorder.close()
        return self.clips()

    def clips(self):
        found = []
        for path in sorted(self.folder.rglob("*.flac")):
            samples, rate = soundfile.read(path, dtype="float32")
            about = json.loads(path.with_suffix(".json").read_text())
            assert about["rate"] == rate
            found.append(SimpleNamespace(path=path, samples=samples, **about))
        return sorted(found, key=lambda clip: clip.start_sample)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def stream(tmp_path):
    made = []

    def make(*args, **kwargs):
        made.append(Stream(tmp_path / "clips", *args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.recorder.close()


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_a_clip_is_bit_equal_to_the_source_at_its_indices(stream, bits):
    sound = noise(12, bits)
    one = stream(sound)
    one.hear(5.3)
    one.event("begin", "rain", 5.0)
    one.hear(7.4)
    one.event("end", "rain", 5.0, 7.0)
    one.hear(12)
    (clip,) = one.close()
    assert (clip.start_sample, clip.stop_sample, clip.rate) == (4.5 * RATE, 7.25 * RATE, RATE)
    assert np.array_equal(clip.samples, sound[clip.start_sample : clip.stop_sample])
    assert (clip.bits, clip.truncated, clip.masked) == (max(bits, 16), False, [])
    assert clip.path.relative_to(one.folder).as_posix() == (
        "mic/2026-05-01/hut.mic.rain.20260501T043004500Z.0000036000.flac"
    )
    (message,) = one.said
    assert (message.type, message.reason, message.epoch, message.onset_sample) == ("health", "clip", "e1", 36_000)
    assert message.onset_utc == clip.start_utc == "2026-05-01T04:30:04.500Z"
    assert message.detail == {"clip": clip.clip, "events": ["e1:rain:40000"], "masked_s": 0.0, "truncated": False}
    (event,) = clip.events
    assert (event["type"], event["offset_sample"], event["id"]) == ("end", 56_000, "e1:rain:40000")


def test_files_are_private_to_the_user(stream):
    one = stream(noise(8))
    one.event("begin", "rain", 0.0)
    one.event("end", "rain", 0.0, 1.0)
    one.hear(8)
    (clip,) = one.close()
    assert [p.stat().st_mode & 0o777 for p in (clip.path, clip.path.with_suffix(".json"))] == [0o600] * 2
    assert {p.stat().st_mode & 0o777 for p in (clip.path.parent, clip.path.parent.parent, one.folder)} == {0o700}


@given(
    onsets=st.lists(st.integers(0, 1200), min_size=1, max_size=8, unique=True),
    lengths=st.lists(st.integers(1, 200), min_size=8, max_size=8),
    delay=st.integers(0, 150),
    step=st.integers(1, 400),
)
@settings(max_examples=15, deadline=None)
def test_every_event_is_in_a_clip_whole_and_every_clip_is_exact(tmp_path_factory, onsets, lengths, delay, step):
    """Any order of events, any delay of decisions, any chunking; times in hundredths of a second."""
    sound = noise(20, seed=1)
    one = Stream(tmp_path_factory.mktemp("clips"), sound, Clips(before=0.5, after=0.25, longest=60.0, min_free_mb=0))
    calls = []
    for index, (onset, length) in enumerate(zip(onsets, lengths, strict=False)):
        calls.append((onset + delay, 0, index, ("begin", f"l{index}", onset / 100)))
        calls.append((onset + length + delay, 1, index, ("end", f"l{index}", onset / 100, (onset + length) / 100)))
    calls.sort()
    for second in range(0, 2000, step):
        while calls and calls[0][0] <= second:
            one.event(*calls.pop(0)[3])
        one.hear((second + step) / 100 if second + step <= 2000 else 20)
    for call in calls:
        one.event(*call[3])
    clips = one.close()
    for clip in clips:
        assert np.array_equal(clip.samples, sound[clip.start_sample : clip.stop_sample])
    for index, onset in enumerate(onsets):
        first, last = round(onset * RATE / 100), round((onset + lengths[index]) * RATE / 100)
        assert any(clip.start_sample <= first and last <= clip.stop_sample for clip in clips), (onset, lengths[index])
    assert one.drops == []


def test_neighbouring_events_share_a_clip_and_distant_ones_do_not(stream):
    sound = noise(20)
    one = stream(sound)
    for label, onset, offset in (("rain", 2.0, 3.0), ("dog", 4.5, 5.0), ("rain", 9.0, 9.5)):
        one.hear(onset + 0.1)
        one.event("begin", label, onset)
        one.hear(offset + 0.1)
        one.event("end", label, onset, offset)
    one.hear(20)
    first, second = one.close()
    assert (first.start_sample, first.stop_sample) == (1.5 * RATE, 5.25 * RATE)
    assert [event["label"] for event in first.events] == ["rain", "dog"]
    assert (second.start_sample, second.stop_sample) == (8.5 * RATE, 9.75 * RATE)


def test_a_later_decision_about_earlier_sound_reaches_back(stream):
    sound = noise(12)
    one = stream(sound)
    one.hear(6)
    one.event("begin", "rain", 5.0)
    one.event("begin", "dog", 4.0)
    one.event("end", "dog", 4.0, 4.5)
    one.event("end", "rain", 5.0, 5.5)
    one.hear(12)
    (clip,) = one.close()
    assert (clip.start_sample, clip.stop_sample) == (3.5 * RATE, 5.75 * RATE)
    assert np.array_equal(clip.samples, sound[clip.start_sample : clip.stop_sample])


def test_an_endless_sound_is_cut_at_the_longest_clip(stream):
    sound = noise(30)
    one = stream(sound)
    one.event("begin", "rain", 1.0)
    one.hear(30)
    (clip,) = one.close()
    assert (clip.start_sample, clip.stop_sample, clip.truncated) == (0.5 * RATE, 10.5 * RATE, True)
    assert np.array_equal(clip.samples, sound[clip.start_sample : clip.stop_sample])


def test_a_clip_never_crosses_a_loss(stream):
    sound = noise(12)
    one = stream(sound)
    one.hear(4)
    one.event("begin", "rain", 3.5)
    one.event("end", "rain", 3.5, 4.0)
    one.ring.begin("e1", start=5 * RATE, lost=RATE)
    one.at = 5 * RATE
    one.hear(5.5)
    one.event("gap", None, 4.0, 5.0)
    one.event("begin", "rain", 5.2)
    one.event("end", "rain", 5.2, 5.4)
    one.hear(12)
    before, after = one.close()
    assert (before.start_sample, before.stop_sample, before.truncated) == (3 * RATE, 4 * RATE, True)
    assert (after.start_sample, after.stop_sample) == (5 * RATE, 5.65 * RATE)
    for clip in (before, after):
        assert np.array_equal(clip.samples, sound[clip.start_sample : clip.stop_sample])


def test_a_new_epoch_ends_what_is_open_and_names_do_not_clash(stream):
    sound = noise(8)
    one = stream(sound)
    for epoch in ("e1", "e2"):
        one.attach(epoch)
        one.hear(2)
        one.event("begin", "rain", 1.0)
        one.hear(3)
    clips = one.close()
    assert {clip.epoch for clip in clips} == {"e1", "e2"}
    assert {clip.path.stem.partition(".0000004000")[2] for clip in clips} == {"", "-2"}
    for clip in clips:
        assert np.array_equal(clip.samples, sound[4000 : 3 * RATE])


def test_sound_that_was_overwritten_is_a_counted_loss(stream):
    one = stream(noise(20), held=2.0)
    one.hear(19)
    one.event("begin", "rain", 1.0)
    one.event("end", "rain", 1.0, 1.5)
    until(lambda: one.said)  # though no other clip follows
    assert one.close() == []
    assert one.drops == [1]
    (message,) = one.said
    assert "1 clips were lost: their sound was overwritten" in message.reason
    assert message.detail == {"clip": None, "events": [f"e1:rain:{RATE}"], "lost": 1}


def test_labels_choose_what_is_kept(stream):
    one = stream(noise(12), Clips(labels=("dog",), min_free_mb=0))
    for label in ("rain", "dog"):
        one.event("begin", label, 2.0)
        one.event("end", label, 2.0, 2.5)
    one.hear(12)
    (clip,) = one.close()
    assert [event["label"] for event in clip.events] == ["dog"]


def private(action="silence"):
    return Clips(before=0.5, after=0.25, join=0.0, min_free_mb=0, privacy=Privacy(("voice",), 0.5, 1.0, 0.5, action))


@pytest.mark.parametrize(
    ("voice", "masked"),
    [
        ((5.6, 5.8), (4.6, 6.3)),  # within
        ((7.5, 7.7), (6.5, 7.25)),  # behind its end: the clip has waited for the look-ahead
        ((4.0, 4.2), (4.5, 4.7)),  # before it: the hold reaches in
        ((8.4, 9.0), None),
    ],
)
def test_voice_is_silenced_with_its_surroundings_and_nothing_else(stream, voice, masked):
    sound = noise(14)
    one = stream(sound, private())
    one.hear(5.3, [voice])
    one.event("begin", "rain", 5.0)
    one.hear(7.1, [voice])
    one.event("end", "rain", 5.0, 7.0)
    one.hear(8.2, [voice])
    assert one.clips() == []
    one.hear(14, [voice])
    (clip,) = one.close()
    expected = sound[clip.start_sample : clip.stop_sample].copy()
    spans = [[round(s * RATE) for s in masked]] if masked else []
    for first, last in spans:
        expected[first - clip.start_sample : last - clip.start_sample] = 0
    assert clip.masked == spans
    assert np.array_equal(clip.samples, expected)


def test_a_clip_near_voice_can_be_dropped_as_a_whole(stream):
    one = stream(noise(14), private("drop"))
    one.hear(6, [(5.6, 5.8)])
    one.event("begin", "rain", 5.0)
    one.event("end", "rain", 5.0, 5.5)
    one.hear(14)
    assert one.close() == []
    (message,) = one.said
    assert (message.reason, message.detail["clip"]) == ("no clip: privacy", None)


def test_the_private_sound_itself_makes_no_clip(stream):
    one = stream(noise(14), private())
    one.event("begin", "voice", 5.0)
    one.event("end", "voice", 5.0, 6.0)
    one.hear(14)
    assert (one.close(), one.said) == ([], [])


def test_what_could_not_be_looked_ahead_is_silenced_at_the_end(stream):
    sound = noise(6)
    one = stream(sound, private())
    one.hear(6)
    one.event("begin", "rain", 4.0)
    one.event("end", "rain", 4.0, 6.0)
    (clip,) = one.close()
    assert clip.masked == [[5 * RATE, 6 * RATE]]
    assert not clip.samples[-RATE:].any()
    assert np.array_equal(clip.samples[:-RATE], sound[clip.start_sample : 5 * RATE])


def test_a_clip_does_not_wait_for_ever_for_scores_that_do_not_come(stream):
    sound = noise(30)
    one = stream(sound, private())
    one.hear(4)
    one.event("begin", "rain", 3.0)
    one.event("end", "rain", 3.0, 3.5)
    for at in range(4 * RATE, 30 * RATE, RATE):
        one.ring.write(sound[at : at + RATE])
    until(lambda: one.said)
    (message,) = one.said
    (clip,) = one.close()
    assert message.reason == "clip"
    assert clip.masked == [[3 * RATE, int(3.75 * RATE)]]


class SlowStore(ClipStore):
    """A disk that does nothing until told to."""

    def __init__(self, *args):
        super().__init__(*args)
        self.go, self.entered = threading.Event(), threading.Event()

    def write(self, *args):
        self.entered.set()
        self.go.wait(20)
        return super().write(*args)


def test_a_slow_disk_never_holds_the_stream_up_and_drops_are_counted(tmp_path, stream):
    clips = Clips(before=0.0, after=0.0, join=0.0, backlog=3.0, min_free_mb=0)
    store = SlowStore(clips, tmp_path / "clips", "hut", "mic")
    one = stream(noise(40), clips, store=store)
    for onset in range(0, 30, 3):
        one.event("begin", "rain", onset)
        one.event("end", "rain", onset, onset + 1)
        one.hear(onset + 3)
        store.entered.wait(20)
    store.go.set()
    kept = one.close()
    assert (len(kept), len(one.drops)) == (3, 7)
    lost = [message.detail for message in one.said if "lost" in message.detail]
    assert sum(detail["lost"] for detail in lost) == 7
    assert len({event for detail in lost for event in detail["events"]}) == 7


def test_a_file_waits_for_the_disk_and_loses_nothing(tmp_path, stream):
    clips = Clips(before=0.0, after=0.0, join=0.0, backlog=1.0, min_free_mb=0)
    one = stream(noise(40), clips, live=False)
    for onset in range(0, 30, 3):
        one.event("begin", "rain", onset)
        one.event("end", "rain", onset, onset + 1)
        one.hear(onset + 3)
    assert (len(one.close()), one.drops) == (10, [])


def test_a_disk_that_fails_is_said_and_the_next_clip_is_tried(tmp_path, stream):
    (tmp_path / "clips").write_text("no folder")
    one = stream(noise(20))
    one.event("begin", "rain", 1.0)
    one.event("end", "rain", 1.0, 2.0)
    one.hear(6)
    until(lambda: one.said)
    (tmp_path / "clips").unlink()
    one.event("begin", "rain", 8.0)
    one.event("end", "rain", 8.0, 9.0)
    one.hear(20)
    (clip,) = one.close()
    assert clip.start_sample == 7.5 * RATE
    failed, fine = one.said
    assert "a clip cannot be written: " in failed.reason
    assert failed.detail["clip"] is None
    assert fine.detail["clip"] == clip.clip


def test_two_streams_of_a_file_as_fast_as_it_goes(tmp_path):
    """A ring with history gives exact clips, however fast its writer is."""
    sound = noise(60)
    one = Stream(tmp_path / "clips", sound, live=False)
    history = round(one.recorder.history_s * RATE)
    ring = Ring(history + 2 * RATE, RATE, history=history)
    ring.begin("fast")
    one.recorder.attach(ring, RATE, "fast")
    one.epoch = "fast"
    writer = threading.Thread(target=lambda: (ring.write_all(sound, threading.Event()), ring.close()))
    writer.start()
    first = 0
    while not ring.ended:
        block = ring.read(RATE, 5)
        if block is None:
            continue
        second = block.start // RATE
        if second % 7 == 6:
            one.event("begin", "rain", second - 3)
            one.event("end", "rain", second - 3, second - 2)
        frames = block.stop // (2 * HOP) - first
        scores = np.zeros((frames, 3), np.float32)
        one.recorder.scores(ScoreBlock("fast", first, HOP, RATE // 2, scores, HOP), LABELS)
        first += frames
    writer.join()
    clips = one.close()
    assert (len(clips), one.drops) == (8, [])
    for clip in clips:
        assert np.array_equal(clip.samples, sound[clip.start_sample : clip.stop_sample])


@pytest.mark.parametrize("rate", [8000, 44_100, 192_000, 384_000])
def test_encoding_keeps_every_rate(rate, tmp_path):
    samples = noise(0.1)
    data, bits = encode(samples, rate)
    (tmp_path / "a.flac").write_bytes(data)
    back, found = soundfile.read(tmp_path / "a.flac", dtype="float32")
    assert (found, bits) == (rate, 16)
    assert np.array_equal(back, samples)


def test_samples_beyond_24_bits_are_rounded_and_beyond_full_scale_clipped(tmp_path):
    samples = np.array([0.1, -1.5, 2.0, 2**-30, 1.0, -1.0], np.float32)
    data, bits = encode(samples, 8000)
    (tmp_path / "a.flac").write_bytes(data)
    back, _ = soundfile.read(tmp_path / "a.flac", dtype="float32")
    assert bits == 24
    assert np.abs(back - np.clip(samples, -1, 1)).max() <= 2**-23
