"""Composed scenes hold what their labels say: to the sample, and to the decibel."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.errors import ConfigError
from training import compose as composing
from training.commands.compose import compose as command
from training.data import sets, tables
from training.data.combine import join, relabel
from training.data.composer import Composer, SceneSettings, most_at_once, repeat, sounding
from training.data.dataset import Dataset, Item, Sound

RATE = 16_000
REAL = Path(os.environ.get("WHEATEAR_DATA", "../shared/data"))


def write(path: Path, samples: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path


def burst(start: int, length: int, hertz: float = 700.0, total: int = 2 * RATE) -> np.ndarray:
    """A tone that begins and ends at full level between digital silence, as ESC's clips end."""
    samples = np.zeros(total)
    samples[start : start + length] = 0.3 * np.cos(2 * np.pi * hertz * np.arange(length) / RATE)
    return samples


@pytest.fixture
def material(tmp_path):
    """Two classes in two folds, and two backgrounds."""
    items = []
    for fold in (1, 2):
        for label, (start, length) in enumerate(((3001, 8017), (12_345, 4000))):
            name = f"{fold}-{label}.wav"
            samples = burst(start, length, 700.0 + 500 * label)
            items.append(Item(name, write(tmp_path / "sounds" / name, samples), weak=(label,), fold=fold))
    rng = np.random.default_rng(0)
    beds = [write(tmp_path / "beds" / f"{k}.wav", 0.05 * rng.standard_normal(3 * RATE)) for k in range(2)]
    background = Dataset("beds", (), tuple(Item(path.name, path) for path in beds))
    return Dataset("sounds", ("low", "high"), tuple(items), exclusive=True), background


def settings(**changes) -> SceneSettings:
    return SceneSettings(**{"seconds": 5.0, "empty": 0.0, "events": (1, 1), **changes})


@pytest.mark.parametrize("snr", [-10.0, 0.0, 15.0])
def test_a_sound_stands_at_its_ratio_over_what_lies_under_it(material, snr):
    foreground, background = material
    composer = Composer(foreground, [background], settings(snr=(snr, snr)))
    for seed in range(5):
        scene = composer.scene(seed)
        (event,) = scene.events
        span = slice(round(event.sound.onset * RATE), round(event.sound.offset * RATE))
        alone = (scene.samples - scene.background)[span].astype(np.float64)
        under = scene.background[span].astype(np.float64)
        assert 10 * np.log10(np.mean(alone**2) / np.mean(under**2)) == pytest.approx(snr, abs=0.02)
        assert event.snr == snr


def test_onset_and_offset_are_exact_to_the_sample(material):
    foreground, background = material
    composer = Composer(foreground, [background], settings(snr=(10.0, 10.0)))
    lengths = {0: 8017, 1: 4000}
    for seed in range(8):
        scene = composer.scene(seed)
        (event,) = scene.events
        there = np.flatnonzero(scene.samples != scene.background)
        assert there[0] == event.sound.onset * RATE
        assert there[-1] + 1 == event.sound.offset * RATE
        assert there[-1] + 1 - there[0] == pytest.approx(lengths[event.sound.label], abs=1)


def test_the_sounding_part_is_found_to_the_sample():
    (span,) = sounding(burst(3001, 8017).astype(np.float32), RATE, high=30, low=40, pause=0.3)
    assert span == (3001, 3001 + 8017)
    pulses = (burst(1000, 2000) + burst(8000, 2000)).astype(np.float32)
    assert len(sounding(pulses, RATE, high=30, low=40, pause=0.3)) == 2
    assert len(sounding(pulses, RATE, high=30, low=40, pause=0.5)) == 1
    assert sounding(np.zeros(RATE, np.float32), RATE, high=30, low=40, pause=0.3) == []


def test_a_long_sound_is_cut_and_a_background_has_its_level(material):
    foreground, background = material
    composer = Composer(foreground, [background], settings(length=(0.1, 0.2), level=(-40.0, -40.0), snr=(0.0, 0.0)))
    scene = composer.scene(3)
    (event,) = scene.events
    assert event.sound.offset - event.sound.onset == pytest.approx(0.2)
    assert 10 * np.log10(np.mean(scene.background.astype(np.float64) ** 2)) == pytest.approx(-40, abs=0.05)
    assert scene.level == pytest.approx(-40)


def test_a_scene_that_would_clip_is_quieter_as_a_whole(material):
    foreground, background = material
    scene = Composer(foreground, [background], settings(snr=(30.0, 30.0), level=(-20.0, -20.0))).scene(0)
    assert np.abs(scene.samples).max() == pytest.approx(0.99, abs=1e-3)
    assert scene.level < -25
    assert 10 * np.log10(np.mean(scene.background.astype(np.float64) ** 2)) == pytest.approx(scene.level, abs=0.05)


def test_no_more_sound_at_once_than_may_and_one_class_stays_apart(material):
    foreground, background = material
    most = []
    for overlap in (1, 2):
        composer = Composer(foreground, [background], settings(events=(6, 6), overlap=overlap))
        scenes = [composer.scene(seed) for seed in range(6)]
        most.append(max(most_at_once(scene.strong()) for scene in scenes))
        for scene in scenes:
            for label in (0, 1):
                own = [sound for sound in scene.strong() if sound.label == label]
                assert all(b.onset - a.offset >= 0.15 for a, b in itertools.pairwise(own))
    assert most == [1, 2]


def test_how_many_sound_at_once_by_hand():
    sounds = [Sound(0, 0, 2), Sound(1, 1, 3), Sound(2, 2, 4), Sound(0, 2.5, 2.6)]
    assert [most_at_once(sounds[:n]) for n in range(5)] == [0, 1, 2, 2, 3]


def test_a_share_of_the_scenes_is_empty(material):
    foreground, background = material
    composer = Composer(foreground, [background], settings(empty=0.5, seconds=1.0))
    empty = sum(not composer.scene(seed).events for seed in range(120))
    assert empty == pytest.approx(60, abs=17)


def test_a_background_is_repeated_at_its_own_level():
    bed = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    long = repeat(bed, 5 * RATE, 800)
    assert len(long) >= 5 * RATE
    joint = long[RATE - 800 : RATE].astype(np.float64)
    assert 10 * np.log10(np.mean(joint**2)) == pytest.approx(-20, abs=0.5)
    assert np.array_equal(long[: RATE - 800], bed[:-800])


def test_sounds_are_cut_where_times_say_and_only_where_no_other_class_sounds(tmp_path, material):
    path = write(tmp_path / "both.wav", burst(0, 2 * RATE))
    strong = (Sound(0, 0.0, 0.5), Sound(0, 1.0, 1.5), Sound(1, 1.2, 2.0))
    item = Item("both.wav", path, weak=(0, 1), strong=strong, order=())
    scene = Composer(Dataset("timed", ("low", "high"), (item,)), [material[1]], settings()).scene(0)
    assert [(e.sound.label, e.start, e.stop) for e in scene.events] == [(0, 0, RATE // 2)]


def test_what_cannot_be_composed_is_said(material, tmp_path):
    foreground, background = material
    nothing = replace(foreground, items=())
    with pytest.raises(ValueError, match=r"sounds: expected recordings of one class, or with times, .* got none"):
        Composer(nothing, [background], settings())
    with pytest.raises(ValueError, match="expected recordings for the background, got none"):
        Composer(foreground, [], settings())
    with pytest.raises(ValueError, match="expected labels of low, high, got 'middle'"):
        Composer(foreground, [background], settings(pauses={"middle": 1.0}))
    silent = Dataset("s", ("a",), (Item("s.wav", write(tmp_path / "s.wav", np.zeros(RATE)), weak=(0,)),))
    with pytest.raises(ValueError, match=r"expected sound in .*s\.wav, got silence"):
        Composer(silent, [background], settings()).scene(0)


def layout(root: Path, foreground: Dataset) -> None:
    """The material as a set on disk in the small layout of tables."""
    rows = [f"{item.name},{item.fold},{foreground.labels[item.weak[0]]}" for item in foreground.items]
    (root / "sounds/labels.csv").write_text("file,fold,label\n" + "\n".join(rows) + "\n")


PLAN = {
    "foreground": [{"kind": "table", "folder": "sounds", "fold": "fold"}],
    "background": [{"kind": "soundscapes", "folder": "beds"}],
    "scenes": {"seconds": 3.0, "length": [0.1, 0.4]},
    "count": 4,
    "seed": 7,
    "by_fold": True,
}


def written(root: Path, out: Path, **changes) -> Path:
    for _ in composing.compose(composing.parse({**PLAN, **changes}), root, out):
        pass
    return out


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_the_same_seed_gives_the_same_bytes(tmp_path, material, container):
    layout(tmp_path, material[0])
    first, second = (written(tmp_path, tmp_path / name, container=container) for name in ("a", "b"))
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 8 + 4
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    other = written(tmp_path, tmp_path / "c", container=container, seed=8)
    assert (other / "strong.tsv").read_bytes() != (first / "strong.tsv").read_bytes()


def test_more_scenes_begin_with_the_same_ones(tmp_path, material):
    layout(tmp_path, material[0])
    few, many = written(tmp_path, tmp_path / "few", count=2), written(tmp_path, tmp_path / "many", count=3)
    for name in ("fold1-0000.flac", "fold1-0001.flac", "fold2-0001.flac"):
        assert (few / "audio" / name).read_bytes() == (many / "audio" / name).read_bytes()


def test_scenes_are_of_their_folds_recordings_alone(tmp_path, material):
    layout(tmp_path, material[0])
    out = written(tmp_path, tmp_path / "out", count=10)
    beds = {1: set(), 2: set()}
    for scene in json.loads((out / "scenes.json").read_text())["scenes"]:
        beds[scene["fold"]].add(scene["background"])
        assert {event["source"][0] for event in scene["events"]} <= {str(scene["fold"])}
    assert beds == {1: {"0.wav"}, 2: {"1.wav"}}


def test_what_was_written_is_read_back_to_the_sample(tmp_path, material):
    layout(tmp_path, material[0])
    out = written(tmp_path, tmp_path / "out")
    scenes = json.loads((out / "scenes.json").read_text())["scenes"]
    dataset = sets.load("composed", out)
    assert dataset.labels == ("high", "low")
    for item, scene in zip(dataset.items, scenes, strict=True):
        said = [(e["label"], round(e["onset"] * RATE), round(e["offset"] * RATE)) for e in scene["events"]]
        assert [(dataset.labels[s.label], round(s.onset * RATE), round(s.offset * RATE)) for s in item.strong] == said
        assert len(item.samples(RATE)) == 3 * RATE
        assert item.fold == scene["fold"]
    weak = sets.load("composed", out, known="weak")
    assert {item.strong for item in weak.items} == {item.order for item in weak.items} == {None}
    assert [i.weak for i in weak.items] == [i.weak for i in dataset.items]
    orders = sets.load("composed", out, known="order")
    assert [i.order for i in orders.items] == [i.order for i in dataset.items]
    listed = tables.read(out / "weak.tsv", ("filename", "event_labels"))
    assert [row["event_labels"].split(";") != [""] for row in listed] == [bool(i.weak) for i in dataset.items]


def test_the_command_composes_and_says_what_it_did(tmp_path, material):
    layout(tmp_path, material[0])
    arguments = ["--data", tmp_path, "--foreground", "table:sounds", "--background", "soundscapes:beds"]
    arguments += ["--out", tmp_path / "out", "--count", 2, "--seed", 0, "--empty", 0, "--seconds", 2, "--snr", 3, 6]
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.output.startswith(f"{tmp_path / 'out'}: 2 scenes, 4 s, 0 empty; high ")
    plan = json.loads((tmp_path / "out/scenes.json").read_text())["plan"]
    assert (plan["scenes"]["snr"], plan["scenes"]["empty"], plan["seed"]) == ([3.0, 6.0], 0.0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected either --benchmark, or --foreground and --background, got both or neither"),
        (["--benchmark", "none"], "--benchmark: expected one of domestic-esc10, got 'none'"),
        (["--foreground", "calls"], "expected FORMAT:FOLDER, such as esc10:esc10 or folders:calls, got 'calls'"),
        (["--foreground", "zip:calls"], r"expected a data set of .*, or a format of .*, got 'zip'"),
        (["--foreground", "folders:calls"], r"compose: expected a folder of classes at .*calls, got nothing there"),
        (
            ["--foreground", "table:sounds", "--snr", "9", "1"],
            r"compose: expected `snr` as \[low, high\], got \[9, 1\]",
        ),
        (["--foreground", "table:sounds"], "expected recordings for the background, got none; name a set with"),
        (["--benchmark", "domestic-esc10", "--labels", "a"], "expected --labels with --foreground"),
    ],
)
def test_what_the_command_refuses_is_one_line(tmp_path, material, arguments, message):
    layout(tmp_path, material[0])
    result = CliRunner().invoke(command, ["--data", str(tmp_path), "--out", str(tmp_path / "out"), *arguments])
    assert isinstance(result.exception, ConfigError)
    assert "\n" not in str(result.exception)
    with pytest.raises(ConfigError, match=message):
        raise result.exception


def test_a_folder_that_holds_something_is_left_alone(tmp_path, material):
    layout(tmp_path, material[0])
    with pytest.raises(ConfigError, match=r"--out: expected a new or empty folder, got .*beds, which holds something"):
        written(tmp_path, tmp_path / "beds")


def test_bad_files_are_left_out_and_counted_or_refused(tmp_path, material, caplog):
    layout(tmp_path, material[0])
    (tmp_path / "beds/2.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"expected a sound file at .*2\.wav"):
        written(tmp_path, tmp_path / "out")
    for _ in composing.compose(composing.parse({**PLAN, "count": 1}), tmp_path, tmp_path / "out", skip_bad=True):
        pass
    assert "beds: left out 1 bad files; the first: expected a sound file at" in caplog.text
    assert len(sets.load("composed", tmp_path / "out")) == 2


def test_sets_become_one_by_the_names_of_their_classes(material):
    first = material[0]
    second = Dataset(
        "more", ("high", "hum"), (Item("x", Path("x"), weak=(0, 1), strong=(Sound(1, 0, 1),), order=(2, 3)),)
    )
    both = join([first, second])
    assert both.labels == ("low", "high", "hum")
    assert (both.items[-1].name, both.items[-1].weak) == ("more/x", (1, 2))
    assert (both.items[-1].strong, both.items[-1].order) == ((Sound(2, 0, 1),), (4, 5))
    with pytest.raises(ValueError, match="more: expected labels that hold 'hum', got high"):
        relabel(second, ["high"])


def test_scenes_without_labels_stand_beside_the_same_labelled_ones(tmp_path, material):
    layout(tmp_path, material[0])
    out, more = written(tmp_path, tmp_path / "out"), written(tmp_path, tmp_path / "more", unlabelled=3)
    for table in ("strong.tsv", "order.tsv", "weak.tsv"):
        assert (out / table).read_bytes() == (more / table).read_bytes()
    told, all_of_them = sets.load("composed", more, known="weak"), sets.load("composed", more, unlabelled=True)
    assert [item.name for item in told.items] == [item.name for item in sets.load("composed", out).items]
    rest = [item for item in all_of_them.items if item.split == "unlabelled"]
    assert len(all_of_them.items) == len(told.items) + len(rest) == 2 * (4 + 3)
    assert {(item.weak, item.order, item.strong) for item in rest} == {(None, None, None)}
    assert {(item.fold, len(item.samples(RATE))) for item in rest} == {(1, 3 * RATE), (2, 3 * RATE)}


def test_the_domestic_benchmark_respects_the_folds_of_the_real_esc10(tmp_path):
    for name in ("esc10", "soundscapes-maad"):
        if not (REAL / name).is_dir():
            pytest.skip(f"no {REAL / name}")
    plan = composing.benchmark("domestic-esc10")
    out = tmp_path / "out"
    for _ in composing.compose(composing.parse({**_plain(plan), "count": 2, "unlabelled": 0}), REAL, out):
        pass
    said = json.loads((out / "scenes.json").read_text())
    assert [scene["fold"] for scene in said["scenes"]] == [1, 1, 2, 2, 3, 3, 4, 4]
    for scene in said["scenes"]:
        sources = [event["source"] for event in scene["events"]] + [scene["background"]]
        assert {source.split("/")[1][0] for source in sources if "S4A" not in source} <= {str(scene["fold"])}
    assert {len(item.samples(RATE)) for item in sets.load("composed", out).items} == {10 * RATE}


def _plain(plan: composing.Plan) -> dict:
    from msgspec import to_builtins

    return to_builtins(plan)
