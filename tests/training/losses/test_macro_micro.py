"""Macro and micro supervision against card D's numbers and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.batch import Batch
from training.layers.heads import Scores
from training.layers.micro import Supervised
from training.losses import LOSSES
from training.losses.macro_micro import class_weights


def loss(classes=1, **settings):
    return LOSSES.build(LOSSES.parse({"kind": "macro-micro", **settings}), classes)


def scores(macro=None, micro=None, weight=None, pseudo=None):
    frame = torch.full((1, 2, 1), 0.5)
    return Supervised(frame, frame[:, :1], macro, micro, weight, pseudo)


def given(*labels):
    return Batch(torch.zeros(1, 2, 1), None, torch.tensor([labels], dtype=torch.float32))


def p(*errors):
    """Probabilities whose −ln p are the errors."""
    return torch.exp(-torch.tensor(errors))


def test_attention_weighs_the_segments_errors():
    """a = (1/4, 3/4) and ξ = (2, 1): 1.25 (card D)."""
    made = scores(micro=p(2.0, 1.0)[None, :, None], weight=torch.tensor([[0.25, 0.75]]))
    assert loss()(made, given(1)).item() == pytest.approx(1.25, abs=1e-5)
    assert loss(micro=3.0)(made, given(1)).item() == pytest.approx(3.75, abs=1e-5)


def test_alike_attention_gives_the_mean_of_the_segments():
    made = scores(micro=p(2.0, 1.0, 0.6)[None, :, None], weight=torch.full((1, 3), 1 / 3))
    assert loss()(made, given(1)).item() == pytest.approx(1.2, abs=1e-5)


def test_macro_and_micro_are_added_and_classes_summed():
    macro = torch.tensor([[math.exp(-0.5), 1 - math.exp(-0.25)]])
    micro = torch.stack([p(2.0, 1.0), 1 - p(0.4, 0.8)], 1)[None]
    made = scores(macro, micro, torch.tensor([[0.25, 0.75]]))
    assert loss(2)(made, given(1, 0)).item() == pytest.approx(0.5 + 0.25 + 1.25 + 0.25 * 0.4 + 0.75 * 0.8, abs=1e-5)


def test_in_the_released_form_what_a_clip_has_not_counts_alike_in_every_segment():
    micro = torch.stack([p(2.0, 1.0), 1 - p(0.4, 0.8)], 1)[None]
    made = scores(None, micro, torch.tensor([[0.25, 0.75]]))
    assert loss(2, attend="positives")(made, given(1, 0)).item() == pytest.approx(1.25 + 0.6, abs=1e-5)


def test_pseudo_labels_take_the_clips_label_from_a_segment():
    made = scores(None, torch.tensor([[[math.exp(-2.0)], [1 - math.exp(-1.0)]]]), torch.full((1, 2), 0.5))
    made = made._replace(pseudo=torch.tensor([[[1.0], [0.0]]]))
    assert loss()(made, given(1)).item() == pytest.approx((2.0 + 1.0) / 2, abs=1e-5)


def test_weights_of_classes_are_the_cards():
    """p̄ = 0.06: 0.01 → 1.739, 0.06 → 1, 0.30 → 0.565."""
    others = [(10 * 0.06 - 0.37) / 7] * 7  # so that the mean is 0.06
    weights = class_weights([0.01, 0.06, 0.30, *others], 0.3)
    assert weights[:3].tolist() == pytest.approx([1.739, 1.0, 0.565], abs=1e-3)
    assert class_weights([0.2, 0.7], 0.0).tolist() == [1, 1]


def test_what_is_not_taught_costs_nothing():
    made = scores(torch.tensor([[0.3]]), torch.tensor([[[0.2], [0.9]]]), torch.full((1, 2), 0.5))
    assert loss()(made, given(-1)).item() == 0


def test_another_network_and_other_classes_are_refused():
    with pytest.raises(ValueError, match="mmnet"):
        loss()(Scores(torch.zeros(1, 2, 1)), given(1))
    with pytest.raises(ValueError, match="shares` of 3 classes, got 2"):
        loss(3, shares=[0.1, 0.2])
