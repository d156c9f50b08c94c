"""AudioSet's embeddings (Gemmeke et al., 2017): 128 bytes a second of two million clips, and no sound.

class_labels_indices.csv        index, mid, display_name             the classes in their order
bal_train/*.tfrecord            of https://research.google.com/audioset/download.html, as they come out of the archive
unbal_train/*.tfrecord
eval/*.tfrecord                 measured, never learnt from

`wheatear embed` writes the same of any data set. All records are read once, for their labels; the embeddings are read
again where they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.data import tables
from training.data.dataset import Dataset, EmbeddedItem
from training.data.embeddings import read
from training.data.formats.registry import FORMATS
from training.registry import Settings


class EmbeddingsSettings(Settings, frozen=True):
    """Which of the set.

    Attributes
    ----------
    parts
        Folders of files: ``bal_train``, ``unbal_train``, ``eval``.
    test
        The one of them that is the test part.
    exclusive
        Whether each recording has exactly one class.
    labels
        Only these classes (display names), in this order; segments of none of them are left out. Empty: all.
    """

    parts: tuple[str, ...] = ("bal_train", "eval")
    test: str = "eval"
    exclusive: bool = False
    labels: tuple[str, ...] = ()


@FORMATS.register("embeddings", EmbeddingsSettings)
def load(settings: EmbeddingsSettings, folder: Path) -> Dataset:
    """Return the segments of the chosen parts.

    Raises
    ------
    ValueError
        No table or no files, a broken record, an unknown label, an empty class.
    """
    table = folder / "class_labels_indices.csv"
    classes = tables.read(table, ("index", "mid", "display_name"))
    names = {row.integer("index"): row["display_name"] for row in classes}
    labels = tables.chosen_labels(settings.labels, [names[k] for k in sorted(names)], str(table))
    index = {k: labels.index(name) for k, name in names.items() if name in labels}
    items = [item for part in settings.parts for item in _part(folder / part, part == settings.test, set(names), index)]
    return tables.finished(
        Dataset(
            "AudioSet's embeddings",
            labels,
            tuple(items),
            settings.exclusive,
            licence="CC BY 4.0",
            attribution="AudioSet (Google)",
        ),
        folder,
    )


def _part(folder: Path, test: bool, known: set[int], index: dict[int, int]) -> Iterator[EmbeddedItem]:
    files = sorted(folder.glob("*.tfrecord"))
    if not files:
        raise ValueError(f"expected files *.tfrecord in {folder}, got none; check --data and [data] parts")
    for path in files:
        for found in read(path):
            unknown = set(found.labels) - known
            if unknown:
                raise ValueError(f"{path}: expected labels of class_labels_indices.csv, got {min(unknown)}")
            weak = tuple(sorted({index[k] for k in found.labels if k in index}))
            if weak:
                name, split = f"{folder.name}/{found.video}_{found.start:g}", "test" if test else "train"
                yield EmbeddedItem(name, path, weak=weak, split=split, group=found.video, at=found.at)
