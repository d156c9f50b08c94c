"""Late fusion: by hand, by a table of moments, and the same in any order of coming."""

import doctest
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import ScoreBlock
from edge.decode import fusion
from edge.decode.fusion import Fusion, Grid, fused


def block(scores, grid, first=0, clip=None):
    scores = np.asarray(scores, np.float32)
    scores = scores if scores.ndim == 2 else scores[:, None]
    return ScoreBlock("e", first, grid.hop, grid.rate, scores, grid.span, clip=clip)


FINE, COARSE = Grid(10, 100, 10), Grid(40, 200, 40)  # a score every 0.1 s, and every 0.2 s


def test_doctests_hold():
    assert doctest.testmod(fusion).failed == 0


def test_a_slow_score_is_held_until_the_next_one_begins():
    found = fused([block([0.0, 0.2, 0.4, 0.6], FINE), block([1.0, 0.0], COARSE)])
    np.testing.assert_allclose(found.scores.ravel(), [0.5, 0.6, 0.2, 0.3], atol=1e-7)
    assert (found.first_frame, found.hop, found.rate, found.span) == (0, 10, 100, 10)


def test_weights_are_shares():
    found = fused([block([0.0, 0.2, 0.4, 0.6], FINE), block([1.0, 0.0], COARSE)], [6, 2])
    np.testing.assert_allclose(found.scores.ravel(), [0.25, 0.4, 0.3, 0.45], atol=1e-7)
    for weights in ([1, -1], [0, 0], [1, 1, 1], [1, np.inf], [1, np.nan]):
        with pytest.raises(ValueError, match="Expected 2 weights of 0 and more, not all 0, got"):
            fused([block([0.0], FINE), block([1.0], COARSE)], weights)


def test_what_one_of_them_says_nothing_of_is_left_out():
    # The slow one begins at 0.4 s, and its last score, of 0.6 s, speaks until 0.8 s; the fast one goes on to 1 s.
    found = fused([block(np.full(9, 0.2), FINE, first=1), block([0.4, 0.6], COARSE, first=2)])
    assert found.first_frame == 4
    np.testing.assert_allclose(found.scores.ravel(), [0.3, 0.3, 0.4, 0.4], atol=1e-7)
    with pytest.raises(ValueError, match="expected scores that speak of a common moment, got none"):
        fused([block(np.zeros(3), FINE), block([0.5], COARSE, first=2)])


def test_a_last_window_is_held_for_as_long_as_it_speaks_of():
    wide = Grid(40, 200, 120)  # 0.6 s, every 0.2 s
    assert len(fused([block(np.zeros(20), FINE), block([0.5, 0.5], wide)]).scores) == 8


def test_clip_scores_are_fused_too_where_all_have_them():
    one, other = block([0, 0], FINE, clip=np.float32([[0.2], [0.4]])), block([0], COARSE, clip=np.float32([[0.6]]))
    np.testing.assert_allclose(fused([one, other]).clip.ravel(), [0.4, 0.5], atol=1e-7)
    assert fused([one, block([0], COARSE)]).clip is None


GRIDS = [Grid(1600, 16_000, 1600), Grid(1321, 22_050, 1321), Grid(4000, 8000, 16_000)]


def table(blocks, weights):
    """Moment by moment: the score of each model that holds then, found by looking at all of them."""
    finest = min(blocks, key=lambda b: Fraction(b.hop, b.rate))
    out = {}
    for k in range(finest.first_frame, finest.first_frame + len(finest.scores)):
        moment, total = Fraction(k * finest.hop, finest.rate), 0.0
        for b, weight in zip(blocks, weights, strict=True):
            starts = [Fraction((b.first_frame + row) * b.hop, b.rate) for row in range(len(b.scores))]
            begun = [row for row, start in enumerate(starts) if start <= moment]
            if not begun or moment >= starts[-1] + Fraction(b.span, b.rate):
                break
            total += weight * b.scores[begun[-1]].astype(float)
        else:
            out[k] = total
    return out


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_in_any_chunking_it_is_what_looking_at_every_moment_gives(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    start = data.draw(st.sampled_from([0, 3.3, 17.0]))  # seconds: a piece in the middle of an epoch
    blocks = [block(rng.random((int(3 * g.rate / g.hop), 2)), g, first=-(-int(start * g.rate) // g.hop)) for g in GRIDS]
    want = table(blocks, [0.5, 0.25, 0.25])
    one, parts = Fusion(GRIDS, [2, 1, 1]), []
    one.reset("e")
    cuts = [[0, *sorted(data.draw(st.lists(st.integers(0, len(b.scores)), max_size=4))), len(b.scores)] for b in blocks]
    pieces = [(n, a, b) for n, own in enumerate(cuts) for a, b in pairwise(own)]
    order = data.draw(st.permutations([n for n, *_ in pieces]))
    left = [iter([piece for piece in pieces if piece[0] == n]) for n in range(3)]
    for number in order:
        _, a, b = next(left[number])
        one.push(number, block(blocks[number].scores[a:b], GRIDS[number], blocks[number].first_frame + a))
        parts.append(one.take())
    parts = [part for part in [*parts, one.take(final=True)] if part]
    frames = [part.first_frame + row for part in parts for row in range(len(part.scores))]
    assert frames == list(want)
    np.testing.assert_allclose(np.concatenate([part.scores for part in parts]), list(want.values()), atol=1e-6)
