"""Sequences of embeddings: classes in turn over the borders of batches, and stretches of clips."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge.frontend.presets import preset
from training.augment import Chain, parse
from training.data.dataset import Dataset, EmbeddedItem, Item
from training.data.embeddings import Embedding, dequantise, read, write
from training.data.shelf import Shelf
from training.sampling import SAMPLERS, Material
from training.sampling.sequences import stretch

CLASSES = 7


@pytest.fixture
def material(tmp_path):
    """Class k has k + 1 clips of 4 embeddings, all of which are the byte of the clip."""
    labels = [k for k in range(CLASSES) for _ in range(k + 1)]
    path = tmp_path / "x.tfrecord"
    write(path, [Embedding(f"v{n}", 0, 4, (k,), np.full((4, 128), n, np.uint8)) for n, k in enumerate(labels)])
    items = tuple(EmbeddedItem(e.video, path, weak=e.labels, at=e.at) for e in read(path))
    dataset = Dataset("x", tuple(map(str, range(CLASSES))), items)
    return Material(dataset, None, Shelf(16000), preset("vggish"))


def sampler(material, **settings):
    return SAMPLERS.build(SAMPLERS.parse({"kind": "sequences", "segments": 3, **settings}), material)


def test_in_any_window_of_whole_rounds_each_class_comes_equally_often(material):
    drawn = [sampler(material).item(n, seed=1).weak[0] for n in range(10 * CLASSES)]
    for first in range(3 * CLASSES):
        counts = Counter(drawn[first : first + 2 * CLASSES])
        assert set(counts.values()) == {2}


def test_the_classes_go_on_over_the_borders_of_batches(material):
    """Card C: of 527 classes and batches of 500, the second batch begins with class 501 (500 from 0)."""
    one = sampler(material)
    for step in range(4):
        taught = one.batch(5, 1, step).clip.argmax(1).tolist()
        assert taught == [(step * 5 + k) % CLASSES for k in range(5)]


def test_a_class_gives_each_of_its_clips_before_one_comes_again(material):
    one = sampler(material)
    last = [one.item(k * CLASSES + CLASSES - 1, seed=3).name for k in range(2 * CLASSES)]
    assert len(set(last[:CLASSES])) == len(set(last[CLASSES:])) == CLASSES


def test_by_items_every_clip_comes_as_often(material):
    count = len(material.dataset)
    assert set(Counter(sampler(material, balance="items").item(n, 1).name for n in range(2 * count)).values()) == {2}


def test_a_batch_is_a_pure_function_of_size_seed_and_step(material):
    first = sampler(material).batch(6, 1, 5)
    other = sampler(material)
    other.batch(6, 1, 4)
    again = other.batch(6, 1, 5)
    assert first.features.shape == (6, 128, 3, 1)
    assert (first.features == again.features).all()
    assert (first.features != sampler(material).batch(6, 2, 5).features).any()


def test_the_numbers_are_those_of_the_file(material):
    batch = sampler(material, balance="items").batch(len(material.dataset), 1, 0)
    expected = dequantise(np.arange(len(material.dataset), dtype=np.uint8))
    assert np.allclose(sorted(batch.features[:, 0, 0, 0].tolist()), expected)


def test_mixup_mixes_sequences_and_targets_alike(material):
    chain = Chain(parse([{"kind": "mixup", "alpha": 1.0}]))
    mixed = sampler(Material(material.dataset, None, material.shelf, material.spec, chain)).batch(8, 1, 0)
    assert np.allclose(mixed.clip.sum(1), 1.0, atol=1e-6)
    assert (mixed.clip.amax(1) < 1).any()


def test_stretches():
    rng, values = np.random.default_rng(0), np.arange(5, dtype=np.float32)[:, None]
    assert stretch(values[:2], 5, rng)[:, 0].tolist() == [0, 1, 0, 1, 0]
    firsts = {int(stretch(values, 3, rng)[0, 0]) for _ in range(50)}
    assert firsts == {0, 1, 2}
    assert np.array_equal(stretch(values, 5, rng), values)


def test_sounds_are_refused(material, tmp_path):
    sounds = Dataset("sounds", ("a",), (Item("a.wav", tmp_path / "a.wav", (0,)),))
    with pytest.raises(ValueError, match="expected a data set of embeddings, got sounds: `clips` draws sound"):
        sampler(Material(sounds, None, material.shelf, material.spec))
