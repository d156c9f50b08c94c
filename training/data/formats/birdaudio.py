"""The Bird Audio Detection sets (DCASE2018 task 3, card 28): ten seconds, a bird or none.

ff1010bird_metadata.csv …    itemid, datasetid, hasbird (1, 0, or empty: nobody knows); every table of the folder
wav/ITEM.wav                 or DATASET/wav/ITEM.wav, or DATASET/ITEM.wav

A recording's `split` is its data set: to leave one out, ``splits.by_split(dataset, train=others, test=[one])``.
"""

from __future__ import annotations

from pathlib import Path

from training.data import tables
from training.data.dataset import Dataset, Item
from training.data.formats.registry import FORMATS
from training.registry import Settings

COLUMNS = ("itemid", "datasetid", "hasbird")
KNOWN: dict[str, tuple[int, ...] | None] = {"1": (0,), "0": (), "": None}


class BirdAudioSettings(Settings, frozen=True):
    """Which of the sets.

    Attributes
    ----------
    datasets
        Their names, as the column `datasetid` has them; empty: all that are there.
    """

    datasets: tuple[str, ...] = ()


@FORMATS.register("birdaudio", BirdAudioSettings)
def load(settings: BirdAudioSettings, folder: Path) -> Dataset:
    """Return the recordings of every table of the folder.

    Raises
    ------
    ValueError
        No table, or a row that says neither 1 nor 0 nor nothing.
    """
    found = sorted(path for path in folder.glob("*.csv") if set(COLUMNS) <= set(tables.header(path)))
    if not found:
        raise ValueError(
            f"expected a table with the columns {', '.join(COLUMNS)} in {folder}, got nothing there; check --data"
        )
    rows = [row for path in found for row in tables.read(path, COLUMNS)]
    there = sorted({row["datasetid"] for row in rows})
    chosen = tables.chosen_labels(settings.datasets, there, str(folder))
    items = tuple(_item(folder, row) for row in rows if row["datasetid"] in chosen)
    return tables.finished(Dataset(folder.name, ("bird",), items), folder)


def _item(folder: Path, row: tables.Row) -> Item:
    item, dataset = row["itemid"], row["datasetid"]
    if row["hasbird"] not in KNOWN:
        raise ValueError(f"{row.where}: expected 1, 0 or nothing in hasbird, got {row['hasbird']!r}")
    places = (f"{dataset}/wav/{item}.wav", f"{dataset}/{item}.wav", f"wav/{item}.wav")
    name = next((place for place in places if (folder / place).exists()), places[0])
    return Item(f"{dataset}/{item}", folder / name, weak=KNOWN[row["hasbird"]], split=dataset)
