"""A last layer that was fitted where a model listens: its logits, corrected by its embeddings.

score' = σ(logit(score) + W · embedding + b)         W = 0, b = 0 for a class that was not fitted

Where scores are a sigmoid of a dense layer on the embedding, this is that layer with other weights; of any other head
it corrects what comes out. The file holds ``[classes, D + 1]`` float32, b in the last column, as a plain NumPy array.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.blocks import Float32
from edge.errors import CardError
from edge.inference.card import Card

NEAR = np.float32(1e-6)  # scores are kept so far from 0 and 1: beyond, a float32 says nothing more


def logit(scores: Float32) -> Float32:
    """ln(p / (1 − p)), −13.8 … 13.8."""
    p = np.clip(scores, NEAR, 1 - NEAR)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def sigmoid(x: Float32) -> Float32:
    """1 / (1 + exp(−x)), without its overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def corrected(scores: Float32, embeddings: Float32, weights: Float32) -> Float32:
    """Scores ``[T, C]`` by embeddings ``[T, D]`` and a layer ``[C, D + 1]``; those of classes without one stay."""
    fitted = np.flatnonzero(weights.any(axis=1))
    out = scores.copy()
    out[:, fitted] = sigmoid(logit(scores[:, fitted]) + embeddings @ weights[fitted, :-1].T + weights[fitted, -1])
    return out


def load(card: Card, folder: Path) -> Float32 | None:
    """Return the layer of a model folder, whose file was checked; None where the card names none.

    Raises
    ------
    CardError
        It is no array of one row per class.
    """
    if card.output.layer is None:
        return None
    path, where = folder / card.output.layer.name, f"{folder.name}/{card.output.layer.name}"
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CardError(f"{where}: expected a NumPy array, got none: {error}") from None
    ok = isinstance(found, np.ndarray) and found.dtype == np.float32 and found.ndim == 2
    if not ok or len(found) != len(card.labels) or found.shape[1] < 2 or not np.isfinite(found).all():
        got = f"{found.dtype}{list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
        raise CardError(f"{where}: expected finite float32 [{len(card.labels)}, D + 1], got {got}")
    return np.asarray(found, np.float32)
