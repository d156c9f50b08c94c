"""Notes: times that nobody labelled, from the sound itself, within what is labelled by the second.

recording    ▁▁▁▇▇▇▅▅▅▁▁▁▁▁▇▇▁▁▁▁▁▃▃▁▁       gate and cuts: `training.data.notes`
weak labels  │    ✓    │    ✓    │   –   │     windows beside one another, or a whole recording
taught       ▁▁▁▇▇▁▁▇▇▁▁▁▁▁▇▇▁▁▁▁▁▁▁▁▁       notes of labelled windows, apart where they touch; without: nothing

Where a window has several labels, nobody knows whose a note is: it is not taught, what is no note is still silence.
Card 14 gates labelled clips by energy. The cuts are ours: without them, calls that touch would be learnt as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta, structs

from edge.frontend.spec import Decibel
from edge.frontend.stream import FrontEnd
from training.data.dataset import Item
from training.data.notes import Floats, Stretch, change, notes
from training.data.windows import rows
from training.evaluation.scoring import features
from training.procedures.fit import FitSettings
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.stages import finish, material_of
from training.procedures.targets import smoothed
from training.sampling.registry import Material

Float32 = npt.NDArray[np.float32]
Seconds = Annotated[float, Meta(gt=0)]
UNTAUGHT = -1.0  # a target
FLOOR_DB = 6.0  # what is no louder than this above the median is no part of a spectrum that is compared


class NotesSettings(FitSettings):
    """How the network learns (as in ``fit``), and what is a note.

    Attributes
    ----------
    gate, strongest
        Least mean of so many strongest bands, dB above each band's median over the recording.
    blur
        Deviation of the Gaussian over time before the gate, seconds.
    turn, reach
        Least change of the spectrum at a cut, 0 to 1, between so many seconds before and behind it.
    shortest
        Of a note, seconds.
    apart
        Seconds between two notes that touch, as they are taught: else a network would join them.
    """

    gate: float = 12.0
    strongest: Annotated[int, Meta(ge=1)] = 2
    blur: Annotated[float, Meta(ge=0)] = 0.06
    turn: Annotated[float, Meta(gt=0, le=1)] = 0.5
    reach: Seconds = 0.3
    shortest: Seconds = 0.24
    apart: Annotated[float, Meta(ge=0)] = 0.16


@PROCEDURES.register("notes", NotesSettings)
def taught_notes(settings: NotesSettings) -> Procedure:
    """Return the procedure that finds notes, then teaches frames by them."""
    return lambda job: _taught_notes(settings, job)


def _taught_notes(settings: NotesSettings, job: Job) -> Fitted:
    frames: dict[str, Float32] = {}
    count = 0
    for row in rows(material_of(job).dataset.where(lambda item: item.weak is not None).items):
        targets, found = _row(settings, job, row)
        frames |= targets
        count += found
    fitted = finish(replace(job, draw=job.redraw(replace(material_of(job), frames=frames))), settings)
    return replace(fitted, figures={**fitted.figures, "notes": count})


def _row(settings: NotesSettings, job: Job, row: Sequence[Item]) -> tuple[dict[str, Float32], int]:
    """Targets of the frames of items that follow one another, by their names, and how many notes they hold."""
    material = material_of(job)
    rate = material.spec.rate / material.spec.hop
    level, changes = _heard(settings, material, replace(row[0], stop=row[-1].stop))
    targets = np.zeros((len(level), len(material.dataset.labels)), np.float32)
    edges = [*(round((item.start - row[0].start) * rate) for item in row), len(level)]
    parts = [(item, slice(*pair)) for item, pair in zip(row, pairwise(edges), strict=True)]
    count = 0
    for label in sorted({label for item in row for label in item.weak or ()}):
        known = np.zeros(len(level), np.bool_)
        for item, part in parts:
            known[part] = label in (item.weak or ())
        found = notes((level >= settings.gate) & known, changes, settings.turn, round(settings.shortest * rate))
        for item, part in parts:
            heard = any(note.start < part.stop and note.stop > part.start for note in found)
            targets[part, label] = UNTAUGHT if label in (item.weak or ()) and not heard else 0
        draw_apart(targets[:, label], found, round(settings.apart * rate))
        for item, part in parts:
            if len(item.weak or ()) > 1:
                targets[part, label][targets[part, label] > 0] = UNTAUGHT
        count += len(found)
    return {item.name: targets[part] for item, part in parts}, count


def _heard(settings: NotesSettings, material: Material, item: Item) -> tuple[Floats, Floats]:
    """Level of the strongest bands, dB above the recording's median, ``[T]``; how the spectrum changes, ``[T]``."""
    spec = structs.replace(material.spec, scale=Decibel(), post=[])
    rate = spec.rate / spec.hop
    level = features(FrontEnd(spec), material.shelf(item))
    above = level - np.median(level, 0)
    spectra = np.maximum(smoothed(above, 1, 1.0) - FLOOR_DB, 0).astype(np.float64)
    strongest = np.sort(smoothed(above, 1, settings.blur * rate), 1)[:, -settings.strongest :]
    return strongest.mean(1).astype(np.float64), change(spectra, round(settings.reach * rate))


def draw_apart(targets: Float32, found: Sequence[Stretch], apart: int) -> None:
    """Draw notes into targets ``[T]``: 1 inside, 0 in the `apart` frames around where two of them touch."""
    for note in found:
        targets[note.start : note.stop] = 1
    for before, note in pairwise(found):
        if before.stop == note.start:
            first = note.start - apart // 2
            targets[first : first + apart] = 0
