"""AudioSet (Gemmeke et al., 2017): segments of YouTube videos, 527 classes, weak labels.

class_labels_indices.csv        index, mid, display_name             the classes in their order
balanced_train_segments.csv     # YTID, start_seconds, end_seconds, positive_labels   (three comment lines)
unbalanced_train_segments.csv                                                          the same
eval_segments.csv                                                                      the same
ontology.json                   optional: the tree of classes, for `ancestors`
audio/                          one file per segment, in this folder or one per part (audio/eval/ …)

Files may be called as the common downloaders call them: ID, YID, ID_START, ID_START_END, with seconds as 30, 30.000 or
30000 (milliseconds). Videos vanish: a segment without a file is left out unless `missing` says ``refuse``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from training.data import tables
from training.data.dataset import Dataset, Item
from training.data.formats.registry import FORMATS
from training.registry import Settings

SEGMENTS = {
    "balanced_train": "balanced_train_segments.csv",
    "unbalanced_train": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}


class AudioSetSettings(Settings, frozen=True):
    """Which of the set.

    Attributes
    ----------
    parts
        Official parts: ``balanced_train``, ``unbalanced_train``, ``eval``; each item's `split` names its own.
    labels
        Only these classes (display names), in this order; segments of none of them are left out. Empty: all.
    ancestors
        Whether a label brings those above it in the ontology: a bark is a dog is an animal.
    audio
        Folder of the sounds.
    missing
        ``skip`` segments without a file, or ``refuse`` (`training.data.check` then names them).
    """

    parts: tuple[str, ...] = ("balanced_train", "eval")
    labels: tuple[str, ...] = ()
    ancestors: bool = False
    audio: str = "audio"
    missing: Literal["skip", "refuse"] = "skip"


@FORMATS.register("audioset", AudioSetSettings)
def load(settings: AudioSetSettings, folder: Path) -> Dataset:
    """Return the segments of the chosen parts.

    Raises
    ------
    ValueError
        No table, a row that is no segment, an unknown label, an empty class.
    """
    classes = tables.read(folder / "class_labels_indices.csv", ("index", "mid", "display_name"))
    names = {row["mid"]: row["display_name"] for row in sorted(classes, key=lambda row: row.integer("index"))}
    labels = tables.chosen_labels(settings.labels, list(names.values()), str(folder / "class_labels_indices.csv"))
    above = _ancestors(folder / "ontology.json") if settings.ancestors else {}
    index = {mid: labels.index(name) for mid, name in names.items() if name in labels}
    items = [item for part in settings.parts for item in _part(settings, folder, part, names, index, above)]
    return tables.finished(
        Dataset(
            "AudioSet",
            labels,
            tuple(items),
            licence="annotations CC BY 4.0, sounds of YouTube's users",
            attribution="AudioSet (Google)",
        ),
        folder,
    )


def _part(
    settings: AudioSetSettings,
    folder: Path,
    part: str,
    names: dict[str, str],
    index: dict[str, int],
    above: dict[str, set[str]],
) -> Iterator[Item]:
    if part not in SEGMENTS:
        raise ValueError(f"[data] parts: expected some of {', '.join(SEGMENTS)}, got {part!r}")
    sounds = folder / settings.audio
    files = _files(sounds / part if (sounds / part).is_dir() else sounds)
    for where, video, start, end, mids in _segments(folder / SEGMENTS[part]):
        unknown = [mid for mid in mids if mid not in names]
        if unknown:
            raise ValueError(f"{where}: expected labels of class_labels_indices.csv, got {unknown[0]!r}")
        every = set(mids).union(*(above.get(mid, set()) for mid in mids))
        weak = tuple(sorted({index[mid] for mid in every if mid in index}))
        path = next((files[stem] for stem in _stems(video, start, end) if stem in files), None)
        if not weak or (path is None and settings.missing == "skip"):
            continue
        path = path or sounds / f"{video}.wav"
        yield Item(f"{part}/{video}_{start:g}", path, weak=weak, split=part, group=video)


def _segments(path: Path) -> Iterator[tuple[str, str, float, float, list[str]]]:
    """Place, video, start, end and labels of each row of a table of segments."""
    if not path.is_file():
        raise ValueError(f"expected AudioSet's segments at {path}, got nothing there; check --data and [data] parts")
    with path.open(newline="", encoding="utf-8") as handle:
        for number, row in enumerate(csv.reader(handle, skipinitialspace=True), start=1):
            if not row or row[0].startswith("#"):
                continue
            try:
                video, start, end, mids = row
                yield f"{path}:{number}", video, float(start), float(end), mids.split(",")
            except ValueError:
                raise ValueError(
                    f'{path}:{number}: expected YTID, start, end, "labels", got {", ".join(row)!r}'
                ) from None


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in tables.sound_files(folder)}


def _stems(video: str, start: float, end: float) -> Iterator[str]:
    """Names that downloaders give to a segment's file, without the suffix."""
    for name in (video, f"Y{video}"):
        yield name
        for first, last in (
            (f"{start:.3f}", f"{end:.3f}"),
            (f"{start:.0f}", f"{end:.0f}"),
            (f"{start * 1000:.0f}", f"{end * 1000:.0f}"),
        ):
            yield f"{name}_{first}_{last}"
            yield f"{name}_{first}"


def _ancestors(path: Path) -> dict[str, set[str]]:
    """Identifiers above each one in the ontology."""
    if not path.is_file():
        raise ValueError(f"expected AudioSet's ontology at {path}, got nothing there; needed for `ancestors` = true")
    parents: dict[str, set[str]] = {}
    for node in json.loads(path.read_text(encoding="utf-8")):
        for child in node["child_ids"]:
            parents.setdefault(child, set()).add(node["id"])

    def above(mid: str) -> set[str]:
        direct = parents.get(mid, set())
        return direct.union(*(above(parent) for parent in direct))

    return {mid: above(mid) for mid in parents}
