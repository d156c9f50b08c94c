"""The fit loop: optimisers, learning rates that fall, averaged weights, early stopping, batches drawn ahead.

rate   ╱‾╲          one cycle
      ╱    ‾╲__
rate   ╱‾╲  |‾╲  |‾╲      three cycles: a snapshot at the end of each, and the mean of the last ones is the result
      ╱    ╲_|  ╲_|  ╲_
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn

from training.batch import Batch
from training.procedures import checkpoint
from training.procedures.averaging import Averaged
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.procedures.start import freeze, take_over
from training.registry import Settings

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
WATCH_EVERY, SAVE_EVERY = 10, 100
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "rmsprop": partial(torch.optim.RMSprop, alpha=0.9),
}


class FitSettings(Settings):
    """How long and how fast to learn.

    Attributes
    ----------
    steps, batch
        Optimiser steps and examples per step (of all processes together).
    optimizer
        ``adamw``; ``adam``, whose weight decay is part of the gradient; ``sgd`` with a momentum of 0.9,
        ``nesterov`` with Nesterov's; ``rmsprop`` with a memory of 0.9.
    rate, warmup, decay, betas
        Highest learning rate, steps until it is reached, weight decay, memories of Adam.
    cycles
        Cosines from the highest rate to 0.
    drop_every
        Instead of cosines, the rate is divided by 10 every so many steps; 0 for cosines.
    averaging, average
        ``ema``: the moving average of weights with this decay is the result; ``snapshots``: the mean of the weights
        at the ends of the last `snapshots` cycles; ``last``: the last weights.
    validate_every, patience
        Steps between looks at the inner split, 0 for none; looks without progress until the training stops, 0 for
        never. With looks, the best-looking averaged weights are the result.
    clip
        Largest norm of a step's gradient.
    start, freeze
        Run whose weights it begins with, and modules that stay as they are; see `training.procedures.start`.
    """

    steps: Positive = 1500
    batch: Positive = 32
    optimizer: Literal["adamw", "adam", "sgd", "nesterov", "rmsprop"] = "adamw"
    rate: Annotated[float, Meta(gt=0)] = 4e-3
    warmup: Count = 100
    decay: Annotated[float, Meta(ge=0)] = 2e-3
    cycles: Positive = 1
    drop_every: Count = 0
    averaging: Literal["ema", "snapshots", "last"] = "ema"
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.995
    snapshots: Positive = 3
    validate_every: Count = 0
    patience: Count = 0
    clip: Annotated[float, Meta(gt=0)] = 5.0
    betas: tuple[float, float] = (0.9, 0.999)
    start: str = ""
    freeze: tuple[str, ...] = ()


@PROCEDURES.register("fit", FitSettings)
def fit(settings: FitSettings) -> Procedure:
    """Return the procedure that minimises the job's loss.

    Raises
    ------
    ValueError
        Validation is asked for, and nothing is held back.
    """
    return lambda job: _Fit(settings, job).run()


@dataclass
class Best:
    """The best look at the inner split so far."""

    score: float = -math.inf
    step: int = -1
    weights: dict[str, Tensor] | None = None


class _Fit:
    def __init__(self, settings: FitSettings, job: Job) -> None:
        if settings.validate_every and job.validate is None:
            raise ValueError("procedure: `validate_every` asks for an inner split; set `inner` in the recipe")
        self.settings, self.job = settings, job
        if settings.start:
            take_over(job.model, Path(settings.start))
        self.frozen = freeze(job.model, settings.freeze)
        self.model = job.compute.spread(job.model)
        memories = {"betas": settings.betas} if settings.optimizer.startswith("adam") else {}
        self.optimizer = OPTIMIZERS[settings.optimizer](groups(job.model, settings.decay), lr=settings.rate, **memories)
        self.scaler = job.compute.scaler()
        self.average = Averaged(job.model, settings.average if settings.averaging == "ema" else 0.0)
        self.best = Best()
        self.curve: list[float] = []

    def run(self) -> Fitted:
        """Train to the end, or until patience is out."""
        s, job = self.settings, self.job
        if job.checkpoint.exists():
            self.curve = checkpoint.load(job.checkpoint, job.model, self.optimizer, self.average, self.best)
        last = 0 if self._out_of_patience() else min(job.until or s.steps, s.steps)  # killed behind its last step
        self.model.train()
        for module in self.frozen:
            module.eval()
        for step, batch in ahead(lambda step: job.draw(s.batch, step), len(self.curve), last):
            self._learn(step, batch.to(job.compute.device))
            done = step + 1
            looked = bool(s.validate_every) and (done % s.validate_every == 0 or done == s.steps)
            if looked:
                self._look(done)
            if job.compute.leads and (done % SAVE_EVERY == 0 or done == last or looked):
                checkpoint.save(job.checkpoint, job.model, self.optimizer, self.average, self.curve, self.best)
            if looked and self._out_of_patience():
                break
        return Fitted(self.best.weights or self.average.state_dict(), self.curve, self._figures())

    def _learn(self, step: int, batch: Batch) -> None:
        s, job = self.settings, self.job
        share = drops(step, s.warmup, s.drop_every) if s.drop_every else schedule(step, s.warmup, s.steps, s.cycles)
        rate = s.rate * share
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with job.compute.precision():
            scores = self.model(batch.features)
        value = job.loss(type(scores)(*(None if t is None else t.float() for t in scores)), batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(job.model.parameters(), s.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._take(step)
        self.curve.append(float(value.detach()))
        if step % WATCH_EVERY == 0 or step + 1 == s.steps:
            job.watch(step, {"loss": self.curve[-1], "rate": rate})

    def _take(self, step: int) -> None:
        """Average as the settings say."""
        s = self.settings
        if s.averaging != "snapshots":
            self.average.update(self.job.model)
            return
        if step + 1 in ends(s.warmup, s.steps, s.cycles)[-s.snapshots :]:
            self.average.snapshot(self.job.model)

    def _look(self, done: int) -> None:
        """Validate the averaged weights."""
        model = copy.deepcopy(self.job.model)
        if self.average.count:
            model.load_state_dict(self.average.state_dict())
        figures = self.job.validate(model.eval()) if self.job.validate else {}
        score = next(iter(figures.values()))
        if score > self.best.score:
            self.best = Best(score, done, {k: v.detach().clone() for k, v in model.state_dict().items()})
        self.job.watch(done, {f"inner {name}": value for name, value in figures.items()})

    def _out_of_patience(self) -> bool:
        s, since = self.settings, len(self.curve) - max(self.best.step, 0)
        return bool(s.patience and s.validate_every and self.curve) and since >= s.patience * s.validate_every

    def _figures(self) -> dict[str, float]:
        return {"inner": self.best.score, "best_step": self.best.step} if self.best.weights else {}


def schedule(step: int, warmup: int, steps: int, cycles: int = 1) -> float:
    """Share of the highest learning rate: linear to 1 over `warmup`, then `cycles` half cosines down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    place = cycles * (step - warmup) / max(steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * (place % 1 if place < cycles else 1.0)))


def drops(step: int, warmup: int, every: int) -> float:
    """Share of the highest learning rate: linear to 1 over `warmup`, and a tenth of it every `every` steps."""
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.1 ** (step // every)


def ends(warmup: int, steps: int, cycles: int) -> list[int]:
    """Steps done when each cycle of the schedule is over."""
    return [warmup + round((steps - warmup) * k / cycles) for k in range(1, cycles + 1)]


def groups(model: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only, not for norms and biases."""
    learnt = [p for p in model.parameters() if p.requires_grad]
    kernels = [p for p in learnt if p.ndim > 1]
    others = [p for p in learnt if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def ahead(draw: Callable[[int], Batch], first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """Draw the next batch in one thread (the front end holds no GIL) while this one is learnt."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(draw, first) if first < last else None
        for step in range(first, last):
            ready = future.result()
            future = pool.submit(draw, step + 1) if step + 1 < last else None
            yield step, ready
