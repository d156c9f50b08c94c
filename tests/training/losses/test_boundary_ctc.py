"""CTC over boundaries against paths counted by hand (card 15), and the soft labels of frames."""

from __future__ import annotations

import pytest
import torch

from training.batch import NO_MORE, UNKNOWN, Batch
from training.layers.heads import Scores
from training.losses import LOSSES
from training.losses.boundary_ctc import best_path, boundary_ctc, collapsed

A, B, BLANK = 0, 1, 2
UNIFORM = torch.full((1, 3, 3), 1 / 3)


def test_two_frames_by_hand():
    """.6 · .7 + .6 · .3 + .4 · .7 = .88."""
    symbols = torch.tensor([[[0.6, 0.0, 0.4], [0.7, 0.0, 0.3]]])
    assert boundary_ctc(symbols, torch.tensor([[A]])).item() == pytest.approx(0.127833, abs=1e-5)


@pytest.mark.parametrize(
    ("order", "expected"), [((A,), 1.504077), ((A, B), 1.686399), ((A, A), 3.295837), ((A, B, A), 3.295837)]
)
def test_paths_among_27(order, expected):
    """6, 5, 1 and 1 of them."""
    assert boundary_ctc(UNIFORM, torch.tensor([order])).item() == pytest.approx(expected, abs=1e-5)


def test_repeats_fall_together_and_blanks_fall_out():
    """β("C-AT-") = β("-CC--ATT") = "CAT"."""
    c, a, t, blank = range(4)
    assert (
        collapsed([c, blank, a, t, blank], blank) == collapsed([blank, c, c, blank, blank, a, t, t], blank) == [c, a, t]
    )


def test_the_likeliest_path_is_read():
    rows = [[0.1, 0.1, 0.8], [0.7, 0.1, 0.2], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.5, 0.4]]
    assert best_path(torch.tensor(rows)) == [A, B]


def test_only_clips_of_known_order_are_taught():
    loss = LOSSES.build(LOSSES.parse({"kind": "ctc"}), 1)
    symbols = UNIFORM.repeat(2, 1, 1)
    batch = Batch(symbols, order=torch.tensor([[A, NO_MORE], [UNKNOWN, UNKNOWN]]))
    assert loss(Scores(symbols[..., :1], None, symbols), batch).item() == pytest.approx(1.504077, abs=1e-5)
    with pytest.raises(ValueError, match="expected recordings whose order of boundaries is known"):
        loss(Scores(symbols[..., :1], None, symbols), Batch(symbols))
    with pytest.raises(ValueError, match="expected a head that gives boundary symbols"):
        loss(Scores(symbols[..., :1]), batch)


def test_an_empty_order_asks_for_blanks():
    symbols = torch.tensor([[[0.1, 0.1, 0.8], [0.2, 0.3, 0.5]]])
    value = boundary_ctc(symbols, torch.tensor([[NO_MORE]])).item()
    assert value == pytest.approx(-torch.log(torch.tensor(0.8 * 0.5)).item(), abs=1e-5)


def test_soft_labels_of_frames_are_taught_as_they_are():
    """Of a target of .3 the best answer is .3, and costs its entropy."""
    loss = LOSSES.build(LOSSES.parse({"kind": "frame-clip", "clip_weight": 0.0, "smoothing": 0.0}), 1)

    def of(p):
        return loss(Scores(torch.full((1, 4, 1), p)), Batch(UNIFORM, torch.full((1, 4, 1), 0.3))).item()

    assert of(0.3) == pytest.approx(0.610864, abs=1e-5)
    assert min((0.1, 0.29, 0.3, 0.31, 0.9), key=of) == 0.3
