"""Several sets as one: who has the class, which fold, and which pieces."""

import pytest

from edge.errors import ConfigError
from training.data import splits
from training.data.formats import FORMATS

REEDS = {"folder": "reeds", "fold": 1, "format": {"kind": "table", "group": "by", "none": ["NoClass"]}}
CITY = {"folder": "city", "fold": 1, "format": {"kind": "folders"}, "labels": "none", "drop": ["rooster"]}
NIGHT = {
    "folder": "night",
    "fold": 2,
    "format": {"kind": "soundscapes"},
    "labels": "none",
    "only": r"_(22|23|0[0-3])\d{4}\.",
}


@pytest.fixture
def root(tmp_path, tone):
    rows = ["file,label,by", "a.wav,warbler,Ann", "b.wav,wren,Ann", "c.wav,NoClass,Bea"]
    for row in rows[1:]:
        tone(tmp_path / "reeds" / row.split(",")[0], seconds=1.2)
    (tmp_path / "reeds/labels.csv").write_text("\n".join(rows) + "\n")
    tone(tmp_path / "city/siren/1.wav", seconds=2.6)
    tone(tmp_path / "city/rooster/1.wav")
    tone(tmp_path / "night/A_20190522_230000.wav", seconds=0.3)
    tone(tmp_path / "night/A_20190522_053000.wav")
    return tmp_path


def load(root, *members, piece=0.0):
    table = {"kind": "joined", "label": "bird", "sets": list(members), "piece": piece}
    return FORMATS.build(FORMATS.parse(table), root)


def test_labels_of_one_set_are_the_class_and_those_of_another_are_not(root):
    found = load(root, REEDS, CITY, NIGHT)
    assert found.labels == ("bird",)
    assert {item.name: (item.weak, item.fold) for item in found.items} == {
        "reeds/a.wav": ((0,), 1),
        "reeds/b.wav": ((0,), 1),
        "reeds/c.wav": ((), 1),
        "city/siren/1.wav": ((), 1),
        "night/A_20190522_230000.wav": ((), 2),
    }


def test_a_member_may_be_what_one_device_recorded(root):
    found = load(root, REEDS | {"device": "phone"}, CITY)
    assert {item.device for item in found.items if item.name.startswith("reeds/")} == {"phone"}
    assert {item.device for item in found.items if item.name.startswith("city/")} == {""}


def test_a_fold_is_left_out_whole(root):
    split = splits.by_fold(load(root, REEDS, CITY, NIGHT), [1])
    assert {item.name.split("/")[0] for item in split.test.items} == {"reeds", "city"}
    assert {item.name.split("/")[0] for item in split.train.items} == {"night"}


def test_recordings_are_cut_into_pieces_that_stay_together(root):
    found = load(root, REEDS, CITY, NIGHT, piece=1.0)
    assert [(item.name, item.start, round(item.stop, 3)) for item in found.items if "city" in item.name] == [
        ("city/siren/1.wav@0", 0.0, 1.0),
        ("city/siren/1.wav@1", 1.0, 2.0),
        ("city/siren/1.wav@2", 2.0, 2.6),
    ]
    assert [item.name for item in found.items if "reeds" in item.name] == [
        f"reeds/{name}.wav@0" for name in "abc"
    ]  # a rest of 0.2 s is left out
    assert {item.group for item in found.items if "city" in item.name} == {"city/siren/1.wav"}
    assert found.items[0].group == "reeds/Ann"
    assert len(found.items[-1].samples(8000)) == 2400


def test_members_keep_their_classes_where_there_is_no_one_class_for_all(root):
    new = NIGHT | {"labels": "unknown"}
    table = {"kind": "joined", "sets": [REEDS, CITY | {"labels": "own", "drop": []}, new]}
    found = FORMATS.build(FORMATS.parse(table), root)
    assert found.labels == ("warbler", "wren", "rooster", "siren")
    assert [item.weak for item in found.items] == [(0,), (1,), (), (2,), (3,), None]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (CITY | {"drop": ["owl"]}, "city: expected `drop` of rooster, siren, got 'owl'"),
        (NIGHT | {"only": "x"}, "night: expected recordings that fit only = 'x', got none"),
    ],
)
def test_a_member_that_holds_no_such_thing_is_named(root, member, message):
    with pytest.raises(ValueError, match=message):
        load(root, REEDS, member)


def test_a_wrong_format_is_named_with_its_place(root):
    with pytest.raises(ConfigError, match=r"`data.sets\[1\].format.kind` must be one of .*, got 'zip'"):
        load(root, REEDS, CITY | {"format": {"kind": "zip"}})
