"""A network that streams: a body of stream layers and a head. Any such network is exported as the built-in ones are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.heads import Head, Scores, rows
from training.layers.streaming import Clock, State, StreamLayer, Timeline, bind, chunk, clocked


class Network(nn.Module):
    """Features ``[B, T, F]`` to `Scores`.

    Parameters
    ----------
    body
        ``[B, 1, T, F]`` to embeddings ``[B, D, T', 1]``.
    head
        Embeddings to probabilities.
    bands
        Features per frame; 1 for raw samples, where every sample is a frame.
    """

    def __init__(self, body: StreamLayer, head: Head, bands: int) -> None:
        super().__init__()
        self.body, self.head, self.bands = body, head, bands

    def forward(self, features: Tensor) -> Scores:
        """Whole clip."""
        x = self.body(features.unsqueeze(1))
        if x.is_meta:  # a network that is only counted
            return self.head(x)
        with torch.autocast(x.device.type, enabled=False):  # a sure probability is 1 in half precision: no way back
            return self.head(x.float())

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings ``[B, T', D]`` of a whole clip."""
        return rows(self.head.vector(self.body(features.unsqueeze(1))))

    def bind(self) -> Timeline:
        """Plan the streaming and return the timeline of the scores.

        Raises
        ------
        ValueError
            A layer cannot stream: its name and the reason.
        """
        return plan(self.body, self.head, self.bands)

    def init_state(self, batch: int = 1) -> State:
        """Return the state before the first frame, after `bind`."""
        return self.body.init_state(batch) | self.head.init_state(batch)

    def step(self, features: Tensor, state: State, clock: Clock) -> tuple[Scores, Tensor, State]:
        """Scores, embeddings ``[B, T', D]`` and the next state for the next frames ``[B, chunk, bands]``."""
        embedding, after = self.body.step(features.unsqueeze(1), state, clock)
        scores, pooled = self.head.step(embedding, state, clock)
        return scores, rows(self.head.vector(embedding)), after | pooled

    @property
    def receptive_field(self) -> float:
        """Frames of the past that a score depends on, its own among them; infinite for recurrent layers."""
        return 1 + self.head.after.past

    @property
    def chunk(self) -> int:
        """Smallest number of frames that a step may take."""
        return chunk(self.body, self.head)

    @property
    def clocked(self) -> bool:
        """Whether a step reads the clock."""
        return clocked(self.body, self.head)


def plan(body: StreamLayer, head: Head, bands: int) -> Timeline:
    """Bind body and head; the head's states are named ``head``."""
    bind(body, bands)
    for path, module in head.named_modules():
        if isinstance(module, StreamLayer):
            module.path = f"head.{path}".rstrip(".")
    return head.bind(body.after)


def stream(network: Network, features: Tensor, size: int, silence: float = 0.0) -> tuple[Scores, State]:
    """Scores of a whole clip ``[B, T, F]`` in steps of `size` frames, and the last state: what a runtime does.

    At the end the clock is told how long the clip is, and frames of `silence` are fed until the last score has come.
    """
    at, total = network.head.timeline, features.shape[1]
    wanted = total // at.grain * (at.grain // at.rate)
    steps = max(1, -(-(wanted + at.delay) * at.rate // size))
    padded = functional.pad(features, (0, 0, 0, max(0, steps * size - total)), value=silence)
    state, frames, clips = network.init_state(features.shape[0]), [], []
    for first in range(0, steps * size, size):
        scores, _, state = network.step(padded[:, first : first + size], state, Clock.at(first, total))
        frames.append(scores.frame)
        clips.append(scores.clip)
    kept = slice(at.delay, at.delay + wanted)
    clip = None if clips[0] is None else torch.cat(clips, 1)[:, kept]
    return Scores(torch.cat(frames, 1)[:, kept], clip), state
