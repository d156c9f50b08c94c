"""FSDKaggle2018, the set of DCASE2018 task 2 (Fonseca et al., 2018): 41 classes, one label per clip.

Kaggle    train.csv                                          audio_train/
          test_post_competition.csv                          audio_test/
Zenodo    FSDKaggle2018.meta/train_post_competition.csv      FSDKaggle2018.audio_train/
          FSDKaggle2018.meta/test_post_competition_scoring_clips.csv   FSDKaggle2018.audio_test/

Columns: fname, label; of the training part manually_verified (0: the label is the uploader's); of the test part
usage (Public, Private, Ignored: the last are padding that was never scored).
"""

from __future__ import annotations

from pathlib import Path

from training.data import tables
from training.data.dataset import Dataset, Item, label_indices
from training.data.formats.registry import FORMATS
from training.registry import Settings

TABLES = {
    "train": ("train.csv", "train_post_competition.csv", "FSDKaggle2018.meta/train_post_competition.csv"),
    "test": (
        "test_post_competition.csv",
        "test_post_competition_scoring_clips.csv",
        "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
        "FSDKaggle2018.meta/test_post_competition.csv",
    ),
}


class FSDKaggle2018Settings(Settings, frozen=True):
    """Which of the set.

    Attributes
    ----------
    verified
        Only training clips whose label a person verified (3,710 of 9,473).
    labels
        Only these classes, in this order; empty: all, by name.
    """

    verified: bool = False
    labels: tuple[str, ...] = ()


@FORMATS.register("fsdkaggle2018", FSDKaggle2018Settings)
def load(settings: FSDKaggle2018Settings, folder: Path) -> Dataset:
    """Return the training part, and the scored test part where its table is there, as splits ``train`` and ``test``.

    Raises
    ------
    ValueError
        No table, wrong columns, a label of the test part that no training clip has, an empty class.
    """
    table = tables.first_existing(folder, TABLES["train"], "FSDKaggle2018's table")
    train = tables.read(table, ("fname", "label", "manually_verified"))
    there = sorted({row["label"] for row in train})
    labels = tables.chosen_labels(settings.labels, there, str(table))
    rows = [("train", row) for row in train if row["manually_verified"] == "1" or not settings.verified]
    rows += [("test", row) for row in _scored(folder)]
    items = []
    for split, row in rows:
        label_indices([row["label"]], there, row.where)
        if row["label"] in labels:
            items.append(_item(folder, split, row, labels.index(row["label"])))
    return tables.finished(
        Dataset(
            "FSDKaggle2018",
            labels,
            tuple(items),
            exclusive=True,
            licence="CC BY 3.0 and CC0, by clip",
            attribution="FSDKaggle2018 (E. Fonseca et al.), clips from Freesound",
        ),
        table,
    )


def _scored(folder: Path) -> list[tables.Row]:
    """Rows of the test part that the challenge scored; none where its table is not there."""
    there = [folder / name for name in TABLES["test"] if (folder / name).exists()]
    rows = tables.read(there[0], ("fname", "label")) if there else []
    return [row for row in rows if row.cells.get("usage") != "Ignored"]


def _item(folder: Path, split: str, row: tables.Row, label: int) -> Item:
    sounds = f"audio_{split}"
    name = f"{sounds if (folder / sounds).is_dir() else f'FSDKaggle2018.{sounds}'}/{row['fname']}"
    checked = split == "test" or row["manually_verified"] == "1"
    return Item(name, folder / name, weak=(label,), split=split, checked=checked)
