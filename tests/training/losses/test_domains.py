"""Losses that make two domains alike, by hand."""

import math

import pytest
import torch

from training.losses.domains import coral, covariance, discriminate, fool, reverse, told_apart


def test_a_discriminator_that_guesses_pays_two_bits_and_fooling_it_one():
    guess = torch.zeros(5)
    assert discriminate(guess, guess[:3]).item() == pytest.approx(2 * math.log(2))
    assert fool(guess).item() == pytest.approx(math.log(2))


def test_what_pleases_the_discriminator_does_not_fool_it():
    sure = torch.full((4,), 3.0)
    assert discriminate(sure, -sure).item() == pytest.approx(2 * math.log(1 + math.exp(-3)), rel=1e-5)
    assert fool(-sure) > fool(sure)


def test_domains_are_told_apart_by_the_sign_of_the_logits():
    assert told_apart(torch.tensor([1.0, -1.0]), torch.tensor([-1.0, -2.0, -3.0, 1.0])) == pytest.approx(0.625)


def test_a_reversed_gradient_has_the_other_sign():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (reverse(x, 0.5) * torch.tensor([3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [-1.5, -2.0]
    assert reverse(x).tolist() == x.tolist()


def test_covariances_by_hand():
    """Rows (0, 0), (2, 0), (0, 2), (2, 2): variances 4/3, no covariance; rows on a line: all 2."""
    square = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    line = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    torch.testing.assert_close(covariance(square), 4 / 3 * torch.eye(2))
    assert covariance(line).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert coral(square, line).item() == pytest.approx((2 * (2 / 3) ** 2 + 2 * 4) / 16)
    assert coral(square, square + 5.0).item() == pytest.approx(0.0, abs=1e-9)  # means do not count


def test_one_embedding_has_no_covariance():
    with pytest.raises(ValueError, match="expected at least two embeddings of a domain, got 1"):
        covariance(torch.zeros(1, 3))
