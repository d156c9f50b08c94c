"""Figures over all thresholds at once, by sed_scores_eval (Ebbers et al., ICASSP 2022).

The polyphonic sound detection score (Bilen et al., ICASSP 2020) is the area under the curve of detected events over
false alarms per hour, up to `most` per hour. Two scenarios are in use since DCASE 2021: `PSDS1` asks for boundaries,
`PSDS2` forgives them and punishes confusions. Reference events of a class that touch or overlap count as one: runs of
frames can tell no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from training.data.annotations import merge
from training.data.dataset import Sound
from training.metrics.extra import need

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """Settings of a score.

    Attributes
    ----------
    detection, truth
        Least share of a detection that lies on events of its class, and of an event that detections cover.
    cross
        Least share of a detection on events of another class for a cross-trigger; None counts none.
    cross_weight, spread_weight
        Weight of cross-triggers in the false alarms, and of the deviation between classes.
    most
        False alarms per hour where the curve ends.
    """

    detection: float
    truth: float
    cross: float | None = None
    cross_weight: float = 0.0
    spread_weight: float = 1.0
    most: float = 100.0


PSDS1 = Scenario(0.7, 0.7)
PSDS2 = Scenario(0.1, 0.1, 0.3, 0.5)


@dataclass(frozen=True)
class Psds:
    """The score 0 … 1, by class too, and the curve: detected share over false alarms per hour."""

    score: float
    by_class: dict[str, float]
    detected: Float64
    per_hour: Float64


def psds(
    blocks: Sequence[ScoreBlock],
    reference: Sequence[Sequence[Sound]],
    seconds: Sequence[float],
    labels: Sequence[str],
    scenario: Scenario = PSDS1,
) -> Psds:
    """Measure the scores of recordings against their strong labels; classes without any reference event are left out.

    Parameters
    ----------
    blocks
        Scores of each recording.
    reference, seconds
        Events and length of each recording.

    Raises
    ------
    ConfigError
        sed_scores_eval is not installed.
    ValueError
        No reference event.
    """
    kept, frames, truth = _tables(blocks, reference, labels)
    if len(kept) == 1:  # one class has no other to be taken for, and the library expects some
        scenario = replace(scenario, cross=None, cross_weight=0.0)
    score, by_class, (detected, per_hour), _ = need("sed_scores_eval").intersection_based.psds(
        frames,
        truth,
        {name: float(length) for name, length in zip(frames, seconds, strict=True)},
        dtc_threshold=scenario.detection,
        gtc_threshold=scenario.truth,
        cttc_threshold=scenario.cross,
        alpha_ct=scenario.cross_weight,
        alpha_st=scenario.spread_weight,
        max_efpr=scenario.most,
    )
    return Psds(float(score), {name: float(by_class[name]) for name in kept}, detected, per_hour)


def best_event_f1(
    blocks: Sequence[ScoreBlock],
    reference: Sequence[Sequence[Sound]],
    labels: Sequence[str],
    collar: float = 0.2,
    share: float = 0.2,
) -> Mapping[str, tuple[float, float]]:
    """F1 with collars and its threshold, by class, where each class has the threshold that is best *for these data*.

    No median, no hysteresis: runs of frames above the threshold. An upper bound to read beside decided events, never a
    figure of a system.
    """
    kept, frames, truth = _tables(blocks, reference, labels)
    f1, _, _, threshold, _ = need("sed_scores_eval").collar_based.best_fscore(
        frames, truth, onset_collar=collar, offset_collar=collar, offset_collar_rate=share
    )
    return {name: (float(f1[name]), float(threshold[name])) for name in kept}


def score_table(block: ScoreBlock, labels: Sequence[str]) -> object:
    """Return scores as sed_scores_eval's table: a row per frame with its onset, offset and scores.

    Frames tile the recording; of overlapping windows each speaks for its hop, the last one for its whole span.
    """
    edges = (block.first_frame + np.arange(len(block.scores) + 1)) * block.hop / block.rate
    edges[-1] = edges[-2] + block.span / block.rate
    scores = need("sed_scores_eval.base_modules.scores")
    return scores.create_score_dataframe(block.scores.astype(np.float64), edges, list(labels))


def _tables(
    blocks: Sequence[ScoreBlock], reference: Sequence[Sequence[Sound]], labels: Sequence[str]
) -> tuple[list[str], dict[str, object], dict[str, list[tuple[float, float, str]]]]:
    present = sorted({event.label for events in reference for event in events})
    if not present:
        raise ValueError("expected strong labels, got recordings without a reference event")
    names = [f"{k:06d}" for k in range(len(blocks))]
    kept = [labels[c] for c in present]
    frames = {
        name: score_table(block, labels)[["onset", "offset", *kept]] for name, block in zip(names, blocks, strict=True)
    }
    truth = {
        name: [(e.onset, e.offset, labels[e.label]) for e in merge(events)]
        for name, events in zip(names, reference, strict=True)
    }
    return kept, frames, truth
