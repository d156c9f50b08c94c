"""A model's thresholds for the place where it listens, chosen from recordings made there, on the device, in seconds.

recordings    rain/*.wav   rooster/*.wav   none/*.wav       folders by the class that is to be found in them
peaks         .9 .8 .6     .1 .2 .3        .5 .2            the highest smoothed score of a class in each
threshold            ^ between .6 and .5                    where it errs least on either side, counted alike

What such a threshold is worth is told by choosing it without each recording in turn and judging that one. Only the
rules of decision change, no weight of the network: a class that it cannot tell apart here stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.decode.decoder import rule_of
from edge.decode.event import EventMaker
from edge.errors import ConfigError, SourceError
from edge.inference.card import Decode, Rule
from edge.inference.model import Model
from edge.pipeline import Pipeline

LEAST, MOST = 0.02, 0.98  # thresholds stay within
ENOUGH = 3  # recordings with a class, and without it
BLOCK = 1 << 16  # samples read at a time
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")


@dataclass(frozen=True, slots=True)
class Recording:
    """A sound file, and the class that is to be found in it; None where none is."""

    path: Path
    label: str | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What the recordings say of a class.

    Attributes
    ----------
    label
        The class.
    on
        Threshold before and after.
    right
        Balanced accuracy on the recordings, 0 … 1: before, and with thresholds that were chosen without the recording
        that they judge.
    recordings
        With the class, and without it.
    """

    label: str
    on: tuple[float, float]
    right: tuple[float, float]
    recordings: tuple[int, int]


def recordings(folder: Path, labels: Sequence[str]) -> list[Recording]:
    """Sound files of the folders below `folder`; folders that are called like no class hold sound without any.

    Raises
    ------
    ConfigError
        There are no sound files, or no folder is called like a class.
    """
    found = [
        Recording(path, path.parent.name if path.parent.name in labels else None)
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if not any(one.label for one in found):
        raise ConfigError(
            f"{folder}: expected folders of sound files called like classes of the model ({', '.join(labels)[:200]}), "
            f"got {len(found)} files in other folders"
        )
    return found


def peaks(model: Model, path: Path) -> dict[str, float]:
    """Highest smoothed score of each class in a sound file; classes that stay below `LEAST` are left out.

    Raises
    ------
    SourceError
        It is no sound file.
    """
    import soundfile

    rules = model.card.decode
    low = structs.replace(
        rules, on=LEAST, off=LEAST, labels={k: structs.replace(v, on=LEAST, off=LEAST) for k, v in rules.labels.items()}
    )
    highest: dict[str, float] = {}
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            pipeline = Pipeline(model, EventMaker("adapt", "adapt", model.id, rate, SampleClock(rate)), low)
            events, start = [], 0
            for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
                events += pipeline.push(AudioBlock("adapt", start, rate, block.mean(axis=1)))
                start += len(block)
            events += pipeline.flush("stop")
    except soundfile.LibsndfileError as problem:
        raise SourceError(f"{path}: expected a sound file, got none: {problem.error_string}") from None
    for event in events:
        if event.label and event.peak is not None:
            highest[event.label] = max(event.peak, highest.get(event.label, 0.0))
    return highest


def threshold(there: Sequence[float], not_there: Sequence[float], now: float) -> float:
    """Where peaks with a class and without it part best; of equally good places the nearest to the one now.

    >>> threshold([0.9, 0.8, 0.6], [0.5, 0.2], 0.7)
    0.55
    """
    values = np.unique([*there, *not_there])
    between = np.clip((values[:-1] + values[1:]) / 2, LEAST, MOST).tolist()
    best: float = min([now, *between], key=lambda on: (-_balanced(there, not_there, on), abs(on - now)))
    return best


def _balanced(there: Sequence[float], not_there: Sequence[float], on: float) -> float:
    """Mean share of recordings that are judged right, with the class and without it."""
    return float(np.mean(np.asarray(there) >= on) + np.mean(np.asarray(not_there) < on)) / 2


def advise(
    model: Model, found: Sequence[Recording], tell: Callable[[int, int], None] = lambda *_: None
) -> list[Advice]:
    """Choose the threshold of every class of which there are recordings enough.

    Parameters
    ----------
    model
        Loaded.
    found
        The recordings.
    tell
        Called with how many were heard, of how many.

    Raises
    ------
    SourceError
        A file is no sound file.
    """
    heard = []
    for number, one in enumerate(found, start=1):
        heard.append(peaks(model, one.path))
        tell(number, len(found))
    rules = model.card.decode
    advice = []
    for label in model.labels:
        there = [high.get(label, 0.0) for one, high in zip(found, heard, strict=True) if one.label == label]
        rest = [high.get(label, 0.0) for one, high in zip(found, heard, strict=True) if one.label != label]
        rule = rule_of(rules, label)
        if label not in rules.ignore and not rule.viterbi and min(len(there), len(rest)) >= ENOUGH:
            on = round(threshold(there, rest, rule.on), 3)
            right = (_balanced(there, rest, rule.on), _worth(there, rest, rule.on))
            advice.append(Advice(label, (rule.on, on), right, (len(there), len(rest))))
    return advice


def _worth(there: Sequence[float], rest: Sequence[float], now: float) -> float:
    """Balanced accuracy where each recording is judged by a threshold that was chosen without it."""
    found = [peak >= threshold(_without(there, k), rest, now) for k, peak in enumerate(there)]
    left = [peak < threshold(there, _without(rest, k), now) for k, peak in enumerate(rest)]
    return float(np.mean(found) + np.mean(left)) / 2


def _without(peaks: Sequence[float], k: int) -> list[float]:
    return [*peaks[:k], *peaks[k + 1 :]]


def adapted(rules: Decode, advice: Sequence[Advice]) -> Decode:
    """The rules with the new thresholds; `off` keeps its ratio to `on`."""
    labels = dict(rules.labels)
    for one in advice:
        old, new = one.on
        off = rule_of(rules, one.label).off
        labels[one.label] = structs.replace(labels.get(one.label, Rule()), on=new, off=round(off * new / old, 3))
    return structs.replace(rules, labels=labels)


def save(source: Path, name: str, rules: Decode, note: str, replace: bool = False) -> Path:
    """Add a copy of a model folder with other rules to the user's models; `note` goes into its ``metrics``.

    Raises
    ------
    CardError
        The name is impossible or taken.
    """
    import shutil
    import tempfile

    import msgspec
    import tomli_w

    from edge.inference import check, store

    card = store.load_card(source)
    table: dict[str, Any] = msgspec.to_builtins(structs.replace(card, name=name, decode=rules))
    table["metrics"] = {**table.get("metrics", {}), "rules_tuned_on": note}
    with tempfile.TemporaryDirectory(prefix="wheatear-adapt-") as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        for file in card.files:
            shutil.copyfile(source / file.name, folder / file.name)
        (folder / check.CARD).write_text(tomli_w.dumps(table), encoding="utf-8")
        return store.add(folder, replace)
