"""One thing at a time around card 26's best SVM: blocks of hives to vectors, parts of hives, areas under the ROC curve.

parts of 4         hive 1   hive 2   hive 3   hive 4        tested on part 1, trained on the others, and so on
known hives        1 2 3 4  1 2 3 4  1 2 3 4  1 2 3 4       whole recordings: every hive is in every part
unseen hives       1 1 1 1  2 2 2 2  3 3 3 3  4 4 4 4
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from edge.frontend.presets import PRESETS
from edge.frontend.spec import parse
from edge.frontend.stream import FrontEnd
from training.data.blocks import balanced, cut, filled
from training.data.dataset import Dataset
from training.data.formats.lab import LabSettings, load
from training.hive.statistics import block_vector

Floats = npt.NDArray[np.float64]
Splits = dict[str, list[str]]
NOBEE = 1
FRONT_END = parse({**PRESETS["librosa"], "post": [{"kind": "mfcc", "count": 20}]})


@dataclass(frozen=True)
class Setting:
    """How an SVM is given blocks.

    Attributes
    ----------
    block
        S, seconds.
    least
        Θ: external sounds shorter than so many seconds do not count.
    first
        Whether the first coefficient is kept, with its slope and curvature.
    standardise
        By mean and deviation of the training blocks (z-score over the set); else features are taken as they are.
    balance
        Duplicate training blocks of the rarer class.
    """

    block: float = 60.0
    least: float = 5.0
    first: bool = False
    standardise: bool = False
    balance: bool = True

    def svm(self) -> Pipeline:
        """RBF kernel, C = 1, γ = 1 / features."""
        svc = SVC(C=1.0, gamma="auto")
        return make_pipeline(StandardScaler(), svc) if self.standardise else make_pipeline(svc)


@dataclass(frozen=True)
class Blocks:
    """Blocks of one length, as vectors.

    Attributes
    ----------
    names
        Of the recordings that they are of.
    vectors
        ``[N, 114]`` by ``False``, ``[N, 120]`` with the first coefficient by ``True``.
    external
        For each Θ, whether there is a sound from outside in it, ``[N]``.
    """

    names: tuple[str, ...]
    vectors: dict[bool, Floats]
    external: dict[float, npt.NDArray[np.int64]]


def blocks_of(folder: Path, length: float, leasts: Sequence[float]) -> Blocks:
    """Cut a set of hives into blocks and make a vector of each.

    Parameters
    ----------
    folder
        As `training.hive.generate.write` leaves it, at 22,050 Hz.
    length, leasts
        S, and every Θ that is asked for, seconds.

    Raises
    ------
    ValueError
        The folder is no such set.
    """
    whole = load(LabSettings(), folder)
    labelled = {least: cut(whole, NOBEE, length, least) for least in leasts}
    items = next(iter(labelled.values())).items
    front_end, rate = FrontEnd(FRONT_END), FRONT_END.rate
    vectors: dict[bool, list[Floats]] = {False: [], True: []}
    for item in items:
        bounds = round(item.start * rate), round((item.stop or 0.0) * rate)
        samples, _ = soundfile.read(item.path, start=bounds[0], stop=bounds[1], dtype="float32")
        mfcc = front_end.transform(filled(samples, round(length * rate)))
        for first, found in vectors.items():
            found.append(block_vector(mfcc, drop_first=not first))
    return Blocks(
        tuple(item.path.name for item in items),
        {first: np.stack(found) for first, found in vectors.items()},
        {least: _external(blocks) for least, blocks in labelled.items()},
    )


def _external(blocks: Dataset) -> npt.NDArray[np.int64]:
    return np.array([int(NOBEE in (item.weak or ())) for item in blocks.items])


def splits(hives: int, recordings: int, parts: int) -> Splits:
    """Regular expressions on the names of recordings: those of each part, of hives known and unseen.

    Raises
    ------
    ValueError
        There are fewer hives, or recordings of a hive, than parts.
    """
    if not 2 <= parts <= min(hives, recordings):
        raise ValueError(
            f"hives: expected at least 2 parts, and a hive and a recording of each hive for every one, got {parts} "
            f"parts of {hives} hives with {recordings} recordings"
        )

    def numbers(count: int, part: int) -> str:
        return "|".join(str(n + 1) for n in range(count) if n % parts == part)

    return {
        "known hives": [rf"^Hive\d+_0*({numbers(recordings, part)})\." for part in range(parts)],
        "unseen hives": [rf"^Hive({numbers(hives, part)})_" for part in range(parts)],
    }


def areas(blocks: Blocks, parts: Sequence[str], setting: Setting, seed: int = 0) -> tuple[float, float]:
    """Area under the ROC curve of blocks that the SVM did not learn from, and of those that it did.

    Means over the parts; one with blocks of a single class on either side is left out.
    """
    x, y = blocks.vectors[setting.first], blocks.external[setting.least]
    found = []
    for part in parts:
        test = np.array([re.search(part, name) is not None for name in blocks.names])
        if len(set(y[test])) < 2 or len(set(y[~test])) < 2:
            continue
        chosen = balanced(y[~test], seed) if setting.balance else slice(None)
        model = setting.svm().fit(x[~test][chosen], y[~test][chosen])
        found.append([roc_auc_score(y[side], model.decision_function(x[side])) for side in (test, ~test)])
    unseen, learnt = np.mean(found, axis=0) if found else (math.nan, math.nan)
    return float(unseen), float(learnt)
