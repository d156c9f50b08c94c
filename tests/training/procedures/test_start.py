"""Fine-tuning: what is taken over from an earlier run, and what stays as it is."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edge.errors import ConfigError
from training.batch import Batch
from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import Head
from training.layers.network import Network
from training.layers.streaming import Sequential
from training.losses import LOSSES
from training.procedures import PROCEDURES, Job
from training.procedures.start import freeze, take_over


def network(classes=2):
    body = Sequential(Sequential(Conv((1, 4), (3, 8), collapse=True), Dropout(0.5)), Conv((4, 4)))
    return Network(body, Head(nn.Linear(4, classes)), 8)


def same(a, b):
    return [name for name, value in a.state_dict().items() if torch.equal(value, b.state_dict()[name])]


def test_what_fits_by_name_and_shape_is_taken_over(tmp_path):
    before, after = network(), network(3)
    save_file(before.state_dict(), tmp_path / "weights.safetensors")
    taken = take_over(after, tmp_path)
    assert taken == len([name for name in before.state_dict() if name.startswith("body")])
    assert all(torch.equal(before.state_dict()[n], v) for n, v in after.state_dict().items() if n.startswith("body"))
    assert after.head.classify.out_features == 3


def test_a_run_that_is_none_or_of_another_network_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"procedure\.start: expected a run with weights\.safetensors at .*nowhere"):
        take_over(network(), tmp_path / "nowhere")
    save_file({"other": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match=r"expected weights of this network in .*, got none that fit"):
        take_over(network(), tmp_path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["boby"], r"expected modules of the network \(body, .*got 'boby'"),
        (["body", "head"], "expected something to learn, got a network that is frozen as a whole"),
    ],
)
def test_a_part_that_is_none_or_all_cannot_be_frozen(parts, message):
    with pytest.raises(ConfigError, match=message):
        freeze(network(), parts)


def test_a_frozen_extractor_keeps_weights_and_statistics_and_the_rest_learns(tmp_path):
    torch.manual_seed(0)
    start, learnt = network(), network()
    save_file(start.state_dict(), tmp_path / "weights.safetensors")
    settings = {"kind": "fit", "steps": 3, "batch": 4, "warmup": 1, "averaging": "last", "decay": 0.1}
    settings |= {"start": str(tmp_path), "freeze": ["body.layers.0"]}

    def draw(size, step):
        generator = torch.Generator().manual_seed(step)
        return Batch(torch.randn(size, 12, 8, generator=generator), None, torch.tensor([[1.0, 0.0]] * size))

    loss = LOSSES.build(LOSSES.parse({"kind": "frame-clip"}), 2)
    fitted = PROCEDURES.build(PROCEDURES.parse(settings))(Job(learnt, draw, loss, tmp_path / "checkpoint.safetensors"))
    kept = [name for name, value in start.state_dict().items() if torch.equal(value, fitted.weights[name])]
    assert {name for name in kept if name.startswith("body.layers.0")} == {
        name for name in start.state_dict() if name.startswith("body.layers.0")
    }
    assert not any(name.endswith("weight") for name in kept if not name.startswith("body.layers.0"))
