"""The fit loop: AdamW, a cosine schedule with warm-up, weight averaging, batches drawn ahead in a thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from training.procedures import checkpoint
from training.procedures.averaging import Averaged

Batch = tuple[Tensor, Tensor]
Report = Callable[[int, float, float], None]
SAVE_EVERY = 100


class FitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long and how fast to learn.

    Attributes
    ----------
    steps, batch
        Optimiser steps and scenes per step.
    rate, warmup, decay
        Highest learning rate, steps until it is reached, weight decay.
    average
        Decay of the moving average of weights; the averaged weights are the result.
    clip_weight, smoothing
        Of the loss.
    """

    steps: int = 1500
    batch: int = 32
    rate: float = 4e-3
    warmup: int = 100
    decay: float = 2e-3
    average: float = 0.995
    clip_weight: float = 0.5
    smoothing: float = 0.01


def fit(
    model: nn.Module,
    draw: Callable[[int], Batch],
    loss: Callable[[Tensor, Tensor], Tensor],
    settings: FitSettings,
    resume: Path,
    report: Report = lambda *_: None,
    until: int | None = None,
) -> tuple[dict[str, Tensor], list[float]]:
    """Train and return the averaged weights and the loss of every step.

    Parameters
    ----------
    draw
        Batch of a step; a pure function of the step, so that a resumed training sees what it would have seen.
    loss
        Of logits and targets.
    resume
        Checkpoint, read where it exists and written every 100 steps.
    report
        Called with step, loss and seconds since the start, every 50 steps.
    until
        Stop early at this step and leave the checkpoint (for tests and interrupted work).
    """
    optimizer = torch.optim.AdamW(_groups(model, settings.decay), lr=settings.rate)
    average = Averaged(model, settings.average)
    curve = checkpoint.load(resume, model, optimizer, average) if resume.exists() else []
    last = min(until or settings.steps, settings.steps)
    began = time.monotonic()
    model.train()
    for step, (features, targets) in _ahead(draw, len(curve), last):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * schedule(step, settings.warmup, settings.steps)
        value = loss(model(features), targets)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        average.update(model)
        curve.append(float(value.detach()))
        if step % 50 == 0 or step == last - 1:
            report(step, curve[-1], time.monotonic() - began)
        if (step + 1) % SAVE_EVERY == 0 or step == last - 1:
            checkpoint.save(resume, model, optimizer, average, curve)
    return average.state_dict(), curve


def schedule(step: int, warmup: int, steps: int) -> float:
    """Share of the highest learning rate: linear to 1 over `warmup`, then half a cosine down to 0 at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def _groups(model: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only, not for norms and biases."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _ahead(draw: Callable[[int], Batch], first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """Draw the next batch in one thread (the front end holds no GIL) while this one is learnt."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(draw, first) if first < last else None
        for step in range(first, last):
            ready = future.result()
            future = pool.submit(draw, step + 1) if step + 1 < last else None
            yield step, ready
