"""What can be measured: the network of a run, in float and offline, and every file of a model folder, as deployed.

Both are asked the same way: samples in, the scores of the whole recording out, on their own grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from edge.errors import ConfigError
from edge.inference import store
from edge.inference.card import Card, Decode
from training.data.dataset import Dataset, Item
from training.evaluation import deployed

if TYPE_CHECKING:
    from training.run import Run

Float32 = npt.NDArray[np.float32]
Scorer = Callable[[Float32], ScoreBlock]
Over = Literal["last", "mean", "max"]


@dataclass(frozen=True)
class Target:
    """One network, in one form.

    Attributes
    ----------
    name
        Of the run's folder, or of the model and its file.
    form
        ``float network``, or ``deployed`` with the file: ``deployed onnx int8``.
    labels, rate
        Class names in the order of the scores; samples per second of what it hears.
    rules
        Decision rules: the card's, or the recipe's.
    scorer
        Scores of a recording float32 ``[N]``; ``clip`` holds running clip scores where the network pools.
    held_out
        The fold that its training held out, or None.
    learnt_from
        Whether an item of the set in a folder was seen in training, or served for choosing.
    inner
        Names of the items that training held back for choosing.
    source
        Folder and format of the labelled data, as a recipe's table.
    background
        The same of recordings without any of its classes; None where none are known.
    """

    name: str
    form: str
    labels: tuple[str, ...]
    rate: int
    rules: Decode
    scorer: Scorer
    held_out: int | None
    learnt_from: Callable[[str, Item], bool]
    source: dict[str, object] | None
    background: dict[str, object] | None
    inner: frozenset[str] = frozenset()

    def unseen(self, dataset: Dataset, folder: str) -> Dataset:
        """Return the items of a set, which lies in `folder` below the data folder, that training never saw."""
        return dataset.where(lambda item: not self.learnt_from(folder, item))

    def with_rules(self, rules: Decode) -> Target:
        """Return the target with other decision rules."""
        return replace(self, rules=rules)


def is_model(folder: Path) -> bool:
    """Whether a folder is a model's; else it may be a run's."""
    return (folder / "card.toml").exists()


def load(folder: Path) -> list[Target]:
    """Load a run folder (one target) or a model folder (a target per file).

    Raises
    ------
    ConfigError
        It is neither.
    """
    if is_model(folder):
        return of_model(folder)
    if not (folder / "recipe.toml").exists():
        raise ConfigError(f"{folder}: expected a run (recipe.toml) or a model folder (card.toml), got neither")
    from training import run as runs  # brings torch, which a model folder does not need

    return [of_run(runs.read(folder), folder.name)]


def load_one(folder: Path) -> Target:
    """Load a run, or of a model the file that a device takes unless told otherwise: float, by LiteRT if there is one.

    Raises
    ------
    ConfigError
        It is neither.
    """
    loaded = load(folder)
    return next((t for t in loaded if t.form == "deployed tflite"), loaded[0])


def of_run(run: Run, name: str) -> Target:
    """Return the network of a run."""
    recipe = run.recipe
    seen = {
        recipe.data.folder: {*run.splits["train"], *run.splits.get("inner", ())},
        **({recipe.background.folder: set(run.splits.get("background", ()))} if recipe.background else {}),
    }
    return Target(
        name=name,
        form="float network",
        labels=run.labels,
        rate=recipe.frontend.rate,
        rules=recipe.decode,
        scorer=_offline(run),
        held_out=run.splits.get("held_out"),
        learnt_from=lambda folder, item: item.name in seen.get(folder, ()),
        source=recipe.data.table(),
        background=recipe.background.table() if recipe.background else None,
        inner=frozenset(run.splits.get("inner", ())),
    )


def of_model(folder: Path) -> list[Target]:
    """Return every file of a model folder, through the front end, the engine and the scorer of the device."""
    card = store.load_card(folder)
    data = [d for d in card.data if d]
    return [
        Target(
            name=f"{folder.name} {file}",
            form=f"deployed {file}",
            labels=tuple(model.labels),
            rate=card.input.rate,
            rules=card.decode,
            scorer=deployed.of_model(model),
            held_out=None,
            learnt_from=_of_card(card),
            source=known(data[0]) if data else None,
            background=known(data[1]) if len(data) > 1 else None,
        )
        for file, model in deployed.load(folder)
    ]


def known(name: str) -> dict[str, object] | None:
    """Return the table of a data set that is known by its folder's name; None where it is not."""
    from training.data import sets

    return {"folder": name, **sets.table(name)} if name in sets.names() else None


def _of_card(card: Card) -> Callable[[str, Item], bool]:
    """What a card says of its training: folders, the folds of the first one, the ``train`` part of all."""
    folds = {int(k) for k in str(card.metrics.get("trained_on_folds", "")).split("+") if k.isdigit()}

    def learnt_from(folder: str, item: Item) -> bool:
        if folder not in card.data or item.split == "test":
            return False
        return item.fold is None or not folds or item.fold in folds

    return learnt_from


def _offline(run: Run) -> Scorer:
    from edge.frontend.stream import FrontEnd
    from training.evaluation.scoring import scored

    spec = run.recipe.frontend
    front_end = FrontEnd(spec)
    rate = frames_per_score(run)

    def scores(samples: Float32) -> ScoreBlock:
        found = scored(run.model, front_end, samples)
        hop = len(samples) if len(found.frame) == 1 else spec.hop * rate
        clip = found.clip[None] if found.running is None else found.running
        return ScoreBlock("recording", 0, hop, spec.rate, found.frame, hop, clip=clip)

    return scores


def frames_per_score(run: Run, frames: int = 1024) -> int:
    """Feature frames per score of a network, asked of it: its poolings over time say it nowhere else."""
    import torch

    with torch.no_grad():
        scores = run.model(torch.zeros(1, frames, run.recipe.frontend.count)).frame
    return frames // scores.shape[1]


def clip_scores(block: ScoreBlock, over: Over = "last") -> Float32:
    """Scores ``[C]`` of a whole recording.

    Parameters
    ----------
    over
        ``last``: what the network pooled in the end, or else linear softmax over its frames. ``mean``, ``max``: of all
        windows that it pooled, or else of all frames; for windows that are shorter than the recording (card 28).
    """
    from training.metrics.clips import clip_score

    if over != "last":
        rows = block.scores if block.clip is None else block.clip
        return np.asarray(rows.max(axis=0) if over == "max" else rows.mean(axis=0), np.float32)
    return block.clip[-1].copy() if block.clip is not None and len(block.clip) else clip_score(block.scores)


def same_labels(targets: Sequence[Target]) -> tuple[str, ...]:
    """Return the labels that all targets share.

    Raises
    ------
    ConfigError
        They differ.
    """
    labels = targets[0].labels
    other = next((t for t in targets if t.labels != labels), None)
    if other:
        raise ConfigError(
            f"expected the same classes of all, got {', '.join(labels)} of {targets[0].name} and "
            f"{', '.join(other.labels)} of {other.name}; evaluate them one by one"
        )
    return labels
