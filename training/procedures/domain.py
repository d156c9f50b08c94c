"""A trained network for a new microphone or place, of which there are recordings and no labels (card 27).

labelled    ──▶ extractor as it was (frozen) ──▶ embeddings ─┐
            └─▶ extractor ──▶ head (frozen) ──▶ loss         ├─▶ discriminator: which of the two?
unlabelled  ──▶ extractor ──▶ embeddings ────────────────────┘

The extractor learns to make of the new sound what it made of the old one, as far as a discriminator can tell. That
alone would let it forget what sounds are; the labelled recordings go on to be asked through it, and `anchor` weighs
that. The network that comes out is as large as before; where it understands the old sound less well than it may
(`training.procedures.guard`), it is the one of before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from edge.errors import ConfigError
from training.batch import Batch
from training.layers.heads import Scores, rows
from training.layers.network import Network
from training.losses.domains import coral, discriminate, fool, reverse, told_apart
from training.procedures import checkpoint, guard
from training.procedures.averaging import Averaged
from training.procedures.fit import SAVE_EVERY, WATCH_EVERY, ahead
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.start import take_over
from training.registry import Settings

Positive = Annotated[int, Meta(ge=1)]
Weight = Annotated[float, Meta(ge=0)]
LAST = 50  # steps that the figures are the mean of


class DomainSettings(Settings):
    """How the extractor is led over.

    Attributes
    ----------
    start
        The run of the network, trained on the labelled recordings.
    steps, batch, rate
        Steps, examples of each, and Adam's rate. The sampling's `unlabelled` says which share is of the new domain
        (the card: 6 of 16).
    scheme
        ``gan``: the card's, a discriminator and an extractor in turn, against the extractor as it was; ``reversal``:
        both at once through a reversed gradient; ``coral``: covariances, without a discriminator.
    weight
        Of what makes the domains alike.
    anchor
        Of the recipe's loss on the labelled recordings.
    every
        With ``gan`` the discriminator learns at every so many steps.
    hidden
        Width of the discriminator, two layers on the mean embedding of a clip.
    fall
        The most by which accuracy (or mAP) on the labelled recordings that `inner` holds back may fall, 0.01 being a
        point; beyond that the network of `start` is the result, and the run's metrics say ``adapted = 0``. With 1
        nothing is refused.
    """

    start: str
    steps: Positive = 1000
    batch: Positive = 16
    rate: Annotated[float, Meta(gt=0)] = 1e-4
    scheme: Literal["gan", "reversal", "coral"] = "gan"
    weight: Weight = 1.0
    anchor: Weight = 10.0
    every: Positive = 10
    hidden: Positive = 64
    fall: Annotated[float, Meta(ge=0, le=1)] = 0.01


@PROCEDURES.register("domain", DomainSettings)
def domain(settings: DomainSettings) -> Procedure:
    """Return the procedure that adapts a trained network to unlabelled recordings.

    Raises
    ------
    ConfigError
        `start` is no run of this network, or the network has no body and head, or several processes share the work.
    ValueError
        Batches hold no unlabelled recordings, or nothing else; or no labelled ones are held back, by which `fall` is
        seen.
    """
    return lambda job: _Domain(settings, job).run()


@dataclass
class _Told:
    """Losses and judgements of a step."""

    total: Tensor
    source: Tensor
    target: Tensor


class _Domain:
    def __init__(self, settings: DomainSettings, job: Job) -> None:
        self.settings, self.job = settings, job
        guard.check(job, settings.fall, Path(settings.start))
        self.model = _begun(settings, job)
        self.model.to(job.compute.device)
        self.before = copy.deepcopy(self.model).eval().requires_grad_(requires_grad=False)
        self.model.head.requires_grad_(requires_grad=False)
        self.judge = nn.Sequential(
            nn.Linear(self.model.head.published, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 1)
        ).to(job.compute.device)
        self.both = nn.ModuleDict({"model": self.model, "judge": self.judge})
        self.optimizer = torch.optim.Adam([p for p in self.both.parameters() if p.requires_grad], lr=settings.rate)
        self.last = Averaged(self.model, 0.0)
        self.curve: list[float] = []
        self.judged: list[float] = []

    def run(self) -> Fitted:
        """Adapt to the end."""
        s, job = self.settings, self.job
        if job.checkpoint.exists():
            self.curve = checkpoint.load(job.checkpoint, self.both, self.optimizer, self.last)
        last = min(job.until or s.steps, s.steps)
        self.model.body.train()
        self.model.head.eval()
        for step, batch in ahead(lambda step: job.draw(s.batch, step), len(self.curve), last):
            self._learn(step, batch.to(job.compute.device))
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == last:
                checkpoint.save(job.checkpoint, self.both, self.optimizer, self.last, self.curve)
        figures = {} if s.scheme == "coral" or not self.judged else {"told_apart": float(np.mean(self.judged[-LAST:]))}
        if last < s.steps:
            return Fitted(self.model.state_dict(), self.curve, figures)
        kept = guard.guarded(job, self.before, self.model.eval(), s.fall)
        return Fitted(kept.model.state_dict(), self.curve, figures | kept.figures)

    def _learn(self, step: int, batch: Batch) -> None:
        known = _known(batch)
        told = self._told(batch, known)
        self.optimizer.zero_grad(set_to_none=True)
        told.total.backward()
        if self.settings.scheme == "gan":
            self.judge.zero_grad(set_to_none=True)  # what fools it must not teach it
            if step % self.settings.every == 0:
                discriminate(told.source, told.target).backward()
        self.optimizer.step()
        self.curve.append(float(told.total.detach()))
        if self.settings.scheme != "coral":
            self.judged.append(told_apart(told.source, told.target))
        if step % WATCH_EVERY == 0 or step + 1 == self.settings.steps:
            self.job.watch(step, {"loss": self.curve[-1]} | ({"told apart": self.judged[-1]} if self.judged else {}))

    def _told(self, batch: Batch, known: Tensor) -> _Told:
        """Loss of the extractor; logits by which the discriminator learns, behind no extractor in ``gan``."""
        s = self.settings
        with self.job.compute.precision():
            inside = self.model.body(batch.features.unsqueeze(1))  # both domains in one batch, as their norms see them
        inside = inside.float()
        scores = self.model.head(inside)
        labelled = Scores(*(None if t is None else t[known] for t in scores))
        anchor = s.anchor * self.job.loss(labelled, Batch(*(None if t is None else t[known] for t in batch)))
        vectors = rows(self.model.head.vector(inside)).mean(1)
        old, new = vectors[known], vectors[~known]
        if s.scheme == "coral":
            return _Told(anchor + s.weight * coral(old, new), old, new)
        if s.scheme == "reversal":
            source, target = self._judged(reverse(old, s.weight)), self._judged(reverse(new, s.weight))
            return _Told(anchor + discriminate(source, target), source, target)
        with torch.no_grad(), self.job.compute.precision():
            was = self.before.embed(batch.features[known]).float().mean(1)
        total = anchor + s.weight * fool(self._judged(new))
        return _Told(total, self._judged(was), self._judged(new.detach()))

    def _judged(self, vectors: Tensor) -> Tensor:
        logits: Tensor = self.judge(vectors)
        return logits[:, 0]


def _begun(settings: DomainSettings, job: Job) -> Network:
    """Return the network with the weights of the run that it begins with."""
    model = job.model
    if not isinstance(model, Network):
        raise ConfigError(f"procedure: `domain` expects a network that streams, got a {type(model).__name__}")
    if job.compute.world > 1:
        raise ConfigError(f"procedure: `domain` expects one process, got {job.compute.world}; run it without torchrun")
    taken, wanted = take_over(model, Path(settings.start)), len(model.state_dict())
    if taken != wanted:
        raise ConfigError(
            f"procedure.start: expected all {wanted} weights of this network in {settings.start}, got {taken}; it must "
            "have been trained on the same classes"
        )
    return model


def _known(batch: Batch) -> Tensor:
    """Whether an example is labelled, bool ``[B]``."""
    targets = batch.clip if batch.clip is not None else None if batch.frame is None else batch.frame.flatten(1)
    if targets is None:
        raise ValueError("procedure: `domain` expects labelled recordings in each batch, got none")
    known = (targets >= 0).any(1)
    if min(int(known.sum()), int((~known).sum())) < 2:
        raise ValueError(
            f"procedure: `domain` expects labelled and unlabelled recordings in each batch, got {int(known.sum())} and "
            f"{int((~known).sum())}; set sampling.unlabelled, and a data set with recordings of the new domain"
        )
    return known
