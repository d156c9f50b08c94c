"""What the recipes cost and can do, before anything is trained: ``wheatear recipes``."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training import recipe as recipes
from training import run
from training.layers import table
from training.layers.network import Network
from training.layers.table import Row
from training.recipe import Recipe

SECONDS = 4.0  # of sound, for the cost of networks that do not stream


@dataclass(frozen=True)
class Entry:
    """One recipe.

    Attributes
    ----------
    parameters
        All that is learnt.
    cost
        Million multiply-adds per second of sound.
    streams
        Whether it runs with carried state; `why` says why not.
    lookahead
        Seconds; NaN where it does not stream.
    layers
        The table of layers, where it streams.
    """

    name: str
    description: str
    source: str
    parameters: int
    cost: float
    streams: bool
    lookahead: float
    why: str = ""
    layers: list[Row] = field(default_factory=list)


def entries() -> list[Entry]:
    """All recipes that ship."""
    return [entry(recipes.load(name)) for name in recipes.built_in()]


def entry(recipe: Recipe, classes: int = 10) -> Entry:
    """Build a recipe's network and look at it.

    Parameters
    ----------
    classes
        Of the last layer; the data set says how many when it is trained.
    """
    with torch.device("meta"):  # sizes only: 72 million weights are not made to be counted
        network = run.network(recipe, classes).eval()
    size = sum(p.numel() for p in network.parameters())
    frame_rate = recipe.frontend.rate / recipe.frontend.hop
    head = (recipe.name, recipe.description, recipe.source, size)
    try:
        if not isinstance(network, Network):
            raise ValueError("its layers carry no state; it runs on windows")
        at = network.bind()
    except ValueError as error:
        return Entry(*head, _dense_cost(network, recipe), False, float("nan"), str(error))
    shapes = {name: list(value.shape) for name, value in network.init_state().items()}
    rows = table.layers(network.body, network.head, shapes, frame_rate)
    cost = sum(row.cost for row in rows) / 1e6
    return Entry(*head, cost, True, at.ahead / frame_rate, "", rows)


@torch.no_grad()
def _dense_cost(network: nn.Module, recipe: Recipe) -> float:
    """Million multiply-adds per second of a network that sees `SECONDS` at once."""
    spec = recipe.frontend
    frames = int(SECONDS * spec.rate / spec.hop)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, frames, spec.count, device="meta"))
    return counter.get_total_flops() / 2 / SECONDS / 1e6
