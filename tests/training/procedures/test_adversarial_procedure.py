"""Virtual adversarial training as a procedure: what its loss adds, and that it goes on after a kill."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.adversarial import adversarial as moved
from training.losses.frame_clip import FrameClipSettings, frame_clip
from training.procedures.adversarial import AdversarialSettings, adversarial, steadied
from training.procedures.registry import Job

SETTINGS = AdversarialSettings(steps=12, batch=8, warmup=2, rate=0.02, weight=1.0, size=0.5)
LOSS = frame_clip(FrameClipSettings(frame_weight=0.0, clip_weight=1.0, smoothing=0.0), 2)


class Tagger(nn.Module):
    """Two probabilities from the features of four frames, with all that makes an answer unsteady."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm, self.drop, self.out = (
            nn.Linear(3, 8),
            nn.BatchNorm1d(8),
            nn.Dropout(0.3),
            nn.Linear(8, 2),
        )

    def forward(self, x):
        y = self.drop(torch.relu(self.norm(self.hidden(x).mean(1))))
        clip = torch.sigmoid(self.out(y))[:, None]
        return Scores(clip, clip)


def draw(size, step):
    """Half of the examples are labelled by the signs of two of their features, half are not."""
    x = torch.randn(size, 4, 3, generator=torch.Generator().manual_seed(step))
    clip = (x.mean(1)[:, :2] > 0).float()
    clip[size // 2 :] = -1
    return Batch(x, None, clip)


def fitted(folder, until=None, settings=SETTINGS):
    torch.manual_seed(0)
    return adversarial(settings)(Job(Tagger(), draw, LOSS, folder / "checkpoint.safetensors", until=until))


def test_a_killed_training_goes_on_to_the_same_curve_and_weights(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = fitted(tmp_path / "a")
    fitted(tmp_path / "b", until=7)
    rest = fitted(tmp_path / "b")
    assert rest.curve == whole.curve
    assert all(torch.equal(rest.weights[name], value) for name, value in whole.weights.items())


def test_unlabelled_examples_teach_by_the_divergence_alone():
    torch.manual_seed(1)
    model, batch = Tagger().train(), draw(8, 0)
    unlabelled = batch._replace(clip=torch.full((8, 2), -1.0))
    scores = model(batch.features)
    assert LOSS(scores, unlabelled).item() == 0
    torch.manual_seed(2)
    value = steadied(LOSS, model, SETTINGS)(scores, unlabelled)
    assert value.item() > 0
    value.backward()
    assert all(p.grad.abs().sum() > 0 for name, p in model.named_parameters() if name != "hidden.bias")
    torch.manual_seed(2)
    labelled = steadied(LOSS, model, SETTINGS)(scores, batch)
    assert labelled.item() == pytest.approx(LOSS(scores, batch).item() + value.item(), abs=1e-5)


def test_statistics_are_those_of_the_recordings(tmp_path):
    torch.manual_seed(1)
    model, batch = Tagger().train(), draw(8, 0)
    scores, before = model(batch.features), model.norm.running_mean.clone()
    steadied(LOSS, model, SETTINGS)(scores, batch)
    assert torch.equal(model.norm.running_mean, before)


def test_answers_become_steadier_the_more_it_counts(tmp_path):
    found = []
    for weight in (0.0, 5.0):
        (tmp_path / str(weight)).mkdir()
        settings = AdversarialSettings(steps=60, batch=16, warmup=2, rate=0.05, average=0.5, weight=weight, size=0.5)
        model = Tagger()
        model.load_state_dict(fitted(tmp_path / str(weight), settings=settings).weights)
        model.eval()
        torch.manual_seed(3)
        found.append(moved(lambda x, model=model: model(x).clip[:, -1], draw(64, 999).features, 0.5).item())
    assert found[1] < 0.5 * found[0]
