"""Each on-disk format, from a set of a few sounds in its exact layout; the real ones where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge.errors import ConfigError
from training.data import sets, splits
from training.data.dataset import Dataset, Sound
from training.data.formats import FORMATS, esc, fsdkaggle2018, lab, urbansound8k

REAL = Path(os.environ.get("WHEATEAR_DATA", "../shared/data"))


def load(folder: Path, **table) -> Dataset:
    return FORMATS.build(FORMATS.parse(table), folder)


def names(dataset: Dataset) -> list[list[str]]:
    return [[dataset.labels[k] for k in item.weak or ()] for item in dataset.items]


@pytest.fixture
def esc50(tmp_path, tone):
    """The official layout: three of the fifty classes, two of them ESC-10's."""
    rows = [
        ("1-100032-A-0.wav", 1, 0, "dog", True, 100032),
        ("2-100032-B-0.wav", 2, 0, "dog", True, 100032),
        ("5-9032-A-0.wav", 5, 0, "dog", True, 9032),
        ("1-17367-A-10.wav", 1, 10, "rain", True, 17367),
        ("3-1-A-1.wav", 3, 1, "rooster", True, 1),
        ("4-2-A-30.wav", 4, 30, "door_wood_knock", False, 2),
    ]
    (tmp_path / "meta").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    lines += [f"{','.join(map(str, row))},A" for row in rows]
    (tmp_path / "meta/esc50.csv").write_text("\n".join(lines) + "\n")
    for name, *_ in rows:
        tone(tmp_path / "audio" / name)
    return tmp_path


def test_esc50_has_its_targets_order_folds_and_recordings_as_groups(esc50):
    dataset = load(esc50, kind="esc", subset="esc50")
    assert dataset.labels == ("dog", "rooster", "rain", "door_wood_knock")
    assert [item.fold for item in dataset.items] == [1, 2, 5, 3, 1, 4]
    assert [item.group for item in dataset.items][:3] == ["100032", "100032", "9032"]
    assert dataset.exclusive
    assert len(dataset.items[0].samples(8000)) == 2000


def test_esc10_is_taken_out_of_esc50_under_its_own_names(esc50):
    dataset = load(esc50, kind="esc", labels=["rooster", "dog_bark"])
    assert names(dataset) == [["dog_bark"]] * 3 + [["rooster"]]
    assert dataset.items[0].weak == (1,)
    assert dataset.licence == "CC BY 3.0"


def test_a_class_without_a_recording_is_refused(esc50):
    with pytest.raises(
        ValueError, match=r"esc50\.csv: expected recordings of every class, got none of sea_waves, baby"
    ):
        load(esc50, kind="esc")


def test_the_small_layout_of_esc(tmp_path, tone):
    rows = [f"audio/{k % 4 + 1}-{k}-A-{label}.wav,{k % 4 + 1},{label}" for k, label in enumerate(esc.ESC10.values())]
    (tmp_path / "labels.csv").write_text("file,fold,label\n" + "\n".join(rows) + "\n")
    dataset = load(tmp_path, kind="esc")
    assert dataset.labels == tuple(esc.ESC10.values())
    assert [(item.fold, item.group) for item in dataset.items][:2] == [(1, "0"), (2, "1")]


def test_an_unknown_label_is_refused_with_its_line(tmp_path):
    (tmp_path / "labels.csv").write_text("file,fold,label\naudio/1-1-A.wav,1,thunder\n")
    with pytest.raises(ValueError, match=r"labels\.csv:2: expected labels of dog_bark, .*, got 'thunder'"):
        load(tmp_path, kind="esc")


@pytest.mark.parametrize("official", [True, False])
def test_urbansound8k_has_recordings_as_groups_and_salience(tmp_path, official):
    slices = [(f"{100 + k}-{k}-0-{k}.wav", 100 + k, k % 2 + 1, 1 + k % 2, k) for k in range(10)]
    slices += [("100-0-1-0.wav", 100, 1, 1, 0)]
    if official:
        (tmp_path / "metadata").mkdir()
        table = tmp_path / "metadata/UrbanSound8K.csv"
        header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
        rows = [
            f"{name},{group},0.0,4.0,{salience},{fold},{k},{urbansound8k.LABELS[k]}"
            for name, group, salience, fold, k in slices
        ]
    else:
        table, header = tmp_path / "labels.csv", "file,fold,label,seconds,salience,freesound_id"
        rows = [f"audio/{n},{fold},{urbansound8k.LABELS[k]},4.0,{s},{g}" for n, g, s, fold, k in slices]
    table.write_text("\n".join([header, *rows]) + "\n")
    dataset = load(tmp_path, kind="urbansound8k")
    assert dataset.labels == urbansound8k.LABELS
    assert dataset.items[0].group == dataset.items[10].group == "100"
    assert dataset.items[1].path == tmp_path / ("audio/fold2/101-1-0-1.wav" if official else "audio/101-1-0-1.wav")
    loud = load(tmp_path, kind="urbansound8k", foreground=True, labels=[urbansound8k.LABELS[k] for k in (0, 2)])
    assert [item.group for item in loud.items] == ["100", "102", "100"]


@pytest.mark.parametrize("zenodo", [True, False])
def test_fsdkaggle2018_knows_who_verified_and_what_was_scored(tmp_path, zenodo):
    folder = tmp_path / "FSDKaggle2018.meta" if zenodo else tmp_path
    folder.mkdir(exist_ok=True)
    train, test = "train.csv", "test_post_competition.csv"
    if zenodo:
        train, test = "train_post_competition.csv", "test_post_competition_scoring_clips.csv"
    for part in ("train", "test"):
        (tmp_path / f"{'FSDKaggle2018.' if zenodo else ''}audio_{part}").mkdir()
    (folder / train).write_text(
        "fname,label,manually_verified,freesound_id,license\n"
        "a.wav,Hi-hat,0,1,CC\nb.wav,Bark,1,2,CC\nc.wav,Hi-hat,1,3,CC\n"
    )
    (folder / test).write_text("fname,label,usage,freesound_id,license\nd.wav,Bark,Public,4,CC\ne.wav,None,Ignored,,\n")
    dataset = load(tmp_path, kind="fsdkaggle2018")
    assert dataset.labels == ("Bark", "Hi-hat")
    assert [(i.split, i.checked) for i in dataset.items] == [
        ("train", False), ("train", True), ("train", True), ("test", True),
    ]  # fmt: skip
    assert [item.path.parent.name.removeprefix("FSDKaggle2018.") for item in dataset.items] == [
        *["audio_train"] * 3,
        "audio_test",
    ]
    assert len(load(tmp_path, kind="fsdkaggle2018", verified=True)) == 3


def test_fsdkaggle2018_refuses_a_test_label_that_nothing_teaches(tmp_path):
    (tmp_path / "train.csv").write_text("fname,label,manually_verified\na.wav,Bark,1\n")
    (tmp_path / "test_post_competition.csv").write_text("fname,label,usage\nb.wav,Gong,Private\n")
    with pytest.raises(ValueError, match=r"test_post_competition\.csv:2: expected labels of Bark, got 'Gong'"):
        load(tmp_path, kind="fsdkaggle2018")
    assert fsdkaggle2018.TABLES.keys() == {"train", "test"}


@pytest.fixture
def dcase(tmp_path, tone):
    """DCASE2018 task 4 with three classes: tabs between columns in files called .csv."""
    for part, name, text in (
        ("train", "weak.csv", "filename\tevent_labels\nYaaaaaaaaaaa_0.000_10.000.wav\tDog;Speech\nb.wav\tCat\n"),
        ("train", "unlabel_in_domain.csv", "filename\nc.wav\n"),
        (
            "test",
            "test.csv",
            "filename\tonset\toffset\tevent_label\n"
            "d.wav\t0.5\t2.0\tSpeech\nd.wav\t0.1\t0.35\tDog\nd.wav\t1.0\t3.0\tCat\ne.wav\t\t\t\n",
        ),
    ):
        path = tmp_path / "metadata" / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


CLASSES = ["Cat", "Dog", "Speech"]


def test_dcase_parts_become_one_set_of_weak_strong_and_unlabelled_recordings(dcase):
    dataset = load(dcase, kind="desed", labels=CLASSES)
    assert [(i.name.rpartition("/")[2], i.split) for i in dataset.items] == [
        ("Yaaaaaaaaaaa_0.000_10.000.wav", "train"),
        ("b.wav", "train"),
        ("c.wav", "unlabelled"),
        ("d.wav", "test"),
        ("e.wav", "test"),
    ]
    weak, _, unknown, strong, empty = dataset.items
    assert (weak.weak, weak.strong, weak.group) == ((1, 2), None, "aaaaaaaaaaa")
    assert weak.path == dcase / "audio/train/weak/Yaaaaaaaaaaa_0.000_10.000.wav"
    assert (unknown.weak, unknown.strong) == (None, None)
    assert strong.strong == (Sound(1, 0.1, 0.35), Sound(2, 0.5, 2.0), Sound(0, 1.0, 3.0))
    assert strong.weak == (0, 1, 2)
    assert (empty.weak, empty.strong, empty.order) == ((), (), ())


def test_a_folder_without_a_table_is_unlabelled_and_an_order_needs_no_times(tmp_path, tone):
    tone(tmp_path / "more/x.wav")
    (tmp_path / "order.tsv").write_text("filename\tevent_order\ny.wav\tDog_start;Cat_start;Dog_end;Cat_end\n")
    parts = [{"audio": "more"}, {"table": "order.tsv", "audio": "sounds"}]
    bare, ordered = load(tmp_path, kind="desed", labels=["Cat", "Dog"], parts=parts).items
    assert (bare.name, bare.weak) == ("more/x.wav", None)
    assert (ordered.order, ordered.weak, ordered.strong) == ((2, 0, 3, 1), (0, 1), None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("d.wav\t2.0\t1.0\tDog", r"test\.csv:2: expected 0 <= onset < offset in seconds, got 2 and 1"),
        ("d.wav\tsoon\t1.0\tDog", r"test\.csv:2: expected a number in onset, got 'soon'"),
        ("d.wav\t0.0\t1.0\tCow", r"test\.csv:2: expected labels of Cat, Dog, Speech, got 'Cow'"),
    ],
)
def test_a_wrong_row_of_times_is_named(dcase, row, message):
    (dcase / "metadata/test/test.csv").write_text(f"filename\tonset\toffset\tevent_label\n{row}\n")
    with pytest.raises(ValueError, match=message):
        load(dcase, kind="desed", labels=CLASSES)


def test_a_folder_per_class_with_parts_and_groups(tmp_path, tone):
    for name in ("train/dog/anna_1.wav", "train/dog/ben_1.wav", "train/rain/anna_2.flac", "test/dog/cleo_1.wav"):
        tone(tmp_path / name)
    (tmp_path / "train/dog/notes.txt").write_text("no sound")
    dataset = load(tmp_path, kind="folders", splits=["train", "test"], group=r"^([a-z]+)_")
    assert dataset.labels == ("dog", "rain")
    assert [(i.name, i.weak, i.split, i.group) for i in dataset.items] == [
        ("train/dog/anna_1.wav", (0,), "train", "anna"),
        ("train/dog/ben_1.wav", (0,), "train", "ben"),
        ("train/rain/anna_2.flac", (1,), "train", "anna"),
        ("test/dog/cleo_1.wav", (0,), "test", "cleo"),
    ]
    with pytest.raises(ValueError, match=r"expected a name that `group` = .* finds a group in, got 'anna_1\.wav'"):
        load(tmp_path, kind="folders", splits=["train"], group=r"^(\d)")


def test_an_empty_folder_is_an_empty_class(tmp_path, tone):
    tone(tmp_path / "dog/1.wav")
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="expected recordings of every class, got none of cat"):
        load(tmp_path, kind="folders")


def test_a_table_with_several_labels_a_fold_and_a_group(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "path,tags,fold,site\na.wav,wind|bird,1,north\nb.wav,bird,2,south\nc.wav,quiet,2,south\n"
    )
    columns = {"file": "path", "label": "tags", "separators": "|", "fold": "fold", "group": "site", "audio": "sounds"}
    dataset = load(tmp_path, kind="table", none=["quiet"], **columns)
    assert dataset.labels == ("bird", "wind")
    assert [(i.weak, i.fold, i.group) for i in dataset.items] == [
        ((0, 1), 1, "north"), ((0,), 2, "south"), ((), 2, "south"),
    ]  # fmt: skip
    assert dataset.items[0].path == tmp_path / "sounds/a.wav"


@pytest.mark.parametrize(
    ("others", "expected"), [("drop", [["bird"]]), ("negative", [["bird"], []]), ("refuse", "got 'wind'")]
)
def test_what_a_table_does_with_labels_that_are_no_classes(tmp_path, others, expected):
    (tmp_path / "labels.csv").write_text("file,label\na.wav,bird\nb.wav,wind\n")
    if others == "refuse":
        with pytest.raises(ValueError, match=expected):
            load(tmp_path, kind="table", labels=["bird"], others=others)
    else:
        assert names(load(tmp_path, kind="table", labels=["bird"], others=others)) == expected


def test_a_table_of_sounds_gives_recordings_with_times(tmp_path):
    (tmp_path / "sounds.csv").write_text("file,from,to,label\na.wav,1.0,2.0,b\na.wav,0.5,0.7,a\nb.wav,,,\n")
    dataset = load(tmp_path, kind="table", table="sounds.csv", onset="from", offset="to")
    first, second = dataset.items
    assert first.strong == (Sound(0, 0.5, 0.7), Sound(1, 1.0, 2.0))
    assert (first.order, second.strong) == ((0, 1, 2, 3), ())


def test_a_table_of_stretches_reads_only_those(tmp_path, tone):
    tone(tmp_path / "long.wav", seconds=2.0)
    (tmp_path / "labels.csv").write_text("file,label,start,stop\nlong.wav,a,0.5,0.75\nlong.wav,b,1.0,2.0\n")
    dataset = load(tmp_path, kind="table", start="start", stop="stop")
    assert [item.name for item in dataset.items] == ["long.wav@0.5", "long.wav@1"]
    assert [len(item.samples(8000)) for item in dataset.items] == [2000, 8000]


def test_a_table_with_times_beside_it(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\na.wav,piha\nb.wav,hawk\nc.wav,piha\n")
    (tmp_path / "strong.tsv").write_text("filename\tonset\toffset\tevent_label\na.wav\t1\t2\tpiha\n")
    timed, other, weak = load(tmp_path, kind="table", labels=["piha"], others="negative", events="strong.tsv").items
    assert timed.strong == (Sound(0, 1.0, 2.0),)
    assert other.strong == ()
    assert (weak.weak, weak.strong) == ((0,), None)


def test_soundscapes_are_split_by_the_hour(tmp_path, tone):
    stems = [f"S_20190522_{hour:02d}{minute:02d}00" for hour in range(4) for minute in (0, 30)]
    for stem in stems:
        tone(tmp_path / f"{stem}.wav", seconds=0.1)
    dataset = load(tmp_path, kind="soundscapes")
    assert [item.split for item in dataset.items] == ["train"] * 2 + ["test"] * 2 + ["train"] * 2 + ["test"] * 2
    assert len({item.group for item in dataset.items}) == 4
    assert {item.weak for item in dataset.items} == {None}
    known = load(tmp_path, kind="soundscapes", labels=["dog"])
    assert {item.weak for item in known.items} == {()}


@pytest.fixture
def audioset(tmp_path, tone):
    (tmp_path / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/0jbk,"Animal"\n1,/m/0bt9lr,Dog\n2,/m/05tny_,Bark\n3,/m/06mb1,"Rain, drops"\n'
    )
    ontology = [
        {"id": "/m/0jbk", "child_ids": ["/m/0bt9lr"]},
        {"id": "/m/0bt9lr", "child_ids": ["/m/05tny_"]},
        {"id": "/m/05tny_", "child_ids": []},
        {"id": "/m/06mb1", "child_ids": []},
    ]
    (tmp_path / "ontology.json").write_text(json.dumps(ontology))
    head = "# Segments csv created\n# num_ytids=2\n# YTID, start_seconds, end_seconds, positive_labels\n"
    (tmp_path / "balanced_train_segments.csv").write_text(
        f'{head}--4gqARaEJE, 0.000, 10.000, "/m/05tny_,/m/06mb1"\n-0RWZT-miFs, 420.000, 430.000, "/m/0bt9lr"\n'
        'gone0000000, 30.000, 40.000, "/m/0jbk"\n'
    )
    (tmp_path / "eval_segments.csv").write_text(f'{head}Y_zzzzzzzzz, 30.000, 40.000, "/m/0jbk"\n')
    tone(tmp_path / "audio/balanced_train/Y--4gqARaEJE.wav")
    tone(tmp_path / "audio/balanced_train/-0RWZT-miFs_420.000_430.000.wav")
    tone(tmp_path / "audio/eval/YY_zzzzzzzzz_30000_40000.flac")
    return tmp_path


def test_audioset_has_its_classes_parts_and_what_is_there_of_its_files(audioset):
    dataset = load(audioset, kind="audioset")
    assert dataset.labels == ("Animal", "Dog", "Bark", "Rain, drops")
    assert [(i.name, i.split, i.group) for i in dataset.items] == [
        ("balanced_train/--4gqARaEJE_0", "balanced_train", "--4gqARaEJE"),
        ("balanced_train/-0RWZT-miFs_420", "balanced_train", "-0RWZT-miFs"),
        ("eval/Y_zzzzzzzzz_30", "eval", "Y_zzzzzzzzz"),
    ]
    assert names(dataset) == [["Bark", "Rain, drops"], ["Dog"], ["Animal"]]
    assert all(item.path.exists() for item in dataset.items)


def test_audioset_labels_bring_their_ancestors_and_may_be_few(audioset):
    dataset = load(audioset, kind="audioset", ancestors=True, labels=["Dog"])
    assert [item.group for item in dataset.items] == ["--4gqARaEJE", "-0RWZT-miFs"]
    assert len(load(audioset, kind="audioset", missing="refuse", parts=["balanced_train"], labels=["Animal"])) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('a, 0.0, "/m/0jbk"', r"eval_segments\.csv:1: expected YTID, start, end, \"labels\", got 'a, 0\.0, /m/0jbk'"),
        (
            'a, 0.0, 10.0, "/m/none"',
            r"eval_segments\.csv:1: expected labels of class_labels_indices\.csv, got '/m/none'",
        ),
    ],
)
def test_audioset_names_a_row_that_is_no_segment(audioset, line, message):
    (audioset / "eval_segments.csv").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=message):
        load(audioset, kind="audioset")


def test_bird_audio_detection_leaves_a_data_set_out(tmp_path, tone):
    (tmp_path / "ff_metadata.csv").write_text("itemid,datasetid,hasbird\n1,ff1010bird,1\n2,ff1010bird,0\n")
    (tmp_path / "chern.csv").write_text("itemid,datasetid,hasbird\nx-1,chernobyl,\n")
    (tmp_path / "other.csv").write_text("something,else\n1,2\n")
    tone(tmp_path / "wav/1.wav")
    dataset = load(tmp_path, kind="birdaudio")
    assert [(i.name, i.weak, i.split) for i in dataset.items] == [
        ("chernobyl/x-1", None, "chernobyl"), ("ff1010bird/1", (0,), "ff1010bird"), ("ff1010bird/2", (), "ff1010bird"),
    ]  # fmt: skip
    assert dataset.items[1].path == tmp_path / "wav/1.wav"
    parts = splits.by_split(dataset, train=["ff1010bird"], test=["chernobyl"])
    assert (len(parts.train), len(parts.test)) == (2, 1)
    assert len(load(tmp_path, kind="birdaudio", datasets=["ff1010bird"])) == 2
    (tmp_path / "chern.csv").write_text("itemid,datasetid,hasbird\nx-1,chernobyl,yes\n")
    with pytest.raises(ValueError, match=r"chern\.csv:2: expected 1, 0 or nothing in hasbird, got 'yes'"):
        load(tmp_path, kind="birdaudio")


def test_lab_files_tell_times_and_hives(tmp_path, tone):
    names = {"Hive1_12_06": "Hive1", "CF003 - Active - Day": "CF003", "swarming": ""}
    for name in names:
        tone(tmp_path / f"{name}.wav")
        (tmp_path / f"{name}.lab").write_text(f"{name}\n0\t12.5\tbee\n12.5\t20\tnobee\n.\n")
    dataset = load(tmp_path, kind="lab")
    assert {item.path.stem: item.group for item in dataset.items} == names
    assert dataset.items[0].strong == (Sound(0, 0.0, 12.5), Sound(1, 12.5, 20.0))
    lab.write(tmp_path / "swarming.lab", dataset.items[0].strong, dataset.labels)
    assert (tmp_path / "swarming.lab").read_text() == "swarming\n0\t12.5\tbee\n12.5\t20\tnobee\n.\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n0 1 bee\n.\n", r"a\.lab:2: expected start, end and label with tabs between them, got '0 1 bee'"),
        ("a\n0\t1\twasp\n.\n", r"a\.lab:2: expected labels of bee, nobee, got 'wasp'"),
        ("a\n2\t1\tbee\n.\n", r"a\.lab:2: expected 0 <= onset < offset"),
    ],
)
def test_a_wrong_line_of_a_lab_file_is_named(tmp_path, tone, text, message):
    tone(tmp_path / "a.wav")
    (tmp_path / "a.lab").write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, kind="lab")


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "folders"])
def test_a_folder_without_a_table_says_what_was_expected(tmp_path, kind):
    with pytest.raises(ValueError, match=r"expected .*(got nothing there|got none)"):
        load(tmp_path, kind=kind)


@pytest.mark.parametrize("kind", ["esc", "urbansound8k", "table"])
def test_wrong_columns_are_named_with_those_that_there_are(tmp_path, kind):
    (tmp_path / "labels.csv").write_text("name,what\na.wav,dog\n")
    with pytest.raises(ValueError, match=r"labels\.csv: expected the columns file, .*, got name, what"):
        load(tmp_path, kind=kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected a header line and rows, got an empty file"),
        (b"file,label\n", "expected at least one recording, got none"),
        (b"file,label\na.wav,x\na.wav,x\n", r"expected every recording once, got 'a\.wav' again"),
        (b"file,label\na.wav,\xff\n", "expected UTF-8 text"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, text, message):
    (tmp_path / "labels.csv").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, kind="table")


def test_a_recipe_cannot_misspell_a_setting():
    with pytest.raises(ConfigError, match=r"`data` \(esc\): .*unknown field `subsett`"):
        FORMATS.parse({"kind": "esc", "subsett": "esc10"})
    with pytest.raises(ConfigError, match=r"expected a data set of acrocephalus, .*, or a format of .*, got 'esc11'"):
        sets.table("esc11")


EXPECTED = {
    "esc10": (320, 10, 4),
    "urbansound8k": (1761, 10, 2),
    "soundscapes-maad": (72, 0, None),
    "piha": (16, 1, 8),
    "acrocephalus": (84, 4, None),
    "birds9": (91, 9, None),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_real_sets_are_read_whole(name):
    if not (REAL / name).is_dir():
        pytest.skip(f"no {REAL / name}")
    dataset = sets.load(name, REAL / name)
    folds = {item.fold for item in dataset.items} - {None}
    assert (len(dataset), len(dataset.labels), len(folds) or None) == EXPECTED[name]
    assert dataset.licence or name == "esc10"


def test_every_known_set_is_tested():
    assert sets.names() == sorted(set(EXPECTED) - {"urbansound8k"})


def test_the_real_piha_has_times_and_recordings_without_any():
    if not (REAL / "piha").is_dir():
        pytest.skip(f"no {REAL / 'piha'}")
    dataset = sets.load("piha", REAL / "piha", merge=0.0)
    assert sorted(len(item.strong) for item in dataset.items) == [0] * 8 + [6, 8, 13, 19, 20, 30, 35, 40]
