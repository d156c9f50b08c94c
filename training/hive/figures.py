"""What the vectors of real hives can tell: a few plain classifiers, chosen without a look at the test part.

train on the training days  ─▶  every candidate on the validation days  ─▶  the best one, once, on the test days

All candidates' test figures are told beside the chosen one's, so that nobody need wonder what choosing was worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from training.evaluation.report import table
from training.hive.vectors import MFCC, Vectors, queenless, swarming

STEP = 4  # of the training vectors: neighbours are nearly the same, and an SVM's cost grows with their square
FOLDS = 5
SWARMING_TEXT = (
    "Swarming or not, from MFCC and chroma statistics of real hives; training, validation and test are different days. "
    "Every candidate is trained on the training days, and the bold one has the best accuracy on the validation days: "
    "its test figure is the result. The set does not say which hive and microphone a vector is of, and all of a class "
    "may come from few recordings: the figure is about these days, not about any hive."
)
QUEENLESS_TEXT = (
    "Queen there or not. The training vectors of this set are not public, so the validation part (2,000 vectors) "
    f"trains, {FOLDS}-fold cross-validation on it chooses, and the test part judges. The set tells no days or hives: "
    "neighbouring vectors of one recording may stand on both sides, and the figure is optimistic."
)


@dataclass(frozen=True)
class Candidate:
    """A classifier on some features.

    Attributes
    ----------
    features
        What it is given, in words.
    classifier
        What it is, in words.
    make
        Builds it, untrained.
    """

    features: str
    classifier: str
    make: Callable[[], Pipeline]


def discriminant() -> Pipeline:
    """Linear discriminant analysis."""
    return make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())


def logistic() -> Pipeline:
    """Logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def svm() -> Pipeline:
    """RBF kernel, C = 1, γ = 1 / features, on standardised features."""
    return make_pipeline(StandardScaler(), SVC(C=1.0, gamma="auto"))


CLASSIFIERS: dict[str, Callable[[], Pipeline]] = {
    "linear discriminant": discriminant,
    "logistic regression": logistic,
    "SVM, RBF": svm,
}
COLUMNS = {
    "MFCC mean and deviation": slice(None),
    "without the first MFCC's mean": slice(1, None),
    "MFCC mean": slice(0, MFCC),
    "MFCC deviation": slice(MFCC, None),
}


def candidates(features: Mapping[str, object]) -> Iterator[Candidate]:
    """Every classifier on every set of features."""
    for name in features:
        for classifier, make in CLASSIFIERS.items():
            yield Candidate(name, classifier, make)


def scores(model: Pipeline, part: Vectors) -> tuple[float, float, float]:
    """Accuracy, balanced accuracy and area under the ROC curve."""
    found = model.predict(part.x)
    return (
        float(np.mean(found == part.y)),
        float(balanced_accuracy_score(part.y, found)),
        float(roc_auc_score(part.y, model.decision_function(part.x))),
    )


def of_swarming(folder: Path, command: str = "") -> dict[str, Any]:
    """Measure the swarming set; returns a section of results.

    Raises
    ------
    ValueError
        The set is not whole.
    """
    mfcc = swarming(folder, "MFCCs")
    sets = {name: {part: v.columns(cut) for part, v in mfcc.items()} for name, cut in COLUMNS.items()}
    sets["chroma"] = swarming(folder, "Chroma")
    rows = []
    for one in candidates(sets):
        parts = sets[one.features]
        train = parts["train"].every(STEP)
        model = one.make().fit(train.x, train.y)
        rows.append((one, scores(model, parts["val"]), scores(model, parts["test"])))
    return _section("Beehives: swarming", SWARMING_TEXT, "validation days", "test days", rows, command)


def of_queenless(folder: Path, command: str = "") -> dict[str, Any]:
    """Measure the queenless set; returns a section of results.

    Raises
    ------
    ValueError
        The set is not whole.
    """
    parts = queenless(folder)
    sets = {name: {part: v.columns(cut) for part, v in parts.items()} for name, cut in COLUMNS.items()}
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    rows = []
    for one in candidates(sets):
        train, test = sets[one.features]["val"], sets[one.features]["test"]
        accuracy = float(cross_val_score(one.make(), train.x, train.y, cv=folds).mean())
        model = one.make().fit(train.x, train.y)
        rows.append((one, (accuracy, math.nan, math.nan), scores(model, test)))
    return _section("Beehives: queenless", QUEENLESS_TEXT, "cross-validation", "test part", rows, command)


Row = tuple[Candidate, tuple[float, float, float], tuple[float, float, float]]


def _section(title: str, text: str, choice: str, test: str, rows: list[Row], command: str) -> dict[str, Any]:
    """A table of all candidates, the chosen one in bold, the best of the choice first."""
    rows = sorted(rows, key=lambda row: -row[1][0])
    heads = ["features", "classifier", f"accuracy, {choice}", f"accuracy, {test}", "balanced", "AUC"]
    cells = [
        [one.features, one.classifier, f"{chosen[0]:.1%}", f"{found[0]:.1%}", f"{found[1]:.1%}", f"{found[2]:.3f}"]
        for one, chosen, found in rows
    ]
    cells[0] = [f"**{cell}**" for cell in cells[0]]
    return table(title, heads, cells, text, command)
