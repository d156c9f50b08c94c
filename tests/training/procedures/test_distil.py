"""Distillation: the imitation's formula, that it is learnt, and that a killed training goes on to the same weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from edge.errors import ConfigError
from training.batch import Batch
from training.compute import Compute
from training.layers.heads import Scores
from training.models import MODELS
from training.procedures.distil import DistilSettings, distil, imitating, softened_entropy
from training.procedures.registry import Job

SETTINGS = DistilSettings(steps=30, teacher_steps=20, warmup=3, batch=16, rate=0.05, teacher_rate=0.05)


class Small(nn.Module):
    """Two probabilities from three features, by a hidden layer of some width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(3, width), nn.Linear(width, 2)

    def forward(self, x):
        y = torch.sigmoid(self.out(torch.relu(self.hidden(x[:, :1]))))
        return Scores(y, y)


def draw(size, step):
    x = torch.randn(size, 1, 3, generator=torch.Generator().manual_seed(step))
    return Batch(x, (x[..., :2] > 0).float())


def job(path, until=None):
    torch.manual_seed(0)

    def loss(scores, batch):
        return (scores.frame - batch.frame).square().mean()

    def build(table):
        torch.manual_seed(1)
        return Small(table.get("width", 12))

    return Job(Small(4), draw, loss, path / "checkpoint.safetensors", until=until, build=build)


def test_the_softened_entropy_of_two_classes_by_hand():
    """Logits 2, 0 shown and 0, 0 given: softened by 2 the shares are σ(1) and 1 − σ(1), each against ln 2, times 4."""
    shown, given = torch.sigmoid(torch.tensor([[2.0, 0.0]])), torch.tensor([[0.5, 0.5]])
    assert softened_entropy(given, shown, 2.0).item() == pytest.approx(4 * math.log(2), abs=1e-5)
    share = 1 / (1 + math.exp(-1))
    own = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    assert softened_entropy(shown, shown, 2.0).item() == pytest.approx(4 * own, abs=1e-4)


def test_no_scores_imitate_better_than_the_teacher_own():
    torch.manual_seed(2)
    teacher, batch = Small(12).eval(), draw(8, 0)
    both = imitating(lambda *_: torch.zeros(()), teacher, SETTINGS, Compute())
    shown = teacher(batch.features)
    best = both(shown, batch).item()
    for seed in range(5):
        moved = torch.logit(shown.frame) + 0.3 * torch.randn(
            shown.frame.shape, generator=torch.Generator().manual_seed(seed)
        )
        assert both(Scores(torch.sigmoid(moved), torch.sigmoid(moved)), batch).item() > best


def test_the_network_comes_nearer_to_its_teacher(tmp_path):
    fitted = distil(SETTINGS)(job(tmp_path))
    assert fitted.figures["teacher_parameters"] == 12 * 4 + 2 * 13
    assert sum(fitted.curve[-5:]) < sum(fitted.curve[:5])


def test_a_training_killed_before_and_behind_the_teacher_gives_the_same_weights(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = distil(SETTINGS)(job(tmp_path / "whole"))
    assert distil(SETTINGS)(job(tmp_path / "cut", until=7)).curve == []  # in the middle of the teacher's lesson
    half = distil(SETTINGS)(job(tmp_path / "cut", until=25))
    assert len(half.curve) == 25
    rest = distil(SETTINGS)(job(tmp_path / "cut"))
    assert rest.curve == whole.curve
    assert all(torch.equal(rest.weights[name], value) for name, value in whole.weights.items())


def test_a_teacher_of_an_unknown_kind_is_refused_before_anything_is_trained(tmp_path):
    unknown = replace(job(tmp_path), build=lambda table: MODELS.build(MODELS.parse(table, "procedure.teacher")))
    with pytest.raises(ConfigError, match=r"`procedure\.teacher\.kind` must be one of .*wheatear.*, got 'nobody'"):
        distil(DistilSettings(teacher={"kind": "nobody"}))(unknown)
    assert not list(tmp_path.iterdir())
