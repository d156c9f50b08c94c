from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.blocks import FeatureBlock
from edge.errors import EngineError
from edge.inference.model import Model
from edge.inference.window import normalise

SILENCE = np.full(3, -5.0, np.float32)


def frames(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def run(scorer, x, cuts=(), first=0, epoch="e", hop=32):
    """Push `x` cut at `cuts`, flush, and return all blocks."""
    scorer.reset(epoch, first)
    edges = [0, *sorted(min(c, len(x)) for c in cuts), len(x)]
    blocks = [scorer.push(FeatureBlock(epoch, first + a, hop, 8000, x[a:b])) for a, b in pairwise(edges)]
    return [*blocks, scorer.flush()]


def joined(blocks):
    return np.concatenate([block.scores for block in blocks])


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


@pytest.fixture(scope="module")
def lookahead(make, tmp_path_factory):
    return Model.load(make.lookahead(tmp_path_factory.mktemp("models") / "lookahead"))


@pytest.fixture(scope="module")
def windows(make, tmp_path_factory):
    """Window models by (length, hop)."""
    root = tmp_path_factory.mktemp("models")
    return {
        (length, hop): Model.load(make.window(root / f"w{length}-{hop}", length, hop))
        for length, hop in ((4, 2), (4, 4), (4, 6), (4, 1))
    }


@pytest.fixture(scope="module")
def framewise(make, tmp_path_factory):
    """Window of 6 frames → 3 rows, each the mean of two frames."""
    folder = tmp_path_factory.mktemp("models") / "framewise"
    folder.mkdir()
    make.onnx(
        folder / "m.onnx",
        {"x": (np.float32, [1, 6, 3])},
        {"y": (np.float32, [1, 3, 3])},
        [("Reshape", ["x", "s"], ["r"]), ("ReduceMean", ["r"], ["y"], {"axes": [2], "keepdims": 0})],
        {"s": np.array([1, 3, 2, 3], np.int64)},
    )
    card = make.window(folder, 6, 4, kinds=(), labels=["a", "b", "c"], output={"scores": "y", "activation": "sigmoid"})
    return Model.load(card)


# -- stateful ----------------------------------------------------------------------------------------------------------


def silero_like(make, folder):
    """Waveform in, context of 3 samples, foreign state names, an int64 rate, open axes: as Silero's VAD is built."""
    folder.mkdir()
    make.onnx(
        folder / "model.onnx",
        {"input": (np.float32, ["batch", "samples"]), "h0": (np.float32, [2, "batch", 1]), "sr": (np.int64, [])},
        {"prob": (np.float32, ["batch", 1]), "hN": (np.float32, ["a", "b", "c"])},
        [
            ("ReduceSum", ["input", "axis"], ["sum"], {"keepdims": 1}),
            ("Cast", ["sr"], ["rate"], {"to": 1}),
            ("Div", ["rate", "khz8"], ["gain"]),
            ("Mul", ["sum", "gain"], ["drive"]),
            ("Mul", ["h0", "half"], ["faded"]),
            ("Add", ["faded", "drive"], ["hN"]),
            ("ReduceSum", ["hN", "first"], ["prob"], {"keepdims": 0}),
        ],
        {
            "axis": np.array([1], np.int64),
            "first": np.array([0], np.int64),
            "khz8": np.float32(8000),
            "half": np.float32(0.5),
        },
    )
    state = {"input": "h0", "output": "hN", "shape": [2, 1, 1], "initial": 0.25}
    return make.card(
        folder,
        labels=["speech"],
        input={
            "kind": "waveform",
            "rate": 16000,
            "tensor": "input",
            "layout": "BT",
            "context": 3,
            "constants": [{"tensor": "sr", "value": 16000, "dtype": "int64"}],
        },
        stream={"mode": "stateful", "chunk": 8, "rate": 8, "states": [state]},
        output={"scores": "prob", "activation": "sigmoid"},
    )


def test_a_foreign_stateful_model_runs_from_its_card(make, tmp_path):
    model = Model.load(silero_like(make, tmp_path / "vad"))
    x = np.random.default_rng(1).normal(size=44).astype(np.float32)
    scorer = model.stream()
    scorer.reset("e", 0)
    blocks = [scorer.push(FeatureBlock("e", a, 1, 16000, x[a : a + 11, None])) for a in range(0, 44, 11)]
    blocks.append(scorer.flush())
    padded = np.concatenate([np.zeros(3), x])  # the context before the first chunk is zeros
    state, expected = np.full(2, 0.25), []
    for chunk in range(44 // 8):
        state = state * 0.5 + padded[chunk * 8 : chunk * 8 + 11].sum() * 2.0  # 16000 / 8000
        expected.append(sigmoid(state.sum()))
    np.testing.assert_allclose(joined(blocks)[:, 0], expected, atol=1e-5)
    assert (blocks[0].hop, blocks[0].span, blocks[0].rate) == (8, 8, 16000)


def offline(x):
    """The lookahead model on a whole clip: x[t] + x[t + 1], zeros behind the end."""
    return sigmoid(x + np.concatenate([x[1:], np.zeros((1, 3))]))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 30])
def test_lookahead_equals_offline_to_the_last_frame(lookahead, count):
    x = frames(count)
    np.testing.assert_allclose(joined(run(lookahead.stream(SILENCE), x)), offline(x), atol=1e-6)


def test_the_end_is_what_makes_it_so(make, tmp_path):
    """Without the end the last score hears the padding's silence, which is −5 here and no zero."""
    folder = make.lookahead(tmp_path / "endless")
    text = (folder / "card.toml").read_text()
    text = text.replace(', "end" = "end"', "").replace(
        '"tensor" = "frames"',
        '"tensor" = "frames", "constants" = [{"tensor" = "end", "value" = 1000000, "dtype" = "int64"}]',
    )
    (folder / "card.toml").write_text(text)
    x = frames(9)
    got = joined(run(Model.load(folder).stream(SILENCE), x))
    np.testing.assert_allclose(got[:-1], offline(x)[:-1], atol=1e-6)
    np.testing.assert_allclose(got[-1], sigmoid(x[-1] + SILENCE), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 50), max_size=12), count=st.integers(0, 50), first=st.integers(0, 9))
def test_stateful_scores_are_the_same_bytes_for_any_blocks(lookahead, cuts, count, first):
    x, scorer = frames(count), lookahead.stream(SILENCE)
    whole, cut = run(scorer, x, (), first), run(scorer, x, cuts, first)
    assert joined(whole).tobytes() == joined(cut).tobytes()
    follow_on(cut)


def follow_on(blocks):
    """Each block begins where the last one ended."""
    for one, other in pairwise(blocks):
        assert other.first_frame == one.first_frame + len(one.scores)


def test_reset_and_rerun_equals_fresh(lookahead):
    scorer, x = lookahead.stream(SILENCE), frames(13)
    scorer.push(FeatureBlock("old", 0, 32, 8000, frames(11, 5)))
    again = joined(run(scorer, x, epoch="new"))
    assert again.tobytes() == joined(run(lookahead.stream(SILENCE), x)).tobytes()


def test_two_streams_share_an_engine_and_no_state(lookahead):
    one, two, x, y = lookahead.stream(SILENCE), lookahead.stream(SILENCE), frames(12, 1), frames(12, 2)
    got = []
    for a in range(0, 12, 3):
        got.append(one.push(FeatureBlock("1", a, 32, 8000, x[a : a + 3])).scores)
        two.push(FeatureBlock("2", a, 32, 8000, y[a : a + 3]))
    np.testing.assert_allclose(np.concatenate([*got, one.flush().scores]), offline(x), atol=1e-6)


def test_streams_may_run_on_threads_of_their_own(lookahead):
    clips = [frames(200, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda x: joined(run(lookahead.stream(SILENCE), x, range(0, 200, 4))), clips)
    for x, got in zip(clips, results, strict=True):
        np.testing.assert_allclose(got, offline(x), atol=1e-6)


def test_the_score_grid_stays_absolute_after_a_gap(make, tmp_path):
    model = Model.load(silero_like(make, tmp_path / "vad"))
    scorer = model.stream()
    scorer.reset("e", 21)  # the next multiple of 8 is 24: three samples are skipped
    block = scorer.push(FeatureBlock("e", 21, 1, 16000, np.ones((3 + 16, 1), np.float32)))
    assert block.first_frame == 3
    assert len(block.scores) == 2
    assert block.scores[0, 0] == pytest.approx(sigmoid(2 * (0.125 + 16)))


# -- windows -----------------------------------------------------------------------------------------------------------


def test_windows_begin_at_multiples_of_the_hop(windows, make):
    x = frames(11)
    blocks = run(windows[4, 2].stream(SILENCE), x)
    padded = np.concatenate([x[8:], SILENCE[None]])  # 11 frames: windows at 0 2 4 6, then frame 10 alone is half a hop
    expected = [make.reference_window(w) for w in (x[0:4], x[2:6], x[4:8], x[6:10], padded)]
    np.testing.assert_allclose(joined(blocks), expected, atol=1e-6)
    assert (blocks[0].hop, blocks[0].span) == (2 * 32, 4 * 32)


@pytest.mark.parametrize(
    ("hop", "count", "given"),
    [
        (4, 0, 0),  # nothing heard, nothing said
        (4, 1, 1),  # the first window is always given
        (4, 4, 1),
        (4, 5, 1),  # one frame of four: less than half a hop
        (4, 6, 2),  # two of four
        (6, 4, 1),
        (6, 6, 1),  # the two skipped frames belong to no window
        (6, 7, 1),
        (6, 8, 2),  # two of a window of four
        (6, 10, 2),
        (1, 4, 1),
        (1, 5, 2),
    ],
)
def test_what_a_flush_still_gives(windows, hop, count, given):
    assert len(joined(run(windows[4, hop].stream(SILENCE), frames(count)))) == given


@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from([(4, 2), (4, 4), (4, 6), (4, 1)]),
    cuts=st.lists(st.integers(0, 40), max_size=10),
    count=st.integers(0, 40),
    first=st.integers(0, 9),
)
def test_window_scores_are_the_same_bytes_for_any_blocks(windows, shape, cuts, count, first):
    x, scorer = frames(count), windows[shape].stream(SILENCE)
    whole, cut = run(scorer, x, (), first), run(scorer, x, cuts, first)
    assert joined(whole).tobytes() == joined(cut).tobytes()
    follow_on(cut)


def test_after_a_gap_windows_lie_where_they_would_have_lain(windows):
    x = frames(30)
    whole = joined(run(windows[4, 2].stream(SILENCE), x))
    late = run(windows[4, 2].stream(SILENCE), x[7:], first=7)
    assert late[0].first_frame == 4  # frame 8
    np.testing.assert_array_equal(joined(late), whole[4:])


def test_frame_scores_of_windows_keep_the_newest_hop(framewise):
    x = frames(18)
    blocks = run(framewise.stream(SILENCE), x)  # windows at 0, 4, 8, 12, two frames a row: 3 + 2 + 2 + 2 rows
    np.testing.assert_allclose(joined(blocks), sigmoid(x.reshape(9, 2, 3).mean(axis=1)), atol=1e-6)
    assert (blocks[0].hop, blocks[0].span) == (64, 64)


def test_frame_scores_of_a_padded_window_are_those_of_real_frames(framewise):
    x = frames(3)
    padded = np.concatenate([x, SILENCE[None]])
    expected = sigmoid(padded.reshape(2, 2, 3).mean(axis=1))  # the second row is half real, and kept
    np.testing.assert_allclose(joined(run(framewise.stream(SILENCE), x)), expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=10), count=st.integers(0, 40), first=st.integers(0, 9))
def test_frame_scores_of_windows_are_the_same_bytes_for_any_blocks(framewise, cuts, count, first):
    x, scorer = frames(count), framewise.stream(SILENCE)
    whole, cut = run(scorer, x, (), first), run(scorer, x, cuts, first)
    assert joined(whole).tobytes() == joined(cut).tobytes()
    follow_on(cut)


def test_normalisation_by_hand():
    window = np.array([[1.0, -4.0], [2.0, 0.0]], np.float32)
    out = np.empty_like(window)
    normalise(window, "none", out)
    np.testing.assert_array_equal(out, window)
    normalise(window, "peak", out)
    np.testing.assert_array_equal(out, [[0.25, -1.0], [0.5, 0.0]])
    normalise(window, "minmax", out)
    np.testing.assert_allclose(out, [[5 / 6, 0.0], [1.0, 4 / 6]], atol=1e-7)


@pytest.mark.parametrize("kind", ["none", "peak", "minmax"])
def test_silence_normalises_to_silence(kind):
    out = np.ones((3, 2), np.float32)
    normalise(np.zeros((3, 2), np.float32), kind, out)
    assert not out.any()


def test_normalised_windows_do_not_depend_on_the_gain(make, tmp_path):
    model = Model.load(make.window(tmp_path / "peaky", normalise="peak"))
    x = frames(20)
    quiet, loud = (joined(run(model.stream(SILENCE), (x * g).astype(np.float32))) for g in (0.25, 8.0))
    np.testing.assert_array_equal(quiet, loud)  # powers of two: not even rounding differs


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["onnx", "tflite"])
def test_both_engines_give_the_same_scores(make, tmp_path, engine):
    model = Model.load(make.window(tmp_path / "both"), engine=engine)
    assert model.engine_name == engine
    x = frames(40)
    expected = [make.reference_window(x[k : k + 4]) for k in range(0, 37, 2)]
    np.testing.assert_allclose(joined(run(model.stream(SILENCE), x)), expected, atol=1e-6)


def test_a_tflite_model_carries_state_and_layouts_may_lack_time(make, tmp_path):
    folder = tmp_path / "leaky"
    folder.mkdir()
    make.tflite(
        folder / "m.tflite",
        {
            "x": ("float32", [1, 3], None, 0, 0),
            "s": ("float32", [1, 3], None, 0, 0),
            "half": ("float32", [1, 3], [0.5] * 3, 0, 0),
            "f": ("float32", [1, 3], None, 0, 0),
            "t": ("float32", [1, 3], None, 0, 0),
            "y": ("float32", [1, 3], None, 0, 0),
        },
        [("MUL", ["s", "half"], ["f"]), ("ADD", ["f", "x"], ["t"]), ("LOGISTIC", ["t"], ["y"])],
        {"in": "x", "carried": "s"},
        {"out": "y", "carry": "t"},
    )
    state = {"input": "carried", "output": "carry", "shape": [1, 3]}
    make.card(
        folder,
        labels=["a", "b", "c"],
        input={"rate": 8000, "tensor": "in", "layout": "BF"},
        frontend=make.frontend,
        stream={"mode": "stateful", "chunk": 1, "states": [state]},
        output={"scores": "out"},
    )
    x, leak, expected = frames(15), np.zeros(3), []
    for row in x:
        leak = leak * 0.5 + row
        expected.append(sigmoid(leak))
    np.testing.assert_allclose(joined(run(Model.load(folder).stream(SILENCE), x)), expected, atol=1e-6)


@pytest.mark.parametrize("layout", ["BTF", "BFT", "BTFC", "BFTC", "BCTF", "TF"])
def test_every_layout_hears_the_same(make, tmp_path, layout):
    sizes = {"B": 1, "C": 1, "T": 4, "F": 3}
    folder = tmp_path / "layout"
    folder.mkdir()
    axes = [layout.index("T"), layout.index("F")]
    order = axes + [i for i in range(len(layout)) if i not in axes]
    make.onnx(
        folder / "m.onnx",
        {"x": (np.float32, [sizes[a] for a in layout])},
        {"y": (np.float32, [4, 3])},
        [("Transpose", ["x"], ["t"], {"perm": order}), ("Reshape", ["t", "s"], ["y"])],
        {"s": np.array([4, 3], np.int64)},
    )
    make.window(
        folder,
        4,
        4,
        kinds=(),
        labels=["a", "b", "c"],
        input={"rate": 8000, "tensor": "x", "layout": layout},
        output={"scores": "y", "activation": "sigmoid"},
    )
    x = frames(8)
    np.testing.assert_allclose(joined(run(Model.load(folder).stream(SILENCE), x)), sigmoid(x), atol=1e-6)


def test_softmax_embeddings_and_clip_scores(make, tmp_path):
    folder = tmp_path / "rich"
    folder.mkdir()
    make.onnx(
        folder / "m.onnx",
        {"x": (np.float32, [1, 2, 3])},
        {"y": (np.float32, [1, 2, 3]), "e": (np.float32, [1, 3]), "c": (np.float32, [1, 3])},
        [
            ("Neg", ["x"], ["y"]),
            ("ReduceMax", ["x"], ["e"], {"axes": [1], "keepdims": 0}),
            ("ReduceMean", ["x"], ["c"], {"axes": [1], "keepdims": 0}),
        ],
    )
    make.window(
        folder,
        2,
        2,
        kinds=(),
        labels=["a", "b", "c"],
        output={"scores": "y", "activation": "softmax", "clip": "c", "embedding": "e"},
    )
    x = frames(6)
    block = run(Model.load(folder).stream(SILENCE), x)[0]
    np.testing.assert_allclose(block.scores, np.exp(-x) / np.exp(-x).sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(block.embeddings, np.repeat(x.reshape(3, 2, 3).max(axis=1), 2, axis=0))
    mean = np.exp(x.reshape(3, 2, 3).mean(axis=1))
    np.testing.assert_allclose(block.clip[::2], mean / mean.sum(axis=1, keepdims=True), atol=1e-6)


def test_logits_called_probabilities_are_refused(make, tmp_path):
    folder = make.lookahead(tmp_path / "logits", output={"scores": "scores"})
    scorer = Model.load(folder).stream(SILENCE)
    with pytest.raises(EngineError, match=r"expected probabilities 0 to 1 from `scores`, got .* output.activation"):
        scorer.push(FeatureBlock("e", 0, 32, 8000, np.full((4, 3), 9.0, np.float32)))


def test_scores_that_are_no_number_are_refused(lookahead):
    x = frames(4)
    x[1, 1] = np.nan
    with pytest.raises(EngineError, match="got nan"):
        lookahead.stream(SILENCE).push(FeatureBlock("e", 0, 32, 8000, x))


def test_missing_frames_are_not_joined(windows):
    scorer = windows[4, 2].stream(SILENCE)
    scorer.push(FeatureBlock("e", 0, 32, 8000, frames(3)))
    with pytest.raises(EngineError, match="expected frame 3 of epoch e, got frame 5 of epoch e"):
        scorer.push(FeatureBlock("e", 5, 32, 8000, frames(3)))
    with pytest.raises(EngineError, match="expected frame 3 of epoch e, got frame 3 of epoch f"):
        scorer.push(FeatureBlock("f", 3, 32, 8000, frames(3)))


def test_frames_of_another_front_end_are_refused(windows):
    with pytest.raises(EngineError, match=r"\(rate, hop, features\) = \(8000, 32, 3\), got \(16000, 32, 3\)"):
        windows[4, 2].stream(SILENCE).push(FeatureBlock("e", 0, 32, 16000, frames(3)))


def test_nothing_pushed_nothing_flushed(lookahead, windows):
    for model in (lookahead, windows[4, 2]):
        scorer = model.stream(SILENCE)
        assert scorer.flush().scores.shape == (0, len(model.labels))
        assert len(joined(run(scorer, frames(0)))) == 0
