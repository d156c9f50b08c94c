"""AudioSet's embeddings as a data set, and a training on them: what listens learns, the extractor stays as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from training import recipe, run
from training.data.check import check
from training.data.embeddings import Embedding, write
from training.data.formats import FORMATS
from training.train import Options, train

NAMES = ("Speech", "Dog", "Rain, on roof")


def load(folder, **settings):
    return FORMATS.build(FORMATS.parse({"kind": "embeddings", **settings}), folder)


@pytest.fixture
def folder(tmp_path):
    """Twelve clips to learn from and six to test on; class k is told by byte k of every frame."""
    rng = np.random.default_rng(0)
    rows = "".join(f'{k},/m/{k},"{name}"\n' for k, name in enumerate(NAMES))
    (tmp_path / "class_labels_indices.csv").write_text("index,mid,display_name\n" + rows)
    for part, count in (("bal_train", 12), ("eval", 6)):
        (tmp_path / part).mkdir()
        made = []
        for n in range(count):
            frames = rng.integers(100, 156, (10 if n else 4, 128)).astype(np.uint8)
            frames[:, n % 3] = 255
            made.append(Embedding(f"{part}{n:02}", 30.0, 40.0, (n % 3,), frames))
        write(tmp_path / part / "00.tfrecord", made[: count // 2])
        write(tmp_path / part / "01.tfrecord", made[count // 2 :])
    return tmp_path


def test_parts_labels_and_groups(folder):
    dataset = load(folder)
    assert dataset.labels == NAMES
    assert len(dataset) == 18
    assert {(i.name.partition("/")[0], i.split) for i in dataset.items} == {("bal_train", "train"), ("eval", "test")}
    first = dataset.items[7]
    assert (first.name, first.weak, first.group) == ("bal_train/bal_train07_30", (1,), "bal_train07")
    assert first.embedding().shape == (10, 128)
    assert first.embedding()[0, 1] == 2.0
    assert check(dataset).dataset is dataset


def test_chosen_labels_keep_their_order_and_leave_out_the_rest(folder):
    dataset = load(folder, labels=["Rain, on roof", "Speech"], parts=["eval"])
    assert [i.weak for i in dataset.items] == [(1,), (0,), (1,), (0,)]


def test_there_is_no_sound(folder):
    with pytest.raises(ValueError, match=r"00\.tfrecord: expected sound, got embeddings of bal_train/bal_train00_30"):
        load(folder).items[0].samples(16000)


def test_an_unknown_label_and_a_missing_part_are_named(folder):
    with pytest.raises(ValueError, match=r"expected files \*\.tfrecord in .*unbal_train, got none"):
        load(folder, parts=["unbal_train"])
    write(folder / "eval/02.tfrecord", [Embedding("x", 0, 10, (3,), np.zeros((1, 128), np.uint8))])
    with pytest.raises(ValueError, match=r"02\.tfrecord: expected labels of class_labels_indices\.csv, got 3"):
        load(folder)


def test_a_training_on_them_teaches_what_listens_and_leaves_the_extractor(folder, tmp_path):
    changes = [
        "data.folder=", "data.parts=['bal_train', 'eval']", "model.width=0.02", "model.sequence.hidden=16",
        "model.sequence.dropout=0.0", "procedure.steps=60", "procedure.batch=6", "procedure.warmup=5",
        "procedure.rate=0.02", "procedure.averaging='last'",
    ]  # fmt: skip
    chosen = recipe.load("c-audioset-multilevel", tuple(changes))
    metrics = train(chosen, folder, tmp_path / "run", Options())
    assert metrics["map"] > 0.9
    found = run.read(tmp_path / "run")
    assert not found.recipe.frontend.post
    assert json.loads((tmp_path / "run/splits.json").read_text())["test"][0] == "eval/eval00_30"
    torch.manual_seed(chosen.seed)
    fresh = run.network(found.recipe, 3).body.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in found.model.body.state_dict().items())
