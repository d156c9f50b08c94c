"""A model's thresholds for the place where it listens, chosen from recordings made there, on the device, in seconds.

recordings    rain/*.wav   rooster/*.wav   none/*.wav       folders by the class that is to be found in them
peaks         .9 .8 .6     .1 .2 .3        .5 .2            the highest smoothed score of a class in each
threshold            ^ between .6 and .5                    where it errs least on either side, counted alike

What such a threshold is worth is told by choosing it without each recording in turn and judging that one. Only the
rules of decision change, no weight of the network: a class that it cannot tell apart here stays so.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import tomli_w
from msgspec import structs

from edge.blocks import AudioBlock, Float32, ScoreBlock
from edge.clock import SampleClock
from edge.decode.decoder import Decoder, rule_of
from edge.decode.event import EventMaker
from edge.errors import ConfigError, SourceError
from edge.inference import check, store
from edge.inference import layer as layers
from edge.inference.card import Card, Decode, LastLayer, Rule
from edge.inference.model import Model
from edge.pipeline import Pipeline

LEAST, MOST = 0.02, 0.98  # thresholds stay within
ENOUGH = 3  # recordings with a class, and without it
LAYER = "layer.npy"
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


def listen(model: Model, path: Path) -> ScoreBlock:
    """All scores of a sound file, and the embeddings where the model gives any.

    Raises
    ------
    SourceError
        It is no sound file, or too short for a score.
    """
    import soundfile

    blocks: list[ScoreBlock] = []
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            maker = EventMaker("adapt", "adapt", model.id, rate, SampleClock(rate))
            pipeline, start = Pipeline(model, maker, on_scores=blocks.append), 0
            for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
                pipeline.push(AudioBlock("adapt", start, rate, block.mean(axis=1)))
                start += len(block)
            pipeline.flush("stop")
    except soundfile.LibsndfileError as problem:
        raise SourceError(f"{path}: expected a sound file, got none: {problem.error_string}") from None
    if not blocks:
        raise SourceError(f"{path}: expected a recording long enough for a score, got {start} samples")

    def joined(parts: Sequence[Float32 | None]) -> Float32 | None:
        there = [part for part in parts if part is not None]
        return np.concatenate(there) if there else None

    scores = np.concatenate([block.scores for block in blocks])
    embeddings, clip = joined([b.embeddings for b in blocks]), joined([b.clip for b in blocks])
    return replace(blocks[0], scores=scores, embeddings=embeddings, clip=clip)


def peaks_of(model: Model, block: ScoreBlock) -> dict[str, float]:
    """Highest smoothed score of each class in a recording's scores; classes that stay below `LEAST` are left out."""
    rules = model.card.decode
    low = structs.replace(
        rules, on=LEAST, off=LEAST, labels={k: structs.replace(v, on=LEAST, off=LEAST) for k, v in rules.labels.items()}
    )
    decoder = Decoder(model.labels, low)
    decoder.reset(block.epoch)
    highest: dict[str, float] = {}
    for one in decoder.push(block) + decoder.flush("stop"):
        highest[one.label] = max(one.peak, highest.get(one.label, 0.0))
    return highest


def threshold(there: Sequence[float], not_there: Sequence[float], now: float) -> float:
    """Where peaks with a class and without it part best; of equally good places the nearest to the one now.

    >>> threshold([0.9, 0.8, 0.6], [0.5, 0.2], 0.7)
    0.55
    """
    values = np.unique([*there, *not_there])
    between = np.clip((values[:-1] + values[1:]) / 2, LEAST, MOST).tolist()
    best: float = min([now, *between], key=lambda on: (-balanced(there, not_there, on), abs(on - now)))
    return best


def balanced(there: npt.ArrayLike, not_there: npt.ArrayLike, on: float) -> float:
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
        heard.append(peaks_of(model, listen(model, one.path)))
        tell(number, len(found))
    rules = model.card.decode
    advice = []
    for label in model.labels:
        there = [high.get(label, 0.0) for one, high in zip(found, heard, strict=True) if one.label == label]
        rest = [high.get(label, 0.0) for one, high in zip(found, heard, strict=True) if one.label != label]
        rule = rule_of(rules, label)
        if label not in rules.ignore and not rule.viterbi and min(len(there), len(rest)) >= ENOUGH:
            on = round(threshold(there, rest, rule.on), 3)
            right = (balanced(there, rest, rule.on), _worth(there, rest, rule.on))
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
    card = store.load_card(source)
    changed = structs.replace(card, name=name, decode=rules, metrics={**card.metrics, "rules_tuned_on": note})
    return add_copy(source, changed, {}, replace)


def save_layer(
    source: Path, name: str, weights: Float32, fitted: Mapping[str, float], note: str, replace: bool = False
) -> Path:
    """Add a copy of a model folder with a last layer to the user's models.

    Parameters
    ----------
    source
        The model's folder.
    name
        Of the copy.
    weights
        ``[C, D + 1]``; a layer that the model has already is added to it.
    fitted
        The classes, and what their held-out accuracy was.
    note
        What it was fitted on.

    Raises
    ------
    CardError
        The name is impossible or taken.
    """
    card = store.load_card(source)
    before = layers.load(card, source)
    file = io.BytesIO()
    np.save(file, weights if before is None else weights + before, allow_pickle=False)
    before_it = card.output.layer.labels if card.output.layer else []
    layer = LastLayer(
        name=LAYER,
        sha256=hashlib.sha256(file.getvalue()).hexdigest(),
        of=f"{card.name}@{card.version}",
        fitted_on=note,
        labels=list(dict.fromkeys([*before_it, *fitted])),
    )
    measured = {f"last_layer_right_{label}": round(value, 4) for label, value in fitted.items()}
    output = structs.replace(card.output, layer=layer, clip="")
    changed = structs.replace(card, name=name, output=output, metrics={**card.metrics, **measured})
    return add_copy(source, changed, {LAYER: file.getvalue()}, replace)


def add_copy(source: Path, card: Card, files: Mapping[str, bytes], replace: bool) -> Path:
    """Add a model of a folder's files, another card, and files that take the place of the folder's."""
    with tempfile.TemporaryDirectory(prefix="wheatear-adapt-") as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        for file in card.named_files:
            if file.name in files:
                (folder / file.name).write_bytes(files[file.name])
            else:
                shutil.copyfile(source / file.name, folder / file.name)
        (folder / check.CARD).write_text(tomli_w.dumps(msgspec.to_builtins(card)), encoding="utf-8")
        return store.add(folder, replace)
