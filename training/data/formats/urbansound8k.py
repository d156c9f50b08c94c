"""UrbanSound8K (Salamon, Jacoby, Bello, 2014), with ten official folds.

official    metadata/UrbanSound8K.csv   slice_file_name, fsID, start, end, salience, fold, classID, class
                                        audio/fold1/101415-3-0-2.wav
small       labels.csv                  file, fold, label, salience, freesound_id

Slices of one Freesound recording are a group; the official folds keep them together. Shuffled folds do not, and give
accuracies that mean nothing.
"""

from __future__ import annotations

from pathlib import Path

from training.data import tables
from training.data.dataset import Dataset, Item, label_indices
from training.data.formats.registry import FORMATS
from training.registry import Settings

LABELS = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
OFFICIAL = ("slice_file_name", "fsID", "salience", "fold", "class")
SMALL = ("file", "freesound_id", "salience", "fold", "label")


class UrbanSound8KSettings(Settings, frozen=True):
    """Which of the set.

    Attributes
    ----------
    labels
        Only these classes, in this order; empty: all ten.
    foreground
        Only slices whose sound stands in the foreground (salience 1).
    """

    labels: tuple[str, ...] = ()
    foreground: bool = False


@FORMATS.register("urbansound8k", UrbanSound8KSettings)
def load(settings: UrbanSound8KSettings, folder: Path) -> Dataset:
    """Return UrbanSound8K.

    Raises
    ------
    ValueError
        No table, wrong columns, an unknown label, an empty class.
    """
    table = tables.first_existing(folder, ["metadata/UrbanSound8K.csv", "labels.csv"], "UrbanSound8K's table")
    columns = SMALL if table.parent == folder else OFFICIAL
    labels = tables.chosen_labels(settings.labels, LABELS, str(table))
    items = []
    for row in tables.read(table, columns):
        name, group, salience, fold, label = (row[column] for column in columns)
        label_indices([label], LABELS, row.where)
        if label in labels and (salience == "1" or not settings.foreground):
            name = name if columns is SMALL else f"audio/fold{fold}/{name}"
            weak = (labels.index(label),)
            items.append(Item(name, folder / name, weak=weak, fold=row.integer("fold"), group=group))
    return tables.finished(
        Dataset(
            "UrbanSound8K",
            labels,
            tuple(items),
            exclusive=True,
            licence="CC BY-NC 3.0",
            attribution="UrbanSound8K (J. Salamon, C. Jacoby, J. P. Bello), clips from Freesound",
        ),
        table,
    )
