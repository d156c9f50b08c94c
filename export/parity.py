"""Do all files compute the same function? The network on a whole recording is the truth; steps and files follow it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.blocks import FeatureBlock
from edge.decode.decoder import Detection
from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from edge.inference.model import Model
from edge.inference.scorer import Scorer
from export.step import Float32, Step, StepFunction, Streamable, Streamed, Tensors, Window, stream
from training.metrics.events import detect

TOLERANCE = 1e-5
ROUNDINGS = 4.0  # of float32, that a state may differ by where they are more than that


@dataclass(frozen=True)
class Parity:
    """How far an implementation is from the network on whole recordings.

    Attributes
    ----------
    error, mean_error
        Largest and mean difference of scores.
    decisions
        Share of events that are the same within one frame.
    tensors
        Largest difference of every output, and of every state where the recordings end, as a share of the state's
        largest value where that is above 1.
    """

    error: float
    mean_error: float
    decisions: float
    tensors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """A long chained run against the network: does the error grow?

    Attributes
    ----------
    seconds
        Length.
    first, last
        Mean difference of scores in the first and the last tenth.
    error
        Largest difference.
    events, decisions, collar
        How many events the network hears, and which share of events is the same within one frame, and within 200 ms.
    """

    seconds: float
    first: float
    last: float
    error: float
    events: int
    decisions: float
    collar: float


class Proof:
    """Recordings ``[T, F]`` whose scores are known: from the network at once, and their states from its steps."""

    def __init__(
        self, model: Streamable, step: Step, recordings: Sequence[Float32], labels: Sequence[str], rules: Decode,
        spec: FrontEndSpec,
    ) -> None:  # fmt: skip
        self.step, self.recordings = step, recordings
        self._events = lambda scores: detect(scores, labels, rules, spec)
        self._hop, self._collar = spec.hop * step.timeline.rate, spec.rate // 5
        self._truth = [whole(model, frames) for frames in recordings]
        self._steps = [stream(step.run, step, frames) for frames in recordings]

    def of_steps(self) -> Parity:
        """Compare the network's own steps."""
        return self._compare(self._steps)

    def of(self, run: StepFunction) -> Parity:
        """Compare a file."""
        return self._compare([stream(run, self.step, frames) for frames in self.recordings])

    @cached_property
    def rounding(self) -> dict[str, float]:
        """How far float32 itself is from double precision, for each state as in `Parity.tensors`.

        Exponentials of attention turn a rounding of their argument into a share of their value.
        """
        double = copy.deepcopy(self.step).double()

        def run(feeds: Tensors) -> Tensors:
            return double.run({name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in feeds.items()})

        exact = [stream(run, self.step, frames) for frames in self.recordings]
        pairs = list(zip(self._steps, exact, strict=True))
        return {_next(name): max(_apart(a.state[name], b.state[name]) for a, b in pairs) for name in exact[0].state}

    def demand(self, found: Parity, name: str) -> None:
        """Raise ValueError as `demand` does; a state may be as far apart as float32 makes it."""
        beyond = any(error > TOLERANCE for tensor, error in found.tensors.items() if tensor.startswith("next."))
        demand(found, name, {k: ROUNDINGS * v for k, v in self.rounding.items()} if beyond else {})

    def drift(self, run: StepFunction, model: Streamable, frames: Float32, seconds: float) -> Drift:
        """Compare one long run."""
        got, truth = stream(run, self.step, frames).scores, whole(model, frames)["scores"]
        error, tenth = np.abs(got - truth), max(1, len(truth) // 10)
        heard, found = self._events(truth), self._events(got)
        return Drift(
            round(seconds, 1),
            float(error[:tenth].mean()),
            float(error[-tenth:].mean()),
            float(error.max()),
            len(heard),
            agreement(heard, found, self._hop),
            agreement(heard, found, self._collar),
        )

    def _compare(self, streamed: Sequence[Streamed]) -> Parity:
        tensors: dict[str, float] = {}
        errors, same = [], []
        for got, truth, steps in zip(streamed, self._truth, self._steps, strict=True):
            errors.append(np.abs(got.scores - truth["scores"]).ravel())
            same.append(agreement(self._events(truth["scores"]), self._events(got.scores), self._hop))
            found = {"scores": float(errors[-1].max())}
            if got.clip is not None:
                found["clip"] = float(np.abs(got.clip - truth["clip"]).max())
            for name, value in steps.state.items():
                found[_next(name)] = _apart(got.state[name], value)
            tensors = {name: max(value, tensors.get(name, 0.0)) for name, value in found.items()}
        joined = np.concatenate(errors)
        return Parity(float(joined.max()), float(joined.mean()), float(np.mean(same)), tensors)


@torch.no_grad()
def whole(model: Streamable, frames: Float32) -> dict[str, Float32]:
    """Scores, and clip scores where the head pools, ``[T, C]``, of a recording ``[T, F]`` at once."""
    scores = model.head.eval()(model.body.eval()(torch.from_numpy(frames)[None, None]))
    named = {"scores": scores.frame, "clip": scores.clip}
    return {name: value[0].numpy() for name, value in named.items() if value is not None}


def of_windows(graph: Window, run: StepFunction, recordings: Sequence[Float32]) -> Parity:
    """Compare a file that takes whole windows: one window of every recording."""
    tensors: dict[str, float] = {}
    errors = []
    for frames in recordings:
        feed = graph.feeds(frames[: graph.chunk], {})
        got, truth = run(feed), graph.run(feed)
        found = {name: float(np.abs(got[name] - truth[name]).max()) for name in graph.outputs if name != "embedding"}
        tensors = {name: max(value, tensors.get(name, 0.0)) for name, value in found.items()}
        errors.append(np.abs(got["scores"] - truth["scores"]).ravel())
    joined = np.concatenate(errors)
    return Parity(float(joined.max()), float(joined.mean()), float("nan"), tensors)


def through_a_gap(deployed: Model, model: Streamable, frames: Float32) -> float:
    """Largest difference of scores through the device's own scorer: a piece in ragged blocks, a gap, a second piece."""
    scorer, cut = deployed.stream(frames[-1]), len(frames) // 2
    lost, error = 7, 0.0
    for first, piece in ((0, frames[:cut]), (cut + lost, frames[cut + lost :])):
        scorer.reset("gap", first)
        skipped = -first % scorer.grid
        got, truth = _ragged(scorer, piece, first), whole(model, np.ascontiguousarray(piece[skipped:]))["scores"]
        error = max(error, float(np.abs(got - truth).max()) if len(got) == len(truth) else float("inf"))
    return error


def _ragged(scorer: Scorer, frames: Float32, first: int) -> Float32:
    """Scores of frames pushed in blocks of 1, 2, … 7, 1, 2 … frames."""
    card, scores, at, size = scorer.card, [], 0, 1
    hop = card.frontend.hop if card.frontend else 1
    while at < len(frames):
        block = FeatureBlock("gap", first + at, hop, card.input.rate, frames[at : at + size])
        scores.append(scorer.push(block).scores.copy())
        at, size = at + size, size % 7 + 1
    return np.concatenate([*scores, scorer.flush().scores])


def agreement(a: Sequence[Detection], b: Sequence[Detection], hop: int) -> float:
    """Share of events that are in both, onset and offset at most `hop` samples apart; 1 where neither hears any."""
    left, same = list(b), 0
    for event in a:
        for other in left:
            near = abs(event.onset - other.onset) <= hop and abs(event.offset - other.offset) <= hop
            if event.label == other.label and near:
                left.remove(other)
                same += 1
                break
    return same / max(len(a), len(b)) if a or b else 1.0


def demand(parity: Parity, name: str, allowed: Mapping[str, float] | None = None) -> None:
    """Raise ValueError where any difference exceeds 1e-5, or what is `allowed` for a state if that is more."""
    if not parity.error <= TOLERANCE:
        raise ValueError(f"{name}: expected the network's scores within {TOLERANCE:g}, got {parity.error:.2e} apart")
    for tensor, error in parity.tensors.items():
        bound = max(TOLERANCE, (allowed or {}).get(tensor, 0.0))
        if not error <= bound:
            raise ValueError(f"{name}: expected `{tensor}` within {bound:.2g} of the network's, got {error:.2e} apart")


def _next(name: str) -> str:
    return name.replace("past.", "next.")


def _apart(got: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Largest difference, as a share of the largest value where that is above 1."""
    return float(np.abs(got - truth).max() / max(1.0, np.abs(truth).max()))
