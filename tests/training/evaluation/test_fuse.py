"""Networks as one, by hand-worked scores, and the command on networks that hear half each."""

import doctest

import numpy as np
import pytest
import soundfile

from edge.blocks import ScoreBlock
from edge.errors import ConfigError
from edge.inference.card import Decode
from training.data.dataset import Item
from training.evaluation import fuse, report, targets
from training.evaluation.evaluate import evaluate
from training.evaluation.heard import Heard
from training.evaluation.targets import Target, clip_scores

A, B = np.float32([[0.9, 0.1], [0.2, 0.1], [0.4, 0.8]]), np.float32([[0.4, 0.3], [0.7, 0.1], [0.0, 0.2]])


def heard(clips, names="abc", weak=((0,), (0,), ())):
    empty = ScoreBlock("r", 0, 320, 16_000, np.zeros((0, clips.shape[1]), np.float32), 320)
    items = [Item(f"{name}.wav", f"{name}.wav", label) for name, label in zip(names, weak, strict=False)]
    return [Heard(item, 1.0, empty, clip, (Decode(), ())) for item, clip in zip(items, clips, strict=False)]


def test_doctests_hold():
    assert doctest.testmod(fuse).failed == 0


def test_mean_and_max_by_hand():
    np.testing.assert_allclose(fuse.fused([A, B], "mean"), [[0.65, 0.2], [0.45, 0.1], [0.2, 0.5]], atol=1e-7)
    np.testing.assert_array_equal(fuse.fused([A, B], "max"), np.maximum(A, B))
    with pytest.raises(ValueError, match="expected one of mean, max, rank, got 'median'"):
        fuse.fused([A], "median")


def test_ranks_are_shares_of_the_others_and_ignore_the_scale():
    np.testing.assert_allclose(fuse.ranks(A), [[1, 0.25], [0, 0.25], [0.5, 1]])
    np.testing.assert_allclose(fuse.fused([A**3, B], "rank"), fuse.fused([A, B], "rank"))
    assert fuse.ranks(A[:1]).tolist() == [[0.0, 0.0]]


def test_a_mean_may_be_weighted():
    np.testing.assert_allclose(fuse.fused([A, B], "mean", [3, 1]), 0.75 * A + 0.25 * B, atol=1e-7)


def test_by_a_mean_frames_are_fused_as_a_device_does():
    def kept(scores, hop):
        block = ScoreBlock("r", 0, hop, 100, np.float32(scores)[:, None], hop)
        return [Heard(Item("a", "a", (0,)), 0.8, block, block.scores.max(axis=0))]

    fast, slow = kept([0.0, 0.8, 0.8, 0.0], 20), kept([1.0, 0.0], 40)
    _, (both,) = fuse.together([fast, slow], "mean", [1, 3])
    np.testing.assert_allclose(both.block.scores.ravel(), [0.75, 0.95, 0.2, 0.0], atol=1e-7)
    events = [(sound.onset, sound.offset) for sound in both.events(["bird"], Decode(on=0.9, off=0.7))]
    assert events == [(0.0, 0.4)]


def test_learnt_weights_are_the_likeliest_by_hand():
    """Two of three recordings with a bird the first one hears at 0.8 and the other at 0.2; the third the other way.

    The likelihood of w and 1 - w is (0.2 + 0.6 w)² (0.8 - 0.6 w), highest where 2 (0.8 - 0.6 w) = 0.2 + 0.6 w: w = 7/9.
    """
    one, other = np.float32([[0.8], [0.8], [0.2]]), np.float32([[0.2], [0.2], [0.8]])
    birds = ((0,), (0,), (0,))
    weights = fuse.likeliest([heard(one, weak=birds), heard(other, weak=birds)])
    np.testing.assert_allclose(weights, [7 / 9, 2 / 9], atol=1e-6)
    deaf = fuse.likeliest([heard(one, weak=birds), heard(one * 0.5, weak=birds)])
    np.testing.assert_allclose(deaf, [1, 0], atol=1e-3)  # the other one is less sure of each
    with pytest.raises(ValueError, match="whose classes are known to learn weights from, got none"):
        fuse.likeliest([heard(one, weak=(None,) * 3)])


def test_recordings_with_a_class_and_without_it_count_alike():
    """The first hears birds and calls everything one, the second nothing: one bird weighs as much as three without."""
    one, other = np.float32([[0.9]] * 4), np.float32([[0.1]] * 4)
    weights = fuse.likeliest([heard(one, "abcd", ((0,), (), (), ())), heard(other, "abcd", ((0,), (), (), ()))])
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=1e-9)


def test_no_recording_is_measured_by_weights_that_it_chose():
    """Recordings a and c trust the first network, b the second: by turns each is judged by what the others trust."""
    one, other = np.float32([[0.9], [0.1], [0.9]]), np.float32([[0.1], [0.9], [0.1]])
    birds = ((0,), (0,), (0,))
    found = {h.item.name: float(h.clip[0]) for h in fuse.in_turn([heard(one, weak=birds), heard(other, weak=birds)])}
    assert found == pytest.approx({"a.wav": 0.1, "b.wav": 0.1, "c.wav": 0.1}, abs=1e-3)


def test_only_recordings_that_all_were_asked_for_count_in_any_order():
    one, other = heard(A), heard(B[[2, 0]], "ca", ((), (0,)))
    each, both = fuse.together([one, other], "mean")
    assert [[h.item.name for h in part] for part in (*each, both)] == [["a.wav", "c.wav"]] * 3
    np.testing.assert_allclose([h.clip[0] for h in both], [0.65, 0.2], atol=1e-7)
    with pytest.raises(ValueError, match="none of the networks learnt from, got none"):
        fuse.together([heard(A), heard(A, "xyz")], "mean")


def test_two_that_each_miss_a_bird_find_both_together():
    """One hears the first bird only and one the second, and both the same of the quiet recording: AUC by hand."""
    one, other = np.float32([[0.9], [0.2], [0.4]]), np.float32([[0.2], [0.9], [0.4]])
    each, both = fuse.together([heard(one), heard(other)], "max")
    areas = [fuse.figures(part, ["bird"], exclusive=False)["auc"] for part in (*each, both)]
    assert areas == [0.5, 0.5, 1.0]


def test_a_recording_is_made_of_its_windows():
    clip = np.float32([[0.1], [0.8], [0.3]])
    block = ScoreBlock("r", 0, 320, 16_000, np.float32([[0.2], [1.0], [0.6]]), 320, clip=clip)
    found = [float(clip_scores(block, over)[0]) for over in ("last", "mean", "max")]
    np.testing.assert_allclose(found, [0.3, 0.4, 0.8], atol=1e-6)
    bare = ScoreBlock("r", 0, 320, 16_000, block.scores, 320)
    np.testing.assert_allclose([clip_scores(bare, o)[0] for o in ("mean", "max")], [0.6, 1.0], atol=1e-6)


def test_a_report_has_each_network_and_all(tmp_path, monkeypatch):
    """Two networks, each deaf to one of two tones, hear both together."""
    t = np.arange(16_000) / 16_000
    for name, hertz in (("low", 400), ("high", 4000), ("none", 0)):
        folder = tmp_path / "data" / "tones" / ("other" if name == "none" else "tone")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", 0.3 * np.sin(2 * np.pi * hertz * t), 16_000)

    def ear(hertz):
        def scores(samples):
            share = round(np.abs(np.fft.rfft(samples))[hertz] / 3000, 3)
            return ScoreBlock("r", 0, 16_000, 16_000, np.float32([[min(share, 1.0), 0.0]]), 16_000)

        return Target(f"ear{hertz}", "float network", ("tone", "other"), 16_000, Decode(), scores, None,
                      lambda *_: False, None, None)  # fmt: skip

    monkeypatch.setattr(targets, "load", lambda folder: [ear(int(folder.name))])
    table = {"kind": "folders", "folder": "tones"}
    found = evaluate([tmp_path / "400", tmp_path / "4000"], tmp_path / "data", table, fuse="max")["fused"]
    assert found["recordings"] == 3
    # Of "tone" each alone knows one of two from quiet, the other is a tie: 0.75. "other" has no score at all: 0.5.
    assert [part["auc"] for part in (*found["each"].values(), found["together"])] == [0.625, 0.625, 0.75]
    folders = [tmp_path / "400", tmp_path / "4000"]
    weighed = evaluate(folders, tmp_path / "data", table, fuse="mean", weights=(3, 1))["fused"]
    assert weighed["by"] == "mean with weights 3, 1"
    # Its 0.75 or 0.25 of what each hears: only the tone of the first reaches 0.5, so one of two is found.
    assert (weighed["each"]["ear400"]["found"], weighed["together"]["found"]) == (1 / 3, 1 / 3)
    with pytest.raises(ConfigError, match=r"Expected 2 weights of 0 and more, .* one for each of ear400, ear4000"):
        evaluate(folders, tmp_path / "data", table, fuse="mean", weights=(3, 1, 1))
    with pytest.raises(ConfigError, match="expected weights with a mean, got them with max"):
        evaluate(folders, tmp_path / "data", table, fuse="max", weights=(3, 1))
    (tmp_path / "data/tones/other/more.wav").write_bytes((tmp_path / "data/tones/other/none.wav").read_bytes())
    learnt = evaluate(folders, tmp_path / "data", table, fuse="mean", weights="learn")["fused"]
    assert learnt["by"].startswith("mean with weights that the other half chose (all: ")
    assert "**all, by max**" in report.markdown({**_section(), "fused": found})


def _section():
    return {"kind": "evaluation", "data": {"name": "d", "recordings": 3, "folder": "d"}, "labels": [], "targets": []}
