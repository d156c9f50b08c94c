"""Generated flight tones: their wing beat can be found, and the card's warning about splits can be seen."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd
from training.data.wingbeats import Insect

RATE = 8000
SPEC = {
    "rate": RATE,
    "frames": {"window": 200, "hop": 80, "fft": 512},
    "bands": {"kind": "mel", "count": 26, "low": 100.0, "high": 4000.0},
    "scale": {"kind": "ln", "floor": 1e-10},
}


@pytest.mark.parametrize("kind", [0, 3])
def test_the_tone_stands_on_the_wing_beat(kind):
    insect = Insect.draw(kind, seed=1)
    tone = insect.tone(2, RATE, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(tone * np.hanning(len(tone)))) ** 2
    frequencies = np.fft.rfftfreq(len(tone), 1 / RATE)
    harmonic = frequencies / insect.wingbeat
    near = np.abs(harmonic - np.round(harmonic)) < 0.1
    low = (frequencies > 100) & (frequencies < 3 * insect.wingbeat)
    assert power[low & near].mean() > 5 * power[low & ~near].mean()


def test_kinds_differ_less_than_their_insects_do():
    beats = [[Insect.draw(kind, seed).wingbeat for seed in range(200)] for kind in range(3)]
    means = np.mean(beats, axis=1)
    assert means == pytest.approx([400, 460, 520], abs=10)
    assert np.all(np.diff(means) < 2 * np.std(beats, axis=1)[1:])


def test_clips_of_one_insect_on_both_sides_of_a_split_flatter():
    front, rng = FrontEnd(parse(SPEC)), np.random.default_rng(0)
    pictures, kinds, insects = [], [], []
    for kind in range(3):
        for seed in range(8):
            tone = Insect.draw(kind, seed).tone(2, RATE, rng)
            frames = front.transform(tone)
            for start in range(0, len(frames) - 9, 10):
                pictures.append(frames[start : start + 10].mean(axis=0))
                kinds.append(kind)
                insects.append(seed)
    x, y, who = np.array(pictures), np.array(kinds), np.array(insects)

    def accuracy(train):
        return LinearDiscriminantAnalysis().fit(x[train], y[train]).score(x[~train], y[~train])

    by_clip = accuracy(rng.random(len(y)) < 0.5)
    by_insect = np.mean([accuracy(who % 2 == side) for side in (0, 1)])
    assert by_clip > by_insect + 0.05
