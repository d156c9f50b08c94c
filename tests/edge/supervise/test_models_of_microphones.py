"""A network for each microphone, as docs/field.md shows it: adapted rules for one, an adapted layer for the other."""

from pathlib import Path

import numpy as np
import pytest

import edge
from edge.adapt import save, save_layer
from edge.config import load
from edge.inference import store
from edge.inference.card import Decode
from edge.sources.fake import FakeSource

PAGE = Path(edge.__file__).parent.parent / "docs/field.md"
BASE, EMBEDDING = "esc10-s", 96  # numbers of its embedding


@pytest.fixture
def example(tmp_path):
    text = PAGE.read_text().partition("## A model for each microphone")[2].partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "apiary.toml").write_text(text)
    return load(tmp_path / "apiary.toml")


def test_each_stream_is_judged_by_the_network_of_its_microphone(rig, example, tmp_path, monkeypatch):
    monkeypatch.setenv("WHEATEAR_MODELS", str(tmp_path / "models"))
    folder = store.find(BASE)
    card = store.load_card(folder)
    labels, rain = list(card.labels), card.labels.index("rain")
    save(folder, "hive1", Decode(on=0.3, off=0.2, ignore=[name for name in labels if name != "rain"]), "by hand")
    # Its last layer says rain whatever sounds: the logit of that class is a hundred higher.
    weights = np.zeros((len(labels), EMBEDDING + 1), np.float32)
    weights[rain, -1] = 100
    save_layer(folder, "hive2", weights, {"rain": 1.0}, "by hand")
    silence = np.zeros(6 * 16_000, np.float32)
    opened = []

    def source(key, channels, rate):
        opened.append(key.source)
        return FakeSource(silence, rate, live=False, channel=channels)

    one = rig(example, source).run()
    assert one.error is None
    assert sorted(opened) == ["mic:usb:0d8c:0014@1-1.2", "mic:usb:0d8c:0014@1-1.3"]
    assert one.of("hive1", "begin") == []  # of the same silence
    (rains,) = [event for event in one.of("hive2", "end") if event.label == "rain"]
    assert (rains.model, rains.onset_s) == (f"hive2@{card.version}", 0.0)
    assert "min 2s" in rains.rule
