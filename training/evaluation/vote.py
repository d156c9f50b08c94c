"""Several networks hear a recording: a majority of them says which classes it has, one says when (card 19).

clips       network 1    network 2    network 3       majority           soft vote
class a        ✓            ✓            –             ✓  frames stay      mean of the three clip scores
class b        –            ✓            –             –  frames are 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from edge.errors import ConfigError
from training.evaluation.targets import Scorer, Target, clip_scores, same_labels

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
PRESENT = 0.5  # clip score from which a network's vote is yes


def voted(detector: Target, voters: Sequence[Target]) -> Target:
    """Return the detector whose frames count only where a majority of all networks, its own vote in, has the class.

    The clip score is the soft vote. Whatever one of them has learnt from, all have.

    Parameters
    ----------
    voters
        Of them those count that held out the detector's fold.

    Raises
    ------
    ConfigError
        None of the voters held out its fold, or one has other classes or another rate.
    """
    others = [voter for voter in voters if voter.held_out == detector.held_out]
    if not others:
        folds = sorted({str(voter.held_out) for voter in voters})
        raise ConfigError(
            f"vote: expected voters that held out fold {detector.held_out} as {detector.name} did, "
            f"got folds {', '.join(folds)}"
        )
    same_labels((detector, *others))
    for other in others:
        if other.rate != detector.rate:
            raise ConfigError(
                f"vote: expected {detector.rate} Hz of {other.name}, as of {detector.name}, got {other.rate} Hz"
            )
    return replace(
        detector,
        name=" + ".join(target.name for target in (detector, *others)),
        scorer=_scorer(detector, others),
        learnt_from=lambda folder, item: any(target.learnt_from(folder, item) for target in (detector, *others)),
    )


def majority(clips: Float32) -> Bool:
    """Whether more than half of the networks' clip scores ``[K, C]`` say that a class is there, ``[C]``."""
    return 2 * (clips >= PRESENT).sum(0) > len(clips)


def _scorer(detector: Target, others: Sequence[Target]) -> Scorer:
    def scores(samples: Float32) -> ScoreBlock:
        block = detector.scorer(samples)
        clips = np.stack([clip_scores(block), *(clip_scores(other.scorer(samples)) for other in others)])
        soft = np.broadcast_to(clips.mean(0, dtype=np.float32), block.scores.shape).copy()
        return replace(block, scores=block.scores * majority(clips).astype(np.float32), clip=soft)

    return scores
