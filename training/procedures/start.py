"""Where a training begins: weights of an earlier one, and what of the network stays as it is (cards C and 04).

pre-train          start = ""                                    the whole network learns
fine-tune          start = "runs/pre"                            another head: what fits by name and shape is taken over
head on embedding  start = "runs/fine", freeze = ["body"]        only the head learns
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from edge.errors import ConfigError

WEIGHTS = "weights.safetensors"


def take_over(model: nn.Module, source: Path) -> int:
    """Load the weights of a run that fit by name and shape; returns how many tensors did.

    Raises
    ------
    ConfigError
        There is no such run, or nothing of it fits.
    """
    path = source / WEIGHTS if source.is_dir() else source
    if not path.is_file():
        raise ConfigError(f"procedure.start: expected a run with {WEIGHTS} at {source}, got nothing there")
    own = model.state_dict()
    fitting = {k: v for k, v in load_file(path).items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ConfigError(f"procedure.start: expected weights of this network in {path}, got none that fit")
    model.load_state_dict(fitting, strict=False)
    return len(fitting)


def freeze(model: nn.Module, parts: Sequence[str]) -> list[nn.Module]:
    """Stop modules, by their paths, from learning; returns them, for they must stay in evaluation mode.

    Raises
    ------
    ConfigError
        There is no such module, or nothing is left that learns.
    """
    named = dict(model.named_modules())
    unknown = [part for part in parts if part not in named]
    if unknown:
        known = ", ".join(name for name in named if name and name.count(".") < 2)
        raise ConfigError(f"procedure.freeze: expected modules of the network ({known} …), got {unknown[0]!r}")
    frozen = [named[part] for part in parts]
    for module in frozen:
        module.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError("procedure.freeze: expected something to learn, got a network that is frozen as a whole")
    return frozen
