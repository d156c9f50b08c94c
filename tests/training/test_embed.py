"""Embeddings of one's own as files, and the extractor that is left: they say the same."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from edge.errors import ConfigError
from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd
from training.data import decode
from training.data.dataset import Dataset, Item
from training.data.formats import FORMATS
from training.embed import embed, last_layer
from training.layers.examples import alive
from training.models import MODELS, Shape
from training.models.vggish import extractor
from training.procedures.start import take_over

SPEC = {
    "rate": 8000,
    "frames": {"window": 160, "hop": 160},
    "bands": {"kind": "mel", "count": 8},
    "scale": {"kind": "ln"},
}
SMALL = {"stem": 2, "stages": [4, 4], "width": 8, "dilations": [1], "sequence": {"hidden": 4}}
HALF_A_STEP = 4 / 255 / 2


def network(seed=0):
    torch.manual_seed(seed)
    return alive(MODELS.build(MODELS.parse({"kind": "compact", **SMALL}), Shape(8, 2, 50.0)))


@pytest.fixture
def sounds(tmp_path, monkeypatch):
    """Two noises in each of two folds, and one that is shorter than an embedding."""
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    rng, items = np.random.default_rng(0), []
    for n, seconds in enumerate((1.0, 2.0, 1.0, 1.0, 0.1)):
        name = f"{n}.wav"
        level = np.exp(rng.uniform(-6, 0, 16).repeat(round(seconds * 500)))
        soundfile.write(tmp_path / name, level * rng.uniform(-1, 1, len(level)), 8000)
        items.append(Item(name, tmp_path / name, (n % 2,), fold=1 + n // 2))
    return Dataset("noises", ("a", "b"), tuple(items), exclusive=True)


def run(model, train=()):
    return SimpleNamespace(recipe=SimpleNamespace(frontend=parse(SPEC)), model=model, splits={"train": list(train)})


def test_the_files_say_what_the_whitened_extractor_gives(sounds, tmp_path):
    out = tmp_path / "out"
    assert embed(run(network(), ["0.wav", "1.wav"]), sounds, out) == {"fold1": 2, "fold2": 2, "fold3": 1}
    table = {"kind": "embeddings", "parts": ["fold1", "fold2", "fold3"], "test": "fold2", "exclusive": True}
    dataset = FORMATS.build(FORMATS.parse(table), out)
    assert dataset.exclusive
    assert [(i.name, i.weak, i.split) for i in dataset.items][2:] == [
        ("fold2/2.wav_0", (0,), "test"), ("fold2/3.wav_0", (1,), "test"), ("fold3/4.wav_0", (0,), "train"),
    ]  # fmt: skip
    fresh = network(seed=5)
    take_over(fresh, out)
    for item, sound in zip(dataset.items[:4], sounds.items[:4], strict=True):
        frames = torch.from_numpy(FrontEnd(parse(SPEC)).transform(sound.samples(8000)))
        with torch.no_grad():
            own = fresh.body.layers[0](frames[None, None])[0, :, :, 0].T.numpy()
        read = item.embedding()
        assert read.shape == own.shape == (len(frames) // 8, 128)
        assert np.abs(read - own.clip(-2, 2)).max() <= HALF_A_STEP + 1e-3


def test_an_extractor_that_ends_in_an_activation_or_another_size_is_refused():
    with pytest.raises(ConfigError, match=r"got 128 behind relu; VGGish needs `whiten` = true"):
        last_layer(extractor(width=0.02))
    assert last_layer(extractor(width=0.02, whiten=True)).conv.bias is not None
    with pytest.raises(ConfigError, match="expected a network of an extractor and what listens, got Linear"):
        embed(run(torch.nn.Linear(1, 1)), Dataset("x", (), ()), None)
