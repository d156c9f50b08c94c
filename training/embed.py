"""Recordings to files of embeddings, as AudioSet has them: extract once, then train what listens as often as you like.

out/
  class_labels_indices.csv     the classes
  fold1/00.tfrecord …          a folder per official fold; else per official part, or ``train``
  weights.safetensors          the extractor, with the whitening in its last layer: `procedure.start` for what listens
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from edge.errors import ConfigError
from edge.frontend.stream import FrontEnd
from training.data.dataset import Dataset, Item
from training.data.embeddings import WIDTH, Embedding, quantise, write
from training.data.whiten import Whitening
from training.layers.conv import Conv
from training.layers.norm import affine
from training.layers.streaming import StreamLayer
from training.models.sequence import SequenceNetwork
from training.run import Run

Float32 = npt.NDArray[np.float32]
EXTRACTOR = "body.layers.0"


def embed(run: Run, dataset: Dataset, out: Path, tell: Callable[[int, int], None] = lambda *_: None) -> dict[str, int]:
    """Write the embeddings of a set, whitened and in 8 bits; returns how many recordings each part has.

    The whitening is measured on the recordings that the run has learnt from, of all where there are none among these.

    Raises
    ------
    ConfigError
        The network has no extractor of 128 numbers that ends in a linear layer.
    """
    model = run.model
    if not isinstance(model, SequenceNetwork):
        raise ConfigError(f"embed: expected a network of an extractor and what listens, got {type(model).__name__}")
    last = last_layer(model.body.layers[0])
    rows = [_rows(run, item, tell, k, len(dataset)) for k, item in enumerate(dataset.items)]
    learnt = [x for x, item in zip(rows, dataset.items, strict=True) if item.name in run.splits["train"]]
    whitening = Whitening.fit(np.concatenate(learnt or rows))
    parts = defaultdict(list)
    for item, values in zip(dataset.items, rows, strict=True):
        parts[part_of(item)].append(_embedding(item, quantise(whitening(values))))
    out.mkdir(parents=True, exist_ok=True)
    for part, found in parts.items():
        (out / part).mkdir(exist_ok=True)
        write(out / part / "00.tfrecord", found)
    with (out / "class_labels_indices.csv").open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle)
        table.writerows([("index", "mid", "display_name"), *((k, name, name) for k, name in enumerate(dataset.labels))])
    whiten(last, whitening)
    kept = {name: value for name, value in model.state_dict().items() if name.startswith(f"{EXTRACTOR}.")}
    save_file({name: value.contiguous() for name, value in kept.items()}, out / "weights.safetensors")
    return {part: len(found) for part, found in sorted(parts.items())}


def last_layer(extractor: StreamLayer) -> Conv:
    """The linear layer that gives the embedding.

    Raises
    ------
    ConfigError
        It gives another number of channels, or is not linear.
    """
    last = [module for module in extractor.modules() if isinstance(module, Conv)][-1]
    if last.activation != "none" or last.conv.out_channels != WIDTH:
        raise ConfigError(
            f"embed: expected an extractor whose last layer gives {WIDTH} numbers without an activation, got "
            f"{last.conv.out_channels} behind {last.activation}; VGGish needs `whiten` = true"
        )
    return last


@torch.no_grad()
def whiten(layer: Conv, whitening: Whitening) -> None:
    """Put a whitening into a linear layer, in place; it then gives what was whitened."""
    conv, norm = layer.conv, layer.norm
    matrix, mean = torch.from_numpy(whitening.matrix), torch.from_numpy(whitening.mean)
    normed = isinstance(norm, torch.nn.BatchNorm2d)
    scale, shift = affine(norm) if normed else (torch.ones(len(mean)), conv.bias)
    conv.weight.copy_(torch.einsum("ij,jckl->ickl", matrix * scale, conv.weight))
    bias = matrix @ (shift - mean)
    if not normed:
        conv.bias.copy_(bias)
        return
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)


def part_of(item: Item) -> str:
    """Folder that a recording's embeddings go to."""
    return f"fold{item.fold}" if item.fold is not None else item.split or "train"


@torch.no_grad()
def _rows(run: Run, item: Item, tell: Callable[[int, int], None], done: int, total: int) -> Float32:
    frames = FrontEnd(run.recipe.frontend).transform(item.samples(run.recipe.frontend.rate))
    missing = run.model.chunk - len(frames)
    if missing > 0 and len(frames):
        frames = np.concatenate([frames, np.repeat(frames[-1:], missing, 0)])
    tell(done + 1, total)
    y = run.model.body.layers[0](torch.from_numpy(frames)[None, None])
    return y[0, :, :, 0].T.numpy()


def _embedding(item: Item, frames: npt.NDArray[np.uint8]) -> Embedding:
    return Embedding(item.name, item.start, item.stop or 0.0, item.weak or (), frames)
