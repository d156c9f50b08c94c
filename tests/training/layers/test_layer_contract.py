"""Every layer and network: steps give what the whole clip gives, look ahead as declared, and fail without the mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from training.layers.conv import Conv, TransposedConv
from training.layers.examples import NETWORKS, build
from training.layers.excite import SqueezeExciteClip
from training.layers.heads import Head
from training.layers.network import Network, stream
from training.layers.norm import ClipNorm
from training.layers.pooling import AveragePool, MaxPool
from training.layers.recurrent import GRU, LSTM
from training.layers.reshape import BandsToChannels
from training.layers.streaming import FOREVER, Branch, Clock, Residual, Sequential, Timeline, bind

TOLERANCE = 1e-5
SILENCE = -2.0  # what is fed behind the end: a front end gives no zeros for silence
CLIP = 72
HOURS_48 = 48 * 3600 * 50 // 720720 * 720720  # frames of 20 ms, at a multiple of every grain here


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def clip(network, frames=CLIP, seed=1):
    return torch.randn(1, frames, network.bands, generator=torch.Generator().manual_seed(seed))


def apart(a, b):
    """Largest difference of frame and clip scores."""
    assert a.frame.shape == b.frame.shape
    pairs = [(a.frame, b.frame)] + [(a.clip, b.clip)] * (a.clip is not None)
    return max(float((x - y).abs().max()) for x, y in pairs)


def unmasked(network, x, size):
    """Steps whose clock says at once that the clip began long ago and never ends: no frame is ever masked."""
    at, total = network.head.timeline, x.shape[1]
    far = 10_000 * size
    steps = -(-(total + at.delay * at.rate) // size)
    padded = torch.cat([x, x.new_full((1, steps * size - total, x.shape[2]), SILENCE)], 1)
    state, frames = network.init_state(), []
    for first in range(0, steps * size, size):
        scores, _, state = network.step(padded[:, first : first + size], state, Clock.at(far + first, FOREVER))
        frames.append(scores.frame)
    return torch.cat(frames, 1)[:, at.delay :][:, : total // at.rate]


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=4, deadline=None)
@given(frames=st.integers(24, 60), times=st.integers(1, 4), seed=st.integers(0, 99))
def test_any_chunk_and_any_length_gives_the_whole_clips_scores(name, frames, times, seed):
    with torch.no_grad():
        network = build(name)
        x = clip(network, frames, seed)
        got, _ = stream(network, x, times * network.chunk, SILENCE)
        assert apart(got, network(x)) <= TOLERANCE


@pytest.mark.parametrize("name", [n for n in NETWORKS if build(n).clocked])
def test_without_the_mask_it_would_be_wrong(name):
    network = build(name)
    x = clip(network)
    offline = network(x).frame
    error = (unmasked(network, x, network.chunk) - offline[:, : CLIP // network.head.timeline.rate]).abs().max()
    assert error > 10 * TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_the_declared_lookahead_is_the_measured_one_to_the_frame(name):
    network = build(name)
    at = network.head.timeline
    x = clip(network)
    before = network(x)
    reached = []
    for frame in range(CLIP // 2, CLIP // 2 + 2 * at.grain):
        moved = x.clone()
        moved[:, frame] += torch.randn(network.bands, generator=torch.Generator().manual_seed(frame)) * 30
        pairs = [pair for pair in zip(network(moved), before, strict=True) if pair[0] is not None]
        first = min(
            (a - b).abs().amax((0, 2)).nonzero()[0].item() for a, b in pairs
        )  # a clip may hear more than frames
        reached.append(frame - ((first + 1) * at.rate - 1))  # input frames behind the end of the first score that moved
    assert max(reached) == at.ahead


@pytest.mark.parametrize("name", ["crnn", "tcn", "waveform"])
def test_scores_come_as_late_as_the_delay_says_and_no_frame_of_the_delay_is_spare(name):
    network = build(name)
    at = network.head.timeline
    assert (at.delay - 1) * at.rate < at.ahead + at.grain
    assert at.delay * at.rate + network.chunk - 1 >= at.ahead


@pytest.mark.parametrize("name", NETWORKS)
def test_reset_and_rerun_equals_fresh_to_the_bit(name):
    network = build(name)
    x = clip(network, 36)
    fresh, _ = stream(network, x, network.chunk)
    stream(network, clip(network, 36, seed=5), network.chunk)
    again, _ = stream(network, x, network.chunk)
    assert torch.equal(fresh.frame, again.frame)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_comes_before_the_first_score_is_a_probability_too(name):
    network = build(name)
    scores, _, _ = network.step(clip(network, network.chunk), network.init_state(), Clock.at())
    assert all(((x >= 0) & (x <= 1)).all() for x in scores if x is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_two_days_into_a_stream_a_step_still_computes_the_same(name):
    network = build(name)
    size = network.chunk
    rng = torch.Generator().manual_seed(7)
    state = {k: torch.randn(v.shape, generator=rng) for k, v in network.init_state().items()}
    if "head" in state:
        state["head"] = state["head"].abs()
    x = clip(network, size)
    early, _, a = network.step(x, dict(state), Clock.at(1000 * size))
    late, _, b = network.step(x, dict(state), Clock.at(HOURS_48 + 1000 * size))
    assert torch.equal(early.frame, late.frame)
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_finite_gradient(name):
    with torch.enable_grad():
        network = build(name).train()
        scores = network(torch.cat([clip(network, 36), clip(network, 36, seed=2)]))
        (scores.frame.square().sum() + (0 if scores.clip is None else scores.clip.square().sum())).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_convolutions_of_any_shape_stream(data):
    kernel, dilation = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
    span = (kernel - 1) * dilation + 1
    stride = data.draw(st.integers(1, min(span, 4)))
    right = data.draw(st.integers(0, span - stride))
    groups = data.draw(st.sampled_from([1, 2, 4]))
    layer = Conv((4, 4), (kernel, 3), (stride, data.draw(st.integers(1, 2))), (dilation, 1), groups, lookahead=right)
    _streams(Sequential(Conv((1, 4), (3, 1), lookahead="same"), layer, BandsToChannels()), 5, data)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_pools_of_any_shape_stream(data):
    kernel = data.draw(st.integers(1, 6))
    stride = data.draw(st.integers(1, kernel))
    kind = data.draw(st.sampled_from([MaxPool, AveragePool]))
    layer = kind((kernel, 2), (stride, 1), data.draw(st.integers(0, min(kernel - stride, kernel // 2))))
    _streams(Sequential(Conv((1, 4), (3, 1), lookahead="same"), layer, BandsToChannels()), 5, data)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_upsampling_of_any_shape_streams(data):
    stride = data.draw(st.integers(1, 3))
    kernel = data.draw(st.integers(stride, 7))
    up = TransposedConv((4, 4), kernel, stride, data.draw(st.integers(0, kernel - stride)))
    before = Conv((1, 4), (5, 1), lookahead="same")
    _streams(Sequential(before, AveragePool((stride, 1)), up, Conv((4, 4), (3, 1), lookahead="same")), 1, data)


def _streams(body, bands, data):
    with torch.no_grad():
        torch.manual_seed(0)
        probe = body(torch.zeros(1, 1, 40, bands))
        network = Network(body, Head(nn.Linear(probe.shape[1], 2)), bands).eval()
        network.bind()
        x = clip(network, data.draw(st.integers(1, 60)))
        if network(torch.zeros(1, 40, bands)).frame.shape[1] and x.shape[1] >= network.head.timeline.grain:
            got, _ = stream(network, x, network.chunk * data.draw(st.integers(1, 3)), SILENCE)
            assert apart(got, network(x)) <= TOLERANCE


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (ClipNorm(), r"layer `layers\.1` \(ClipNorm\): normalises by the whole clip"),
        (SqueezeExciteClip(4), r"layer `layers\.1` \(SqueezeExciteClip\): takes the mean over the whole clip"),
        (nn.BatchNorm2d(4), r"layer `` \(Sequential\): expected layers of training\.layers inside, got BatchNorm2d"),
        (Conv((3, 3)), r"layer `layers\.1` \(Conv\): expected 3 channels, got 4"),
        (TransposedConv((4, 4), 4, 2), r"layer `layers\.1` .* expected 2 frames out of at least 2 input frames, got"),
        (GRU(8, 4), r"layer `layers\.1` \(GRU\): expected 8 channels of one band, got 4 channels of 8 bands"),
        (Residual(AveragePool((2, 1))), r"layer `layers\.1` \(Residual\): expected a body that keeps .* \(1, 4, 8\)"),
        (Branch(AveragePool((2, 1)), Conv((4, 4))), r"layer `layers\.1` \(Branch\): expected branches of one rate"),
    ],
)
def test_what_cannot_stream_is_refused_by_name_and_reason(layer, reason):
    with pytest.raises(ValueError, match=reason):
        bind(Sequential(Conv((1, 4)), layer), bands=8)


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_a_bidirectional_network_is_refused_but_computes_a_whole_clip(kind):
    body = Sequential(BandsToChannels(), kind(4, 3, bidirectional=True))
    with pytest.raises(ValueError, match="runs backwards from the clip's end"):
        bind(body, bands=4)
    assert body(torch.zeros(1, 1, 9, 4)).shape == (1, 6, 9, 1)


def test_a_same_convolution_by_hand():
    layer = Conv((1, 1), (3, 1), lookahead="same", norm=False, activation="none")
    layer.conv.weight.copy_(torch.tensor([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1))
    layer.conv.bias.zero_()
    bind(layer)
    assert layer(torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)).flatten().tolist() == [210.0, 321.0, 32.0]
    assert layer.after == Timeline(delay=1, past=1, ahead=1)
    state, heard = layer.init_state(1), []
    for t, value in enumerate([1.0, 2.0, 3.0, 99.0]):  # 99 stands behind the end and is not seen
        y, state = layer.step(torch.full((1, 1, 1, 1), value), state, Clock.at(t, 3))
        heard.append(y.item())
    assert heard[1:] == [210.0, 321.0, 32.0]


def test_a_residuals_skip_waits_for_its_body():
    layer = Residual(Conv((1, 1), (5, 1), lookahead="same"))
    bind(layer)
    assert layer.skip.frames == 2
    assert {name: tuple(value.shape) for name, value in layer.init_state(1).items()} == {
        "body": (1, 4, 1, 1),
        "skip": (1, 2, 1, 1),
    }
