"""What one training step is given."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

NO_MORE, UNKNOWN = -1, -2


class Batch(NamedTuple):
    """Features and what is known of them; targets are 0 … 1, and -1 where nothing is taught.

    Attributes
    ----------
    features
        ``[B, T, F]``.
    frame
        Targets of frames ``[B, T, C]``; None where nobody knows when anything sounds.
    clip
        Targets of clips ``[B, C]``; None leaves them to follow from the frames.
    order
        Boundaries in their order ``[B, L]``, as `training.data.dataset.Item` has them, behind the last one `NO_MORE`;
        a row of `UNKNOWN` where nobody knows it. None where no example's is known.
    heard
        How many frames hold the recording, ``[B]``, at least 1; behind them is the silence that fills the example up.
        None: all.
    """

    features: Tensor
    frame: Tensor | None = None
    clip: Tensor | None = None
    order: Tensor | None = None
    heard: Tensor | None = None

    @property
    def known_order(self) -> Tensor:
        """Whether an example's order is known, bool ``[B]``."""
        return self.order[:, 0] != UNKNOWN

    def to(self, device: str) -> Batch:
        """Return the batch on another device."""
        return Batch(*(None if t is None else t.to(device, non_blocking=True) for t in self))
