"""Resumable checkpoints as safetensors: numbers and names, no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training.procedures.averaging import Averaged


class Best(Protocol):
    """The best weights so far, by the inner split."""

    score: float
    step: int
    weights: dict[str, Tensor] | None


def save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Averaged,
    curve: list[float],
    best: Best | None = None,
) -> None:
    """Write everything that the next step depends on; the old file stays until the new one is whole."""
    tensors: dict[str, Tensor] = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.values.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    tensors["random"] = torch.get_rng_state()
    metadata = {"curve": json.dumps(curve), "averaged": str(average.count)}
    if best and best.weights:
        tensors |= {f"best/{k}": v for k, v in best.weights.items()}
        metadata["best"] = json.dumps([best.score, best.step])
    part = path.with_suffix(".part")
    save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, part, metadata=metadata)
    part.replace(path)


def load(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Averaged, best: Best | None = None
) -> list[float]:
    """Restore in place; returns the loss curve so far, whose length is the next step."""
    with safe_open(path, "pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - not a dict
        metadata = handle.metadata()
    model.load_state_dict(_below(tensors, "model/"))
    device = next(model.parameters()).device
    average.values = {name: value.to(device) for name, value in _below(tensors, "average/").items()}
    average.count = int(metadata["averaged"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, "optimizer/").items():
        index, slot = name.split("/", 1)
        state.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random"])
    if best is not None and "best" in metadata:
        best.score, best.step = json.loads(metadata["best"])
        best.weights = _below(tensors, "best/")
    return list(json.loads(metadata["curve"]))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
