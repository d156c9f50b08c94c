"""The front-end benchmark: real peers compute what they claim to, and the report says what was measured."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bench import frontend, report
from bench.cli import bench
from bench.peers import PEERS
from edge.errors import ConfigError

TITLE, SPEC = next(iter(frontend.CASES.items()))
INSTALLED = [name for name in PEERS if report.installed(name)]


@pytest.mark.parametrize("name", INSTALLED)
def test_a_peer_computes_the_same_features_offline_and_by_hops(name):
    peer = PEERS[name](SPEC)
    x = (0.1 * np.random.default_rng(0).standard_normal(20 * SPEC.hop)).astype(np.float32)
    whole = peer.offline(x)
    want = frontend.reference(peer.reference_spec(), x)
    np.testing.assert_allclose(whole, want, atol=1e-3)
    hops = [peer.hop(peer.prepare(x[i : i + SPEC.hop])).copy() for i in range(0, len(x), SPEC.hop)]
    # The last hops see whole windows; peers without a stream of their own had zeros before the first one.
    np.testing.assert_allclose(np.array(hops[-5:]), hop_reference(peer, x)[-5:], atol=1e-3)


def hop_reference(peer, x):
    """Frames that end with each hop, as peers with a rolling window give them; Kaldi's begin on the grid."""
    spec = peer.reference_spec()
    if type(peer).__name__ == "KaldiNativeFbank":
        return frontend.reference(spec, x)
    late = -len(x) % spec.hop + (len(x) - spec.frames.window) % spec.hop
    return frontend.reference(spec, x[late:])


def test_an_unknown_or_missing_peer_is_refused():
    with pytest.raises(ConfigError, match=r"expected peers of librosa, .*, got 'fftw'"):
        frontend.run(["fftw"])


def test_the_command_prints_all_figures_as_json():
    done = CliRunner().invoke(
        bench, ["frontend", "--against", "scipy", "--seconds", "1", "--rounds", "1", "--no-paced", "--json"]
    )
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["machine"]["versions"]["numpy"] == np.__version__
    assert [result["settings"]["case"] for result in data["results"]] == list(frontend.CASES)
    for result in data["results"]:
        cells = {(figure["row"], figure["column"]): figure["value"] for figure in result["figures"]}
        rows = {row for row, _ in cells}
        assert rows == {frontend.OURS, frontend.BLOCKS, frontend.PLAIN, "scipy"}
        assert cells[frontend.OURS, "hop, times ours"] == 1
        assert all(0 < cells[row, "one hop p50"] <= cells[row, "one hop p99"] for row in rows)
        assert max(value for (_, column), value in cells.items() if column == "largest error") < 1e-4


def test_a_section_of_a_document_is_replaced_and_nothing_else(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- t -->\nold\n<!-- /t -->\nafter\n", encoding="utf-8")
    report.replace_section(path, "t", report.markdown(("", "µs"), [("x", "1.0")]))
    assert path.read_text(encoding="utf-8") == (
        "before\n<!-- t -->\n|  | µs |\n| --- | --: |\n| x | 1.0 |\n<!-- /t -->\nafter\n"
    )
    with pytest.raises(ValueError, match="expected the marks <!-- other -->"):
        report.replace_section(path, "other", "")


def test_threads_are_compared_on_the_same_recording():
    timings = frontend.hour(seconds=2, rounds=1)
    assert list(timings) == ["wheatear, 1 thread", "wheatear, 2 threads"]
    one, two = frontend.hour_table(timings).splitlines()[2:]
    assert one.startswith("| wheatear, 1 thread |")
    assert one.endswith("| 1.00 |")
    assert two.startswith("| wheatear, 2 threads |")
