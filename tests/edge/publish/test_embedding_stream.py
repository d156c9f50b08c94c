"""Embeddings on their way: numbered, bounded, the scorer's own to the bit."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time

import msgspec
import numpy as np
import pytest
import soundfile

from bench.ports import free_ports
from edge.blocks import AudioBlock, ScoreBlock
from edge.config import Config
from edge.config.outputs import Publish
from edge.config.streams import Stream
from edge.daemon import Daemon
from edge.demo import RATE, scene
from edge.errors import ConfigError, StoppedError, WireError
from edge.frontend.stream import FrontEnd
from edge.inference import store
from edge.inference.model import Model
from edge.publish.board import Board
from edge.publish.embeddings import EmbeddingOutput, Embeddings, EmbeddingSubscriber, open_embeddings, read
from edge.publish.sink import QueueSink
from edge.resample import Resampler


def block(first, rows):
    rows = np.asarray(rows, np.float32)
    return ScoreBlock("e", first, 5120, 32000, np.zeros((len(rows), 2), np.float32), 5120, rows)


def message(number, **fields):
    fixed = {"device": "hut", "stream": "mic", "model": "m@1", "epoch": "e", "first": 0, "hop": 1, "rate": 8, "size": 2}
    return Embeddings(**fixed | fields, number=number, data=b"")


def test_a_message_says_where_its_rows_are_and_json_brings_them_back():
    taken = []
    rows = [[1.5, -2.0, 3.25], [0.1, 0.2, 0.3]]
    EmbeddingOutput("hut", taken.append).push("mic", "m@1", block(25, rows))
    found = msgspec.json.decode(msgspec.json.encode(taken[0]), type=Embeddings)
    assert np.array_equal(found.rows, np.array(rows, np.float32))
    assert (found.onset_s, found.size, found.number) == (4.0, 3, 1)


def test_each_stream_and_model_counts_for_itself_and_blocks_without_embeddings_do_not_count():
    taken = []
    output = EmbeddingOutput("hut", taken.append)
    for stream, model in [("a", "m"), ("a", "n"), ("b", "m"), ("a", "m")]:
        output.push(stream, model, block(0, [[1.0]]))
    output.push("a", "m", ScoreBlock("e", 0, 1, 8, np.zeros((1, 2), np.float32), 1))
    output.push("a", "m", block(0, np.zeros((0, 1))))
    assert [(m.stream, m.model, m.number) for m in taken] == [
        ("a", "m", 1),
        ("a", "n", 1),
        ("b", "m", 1),
        ("a", "m", 2),
    ]


def test_where_nobody_takes_them_the_queue_is_bounded_and_counts():
    board, go, taken = Board(), threading.Event(), []
    sink = QueueSink("embeddings", lambda batch: go.wait(10) and taken.extend(batch), board, limit=3)
    output = EmbeddingOutput("hut", sink.push)
    output.push("mic", "m", block(0, [[0.0]]))
    deadline = time.monotonic() + 10
    while board.status.queued.get("embeddings") and time.monotonic() < deadline:
        time.sleep(0.001)  # until the thread holds the first one
    for k in range(1, 9):
        output.push("mic", "m", block(k, [[float(k)]]))
    go.set()
    sink.close()
    assert [m.number for m in taken] == [1, 2, 3, 4]
    assert board.status.dropped == {"embeddings": 5}


def test_a_subscriber_reads_them_and_counts_what_is_missing():
    endpoint = f"tcp://127.0.0.1:{free_ports()}"
    with (
        open_embeddings(Publish(embeddings=endpoint), "hut", True, Board()) as output,
        EmbeddingSubscriber(endpoint, timeout=0.05) as listening,
    ):
        while next(listening, None) is None:  # until the subscription has arrived
            output.push("mic", "m", block(0, [[1.0, 2.0]]))
        listening._timeout = 5.0
        output._take(msgspec.structs.replace(message(1000, model="other"), run="r"))
        output._take(msgspec.structs.replace(message(1003, model="other"), run="r"))
        found = [next(m for m in listening if m.model == "other") for _ in range(2)]
    assert [m.number for m in found] == [1000, 1003]
    assert listening.lost == 2


def test_what_is_no_embedding_is_refused():
    import zmq

    endpoint = f"tcp://127.0.0.1:{free_ports()}"
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.bind(endpoint)

    def listen(listening):
        for _ in range(200):
            socket.send_multipart([b"wheatear.v1.hut.mic.begin.x.", b'{"type": "begin"}'])
            next(listening, None)

    with EmbeddingSubscriber(endpoint, timeout=0.05) as listening, pytest.raises(WireError, match="is it the port"):
        listen(listening)
    context.destroy(linger=0)


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_bytes(msgspec.json.encode(message(1)) + b"\n{}\n")
    with pytest.raises(ConfigError, match=r"e\.jsonl:2: expected embeddings"):
        list(read(path))


def test_a_file_that_is_not_whole_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.publish.embeddings.KEEP_FREE", 1 << 60)
    with (
        pytest.raises(StoppedError, match=r"e\.jsonl: 1 messages were not written: is the disk full"),
        open_embeddings(Publish(embeddings=str(tmp_path / "e.jsonl")), "hut", False, Board()) as output,
    ):
        output.push("mic", "m", block(0, [[1.0]]))


def test_an_open_address_needs_leave():
    with (
        pytest.raises(WireError, match="will not listen"),
        open_embeddings(Publish(embeddings="tcp://0.0.0.0:5558"), "hut", True, Board()),
    ):
        pass


def test_a_files_embeddings_are_those_that_the_scorer_gives(tmp_path):
    path, out = tmp_path / "scene.wav", tmp_path / "scene.jsonl"
    soundfile.write(path, scene()[0][: 6 * RATE], RATE, subtype="FLOAT")
    command = "from edge.cli import main; main()", "run", "-s", path, "-m", "wheatear-s", "--embeddings", out
    done = subprocess.run([sys.executable, "-c", *map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    messages = list(read(out))
    model = Model.load("wheatear-s")
    samples = soundfile.read(path, dtype="float32")[0]
    resampler, front, scorer = (
        Resampler(RATE, model.spec.rate, model.spec.resampler),
        FrontEnd(model.spec),
        model.stream(),
    )
    sound = resampler.push(AudioBlock("e", 0, RATE, samples))
    front.reset("e", 0)
    parts = [scorer.push(front.push(sound)), scorer.push(front.push(resampler.flush())), scorer.push(front.flush())]
    whole = np.concatenate([part.embeddings for part in (*parts, scorer.flush())])
    assert np.array_equal(np.concatenate([m.rows for m in messages]), whole)
    assert [m.first for m in messages] == [0, *np.cumsum([len(m.rows) for m in messages])[:-1]]
    assert [m.number for m in messages] == list(range(1, len(messages) + 1))


def test_a_model_without_an_embedding_is_refused_before_anything_runs(tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(store.find("esc10-s"), folder)
    card = folder / "card.toml"
    card.write_text("\n".join(line for line in card.read_text().splitlines() if not line.startswith("embedding")))
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    config = Config(
        streams=(Stream(source=str(path), model=str(folder)),), publish=Publish(embeddings=str(tmp_path / "e"))
    )
    with pytest.raises(ConfigError, match=r"expected a model with embeddings \(`output\.embedding` in its card\), got"):
        Daemon(config, False, lambda _: None).run()
    assert not (tmp_path / "e").exists()
