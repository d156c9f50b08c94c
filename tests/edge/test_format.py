"""Lines for people and for programs."""

import doctest
import json

from hypothesis import given
from hypothesis import strategies as st

import edge.client
import edge.commands.format
import edge.commands.listen
import edge.publish.zeromq
from edge.blocks import Event
from edge.commands.format import human, line, plain


def event(**fields):
    base = {
        "stream": "mic",
        "id": "e",
        "device": "hut",
        "epoch": "e",
        "type": "begin",
        "onset_sample": 0,
        "onset_s": 0.0,
    }
    return Event(**base | fields)


def test_doctests_hold():
    for module in (edge.commands.format, edge.commands.listen, edge.publish.zeromq):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0


def test_a_line_with_everything():
    text = human(
        event(
            type="end",
            label="rain",
            seq=42,
            onset_utc="2026-05-01T04:30:00.123Z",
            onset_s=1.5,
            offset_s=4.0,
            peak=0.9312,
            durable=True,
        )
    )
    assert text.split() == ["2026-05-01T04:30:00.123Z", "mic", "end", "rain", "2.50", "s", "0.93", "#42"]


def test_what_is_not_journalled_says_so():
    assert human(event(label="rain", seq=3, durable=False)).endswith("#3 not journalled")
    assert human(event(label="rain", seq=3, durable=True)).endswith("#3")


def test_an_event_without_label_gives_its_reason():
    text = human(event(type="gap", reason="160 samples were lost", seq=5, durable=True))
    assert text.split() == ["+00:00:00.000", "mic", "gap", "160", "samples", "were", "lost", "#5"]


def test_a_clip_is_named():
    text = human(event(type="health", reason="clip", detail={"clip": "hedge/a.flac"}, seq=5, durable=True))
    assert text.split() == ["+00:00:00.000", "mic", "health", "clip", "hedge/a.flac", "#5"]
    lost = human(event(type="health", reason="1 clips were lost", detail={"clip": None}, seq=6, durable=True))
    assert lost.split()[-5:] == ["1", "clips", "were", "lost", "#6"]


def test_stream_time_in_hours():
    assert human(event(onset_s=3 * 3600 + 25 * 60 + 45.6789)).startswith("+03:25:45.679 ")
    assert human(event(onset_s=59.9996)).startswith("+00:01:00.000 ")


@given(st.text(), st.text(), st.text())
def test_nothing_but_printable_text_reaches_a_terminal(label, stream, reason):
    for text in (human(event(label=label, stream=stream)), human(event(reason=reason, type="health"))):
        assert text == plain(text)
        assert text.isprintable() or not set(text) & {"\n", "\r", "\x1b", "\u202e"}


@given(st.text(st.characters(codec="utf-8")))
def test_json_lines_are_lossless_and_one_line(label):
    text = line(event(label=label))
    assert json.loads(text)["label"] == label
    assert len(text.splitlines()) == 1
