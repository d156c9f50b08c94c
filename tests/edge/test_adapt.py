"""Adapting thresholds to a place: where peaks part, what a choice is worth, and a model that was adapted."""

import doctest

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge import adapt
from edge.adapt import Advice, Recording, adapted, advise, recordings, save, threshold
from edge.decode.decoder import rule_of
from edge.demo import RATE, scene
from edge.errors import CardError, ConfigError, SourceError
from edge.inference import store
from edge.inference.card import Decode, Rule
from edge.inference.model import Model

PEAKS = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_doctests_hold():
    assert doctest.testmod(adapt).failed == 0


@given(PEAKS, PEAKS, st.floats(0.05, 0.95))
def test_a_threshold_is_never_worse_than_the_one_before(there, rest, now):
    def right(on):
        return np.mean(np.array(there) >= on) + np.mean(np.array(rest) < on)

    assert right(threshold(there, rest, now)) >= right(now)


def test_of_equally_good_places_the_threshold_stays():
    assert threshold([0.9, 0.95], [0.1, 0.2], 0.6) == 0.6


def test_off_keeps_its_ratio_and_other_classes_their_rules():
    rules = Decode(on=0.5, off=0.25, labels={"rain": Rule(median=1.0), "wind": Rule(on=0.9)})
    found = adapted(rules, [Advice("rain", (0.5, 0.8), (0.5, 1.0), (3, 3))])
    assert (rule_of(found, "rain").on, rule_of(found, "rain").off, rule_of(found, "rain").median) == (0.8, 0.4, 1.0)
    assert rule_of(found, "wind") == rule_of(rules, "wind")


@pytest.fixture
def place(tmp_path):
    """Recordings of a place: sounds of the demo's scene, each quiet among noise, and noise alone."""
    samples, truth = scene()
    label = truth[0].label
    rng = np.random.default_rng(0)
    for k in range(3):
        part = samples[round(truth[0].onset * RATE) : round(truth[0].offset * RATE)]
        for folder, sound in ((label, part), ("none", np.zeros(len(part)))):
            (tmp_path / folder).mkdir(exist_ok=True)
            noise = 0.001 * (k + 1) * rng.standard_normal(len(part))
            soundfile.write(tmp_path / folder / f"{k}.wav", sound + noise, RATE)
    return tmp_path, label


def test_a_model_is_adapted_and_runs_by_its_new_name(place, tmp_path, monkeypatch):
    folder, label = place
    monkeypatch.setenv("WHEATEAR_MODELS", str(tmp_path / "models"))
    model = Model.load("esc10-s")
    found = recordings(folder, model.labels)
    assert [one.label for one in found].count(label) == 3
    advice = advise(model, found)
    assert [(one.label, one.recordings) for one in advice] == [(label, (3, 3))]
    assert advice[0].right[0] <= 1
    target = save(store.find("esc10-s"), "garden", adapted(model.card.decode, advice), "6 recordings")
    again = Model.load("garden")
    assert target.name == "garden"
    assert rule_of(again.card.decode, label).on == advice[0].on[1]
    assert again.card.metrics["rules_tuned_on"] == "6 recordings"
    with pytest.raises(CardError, match="name"):
        save(store.find("esc10-s"), "garden", model.card.decode, "")


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "attic").mkdir()
    (tmp_path / "attic" / "a.wav").write_bytes(b"no sound")
    with pytest.raises(ConfigError, match=r"called like classes of the model \(rain\), got 1 files in other folders"):
        recordings(tmp_path, ["rain"])
    with pytest.raises(SourceError, match="expected a sound file, got none"):
        advise(Model.load("esc10-s"), [Recording(tmp_path / "attic" / "a.wav", None)])
