"""Generated hives: what they are made of can be found in them."""

import numpy as np
import pytest

from training.data.formats import FORMATS
from training.data.formats.lab import LabSettings, load
from training.hive.generate import EXTERNALS, STATES, Hive, external, in_state, piping, recording, write, write_states

RATE = 16_000


def spectrum(samples):
    return np.fft.rfftfreq(len(samples), 1 / RATE), np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2


def share(samples, low, high):
    frequencies, power = spectrum(samples)
    return power[(frequencies >= low) & (frequencies < high)].sum() / power.sum()


def test_a_hive_is_the_same_each_time_and_no_two_are_alike():
    assert Hive.draw(1).fundamental == Hive.draw(1).fundamental
    assert np.array_equal(Hive.draw(1).timbre, Hive.draw(1).timbre)
    assert Hive.draw(1).fundamental != Hive.draw(2).fundamental


@pytest.mark.parametrize("seed", range(4))
def test_a_hum_is_low_and_stands_on_its_harmonics(seed):
    hive = Hive.draw(seed)
    hum = hive.hum(4, RATE, np.random.default_rng(0))
    assert share(hum, 0, 4000) > 0.95
    near = sum(share(hum, (k - 0.1) * hive.fundamental, (k + 0.1) * hive.fundamental) for k in range(1, 13))
    between = sum(share(hum, (k + 0.4) * hive.fundamental, (k + 0.6) * hive.fundamental) for k in range(1, 13))
    assert near > 4 * between


def test_externals_are_where_their_names_say():
    rng = np.random.default_rng(0)
    chirps, _, rumble = (external(kind, 3, RATE, rng) for kind in EXTERNALS)
    assert share(rumble, 0, 300) > 0.9
    assert share(chirps, 1500, 8000) > 0.9


def test_a_toot_is_long_and_then_short_and_a_quack_is_lower():
    toot, quack = (piping(kind, RATE, np.random.default_rng(0)) for kind in ("toot", "quack"))
    first_second, half = toot[RATE // 10 : RATE * 9 // 10], quack[: RATE // 2]
    assert np.all(np.abs(first_second.reshape(-1, 160)).max(axis=1) > 0.5)  # no pause
    assert np.any(np.abs(half.reshape(-1, 160)).max(axis=1) < 0.01)

    def peak(samples):
        frequencies, power = spectrum(samples)
        return frequencies[power.argmax()]

    assert 340 < peak(toot) < 510
    assert peak(quack) < peak(toot)


def test_a_recordings_annotation_covers_it_and_tells_what_was_added():
    made = recording(Hive.draw(3), 60, RATE, seed=5, share=0.3, lengths=(1, 5), level_db=20)
    assert [sound.label for sound in made.sounds] == [k % 2 for k in range(len(made.sounds))]
    assert made.sounds[0].onset == 0
    assert made.sounds[-1].offset == 60
    assert all(a.offset == b.onset for a, b in zip(made.sounds, made.sounds[1:], strict=False))

    def level(sound):
        part = made.samples[round(sound.onset * RATE) : round(sound.offset * RATE)]
        return np.sqrt(np.mean(part**2))

    bees = [level(sound) for sound in made.sounds if sound.label == 0 and sound.offset - sound.onset > 0.5]
    others = [level(sound) for sound in made.sounds if sound.label == 1]
    assert len(others) >= 2
    assert min(others) > 2 * max(bees)


def test_a_written_set_is_read_as_the_beehive_set_is(tmp_path):
    write(tmp_path, hives=2, recordings=2, seconds=8, rate=8000, seed=0)
    found = load(LabSettings(), tmp_path)
    assert [item.group for item in found.items] == ["Hive1", "Hive1", "Hive2", "Hive2"]
    assert all(item.strong[-1].offset == pytest.approx(8, abs=0.01) for item in found.items)
    assert len(found.items[0].samples(8000)) == 8 * 8000


def test_a_piping_hive_has_tones_that_a_calm_one_has_not_and_the_same_hum():
    calm, piped = (in_state(Hive.draw(3), state, 30.0, RATE, 7) for state in STATES)
    assert np.array_equal(calm, in_state(Hive.draw(3), "calm", 30.0, RATE, 7))
    added = piped - calm
    level = np.sqrt(np.mean(added.reshape(300, -1) ** 2, axis=1))  # of tenths of a second
    assert 0.1 < np.mean(level > 0.01) < 0.9  # calls, and pauses of the hum alone
    assert level.min() < 1e-6
    spectrum = np.abs(np.fft.rfft(added))
    strongest = np.fft.rfftfreq(len(added), 1 / RATE)[spectrum.argmax()]
    assert 0.85 * 350 * 0.95 <= strongest <= 3 * 500


def test_states_are_written_as_folders_of_hives(tmp_path):
    write_states(tmp_path / "hive-state", [1, 2], 1, 2.0, RATE, 0)
    found = FORMATS.build(FORMATS.parse({"kind": "folders", "group": "^([A-Za-z0-9]+)"}), tmp_path / "hive-state")
    assert found.labels == STATES
    assert {(item.name, item.group) for item in found.items} == {
        (f"{state}/Hive{hive}_001.wav", f"Hive{hive}") for state in STATES for hive in (1, 2)
    }
