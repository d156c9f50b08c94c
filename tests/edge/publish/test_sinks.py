"""What follows the outbox: bounded queues whose drops are counted and announced, and lines in a file."""

import json
import os
import shutil
import stat
import threading
from collections import namedtuple

import pytest

from edge.blocks import Event
from edge.errors import ConfigError
from edge.publish.board import ANNOUNCE_S, Board
from edge.publish.jsonlines import LineFile, line_sink
from edge.publish.outbox import Outbox
from edge.publish.sink import QueueSink


def event(i=0):
    return Event(
        stream="mic", id=f"e:rain:{i}", device="hut", epoch="e", type="begin", label="rain", onset_sample=i, onset_s=0.0
    )


def lines(path):
    return [json.loads(line)["onset_sample"] for line in path.read_text().splitlines()]


def test_a_sink_that_stands_still_holds_nobody_up_and_its_drops_are_announced():
    board, entered, go, delivered, heard = Board(), threading.Event(), threading.Event(), [], []

    def deliver(batch):
        entered.set()
        assert go.wait(30)
        delivered.extend(e.onset_sample for e in batch)

    sink = QueueSink("slow", deliver, board, limit=5)
    with Outbox(sinks=[sink], board=board, on_published=heard.append) as outbox:
        outbox.submit(event(0))
        assert entered.wait(30)
        for i in range(1, 9):
            outbox.submit(event(i))
        while board.status.published < 9:
            pass
        assert board.status.dropped == {"slow": 3}
        assert board.status.queued["slow"] == 5
        go.set()
        while not any(e.type == "health" for e in heard):
            threading.Event().wait(0.01)
    assert [i for i in delivered if i < 6][:6] == list(range(6))
    (health,) = [e for e in heard if e.type == "health"]
    assert health.reason == "3 events were left out: the queue of slow was full"
    assert health.detail == {"dropped": "slow", "count": 3, "total": 3}


def test_drops_that_go_on_are_announced_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("edge.publish.board.time.monotonic", lambda: now[0])
    board = Board()
    board.drop("x", 2)
    assert [n.detail["count"] for n in board.take()] == [2]
    board.drop("x", 3)
    assert board.take() == []
    now[0] += ANNOUNCE_S
    assert [(n.detail["count"], n.detail["total"]) for n in board.take()] == [(3, 5)]
    board.drop("journal", 7, announce=False)
    now[0] += ANNOUNCE_S
    assert board.take() == []
    assert board.status.dropped == {"x": 5, "journal": 7}


def test_the_board_keeps_the_latest_notices_only():
    board = Board()
    for i in range(1000):
        board.say(str(i))
    assert [n.reason for n in board.take()] == [str(i) for i in range(900, 1000)]


def test_a_sink_that_raises_counts_and_goes_on(caplog):
    board, delivered = Board(), []

    def deliver(batch):
        if batch[0].onset_sample == 0:
            raise ZeroDivisionError
        delivered.extend(batch)

    sink = QueueSink("odd", deliver, board)
    sink.push(event(0))
    while not board.status.dropped:
        pass
    sink.push(event(1))
    sink.close()
    assert [e.onset_sample for e in delivered] == [1]
    assert board.status.dropped == {"odd": 1}
    assert "odd could not deliver 1 events" in caplog.text


def test_lines_in_a_private_file(tmp_path):
    path = tmp_path / "logs" / "events.jsonl"
    sink = line_sink(path, Board(), 1 << 20, 3, 0)
    for i in range(100):
        sink.push(event(i))
    sink.close()
    assert lines(path) == list(range(100))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_files_are_rotated_by_size_and_the_oldest_goes(tmp_path):
    path = tmp_path / "events.jsonl"
    size = len(json.dumps({})) + 400  # an event's line is below this
    file = LineFile(path, Board(), 10 * size, 3, 0)
    for i in range(200):
        file.write([event(i)])
    file.close()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert all(p.stat().st_size <= 10 * size for p in tmp_path.iterdir())
    kept = [*lines(tmp_path / names[2]), *lines(tmp_path / names[1]), *lines(path)]
    assert kept == list(range(kept[0], 200))
    assert kept[0] > 0


def test_a_half_line_of_a_killed_process_spoils_nothing_after_it(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"v":1,"stre')
    file = LineFile(path, Board(), 1 << 20, 3, 0)
    file.write([event(7)])
    file.close()
    broken, whole = path.read_text().splitlines()
    assert broken == '{"v":1,"stre'
    assert json.loads(whole)["onset_sample"] == 7


def test_free_space_is_kept_by_giving_up_old_files_and_then_by_silence(tmp_path, monkeypatch):
    """A disk of 2,000 bytes, of which 600 shall stay free."""

    def usage(folder):
        used = sum(p.stat().st_size for p in tmp_path.iterdir())
        return namedtuple("usage", "total used free")(2000, used + others[0], 2000 - used - others[0])

    others = [0]
    monkeypatch.setattr(shutil, "disk_usage", usage)
    board = Board()
    path = tmp_path / "events.jsonl"
    file = LineFile(path, board, 500, 4, 600)
    for i in range(20):
        file.write([event(i)])
        assert usage(tmp_path).free >= 600
    assert lines(path)[-1] == 19
    assert board.take() == []
    others[0] = 1900  # somebody else fills the disk
    file.write([event(20), event(21)])
    assert [p.name for p in tmp_path.iterdir()] == ["events.jsonl"]
    assert board.status.dropped == {"json-lines": 2}
    assert board.take()[0].reason == f"{path} is not written: less than 0 MiB would stay free"
    others[0] = 0
    file.write([event(22)])
    assert lines(path)[-1] == 22
    assert [n.reason for n in board.take()] == [f"{path} is written again"]
    file.close()


def test_a_link_in_the_files_place_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_text("keep me")
    (tmp_path / "events.jsonl").symlink_to(target)
    with pytest.raises(ConfigError, match="expected a file that can be written"):
        LineFile(tmp_path / "events.jsonl", Board(), 1 << 20, 3, 0)
    assert target.read_text() == "keep me"


def test_a_disk_that_fails_is_told_once_and_when_it_is_over(tmp_path, monkeypatch):
    board = Board()
    file = LineFile(tmp_path / "events.jsonl", board, 1 << 20, 3, 0)
    real = os.write

    def broken(descriptor, data):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("edge.publish.jsonlines.os.write", broken)
        file.write([event(0)])
        file.write([event(1)])
    assert os.write is real
    file.write([event(2)])
    file.close()
    said = [n.reason for n in board.take() if "json_lines" in n.detail]
    assert [text.rpartition(" is ")[2] for text in said] == ["not written: Input/output error", "written again"]
    assert lines(tmp_path / "events.jsonl") == [2]
