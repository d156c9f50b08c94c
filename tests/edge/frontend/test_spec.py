import pytest

from edge.errors import SpecError
from edge.frontend.spec import parse

LOG_MEL = {
    "rate": 16000,
    "frames": {"window": 512, "hop": 320},
    "bands": {"kind": "mel", "count": 64, "low": 50.0},
    "scale": {"kind": "ln"},
}


def test_hash_is_frozen():
    # Golden: a change here makes every shipped model's card invalid and needs a new prefix.
    assert parse(LOG_MEL).hash == "fe1:df654dc2d4b41762d9ab4fd4e5fa4d44a0748a46a5e4a0e932da8e5ea6afa447"


def test_hash_ignores_spelled_out_defaults_and_the_spelling_of_numbers():
    verbose = {
        **LOG_MEL,
        "frames": {"hop": 320, "window": 512, "fft": 0, "taper": "hann", "centred": False},
        "bands": {"low": 50, "count": 64, "kind": "mel", "scale": "slaney"},
        "post": [],
        "background": None,
    }
    assert parse(verbose).hash == parse(LOG_MEL).hash


@pytest.mark.parametrize(
    "change", [{"rate": 16001}, {"frames": {"window": 512, "hop": 321}}, {"scale": {"kind": "db"}}]
)
def test_hash_sees_every_change(change):
    assert parse({**LOG_MEL, **change}).hash != parse(LOG_MEL).hash


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"colour": "pink"}, "unknown field `colour`"),
        ({"bands": {"kind": "mel", "cuont": 3}}, "`$.bands`"),
        ({"bands": {"kind": "bark"}}, "Invalid value 'bark' - at `$.bands.kind`"),
        ({"frames": {"window": "long", "hop": 1}}, "Expected `int`, got `str` - at `$.frames.window`"),
        (
            {"frames": {"window": 600, "hop": 320, "fft": 512}},
            "`frames.window` must be 2 to fft = 512 samples, got 600",
        ),
        ({"frames": {"window": 16384, "hop": 320}}, "64 to 8192 samples, got 16384"),
        ({"bands": {"kind": "mel", "count": 4, "low": 9000.0}}, "0 ≤ low < high ≤ 8000 Hz"),
        ({"scale": {"kind": "ln", "floor": 0.0}}, "silence"),
        ({"post": [{"kind": "standardise", "mean": [0.0, 1.0], "std": 1.0}]}, "one finite number or 64 of them, got 2"),
        ({"post": [{"kind": "standardise", "mean": 0.0, "std": 0.0}]}, "above 0"),
        ({"scale": {"kind": "db", "reference": "max"}}, "a stream never knows its maximum"),
        ({"frames": {"window": 512, "hop": 320, "preemphasis": 1.5}}, "`frames.preemphasis` must be 0 to 1, got 1.5"),
        ({"frames": {"window": 512, "hop": 320, "full_scale": 0.0}}, "above 0, at most 2^32, got 0.0"),
        ({"bands": {"kind": "linear", "count": 0}}, "`bands.count` must be 1 to 1024, got 0"),
        ({"post": [{"kind": "pcen"}]}, "it takes the place of a logarithm"),
        ({"scale": {"kind": "linear"}, "post": [{"kind": "pcen", "power": 2.0}]}, "power above 0 to 1"),
        ({"post": [{"kind": "mfcc", "count": 65}]}, "`post[0].count` must be 1 to 64 coefficients, got 65"),
        ({"post": [{"kind": "delta", "order": 3}]}, "Invalid enum value 3 - at `$.post[0].order`"),
        ({"post": [{"kind": "delta", "window": 0}]}, "`post[0].window` must be 1 to 100 frames, got 0"),
        ({"post": [{"kind": "running-mean", "seconds": 0.0}]}, "`post[0].seconds` must be above 0, got 0.0"),
        ({"post": [{"kind": "mfcc"}, {"kind": "noise-floor"}]}, "noise-floor first"),
        ({"background": {"kind": "percentile", "quantile": 1.5}}, "`background.quantile` must be 0 to 1, got 1.5"),
        ({"background": {"kind": "percentile", "seconds": 1e9}}, "time of 1 to 100000 frames"),
        ({"background": {"kind": "running", "speed": 0.0}}, "speed above 0 to 1000 nepers per second"),
        ({"background": {"kind": "running", "least": 0.0}}, "`background.least` must be 1e-20 or more, got 0.0"),
        ({"background": {"kind": "enhance", "floor_db": 3.0}}, "`background.floor_db` must be -100 to 0 dB, got 3.0"),
        ({"highpass": {"hz": 9000.0}}, "`highpass.hz` must be above 0, below 8000 Hz, got 9000.0"),
        ({"highpass": {"hz": 90.0}, "bands": {"kind": "spectrum"}}, "absent where the features are bins"),
        ({"post": [{"kind": "frame-standardise", "least": 0.0}]}, "`post[0].least` must be 1e-6 or more, got 0.0"),
        ({"post": [{"kind": "stack", "count": 0}]}, "count and stride 1 to 1000"),
    ],
)
def test_impossible_specs_are_refused_with_expected_got_and_where(change, text):
    with pytest.raises(SpecError) as error:
        parse({**LOG_MEL, **change})
    assert text in str(error.value)


def test_counts_hop_and_lookahead_follow_the_stages():
    spec = parse(
        {
            **LOG_MEL,
            "frames": {"window": 512, "hop": 320, "centred": True},
            "post": [
                {"kind": "mfcc", "count": 13},
                {"kind": "delta", "order": 2, "window": 3},
                {"kind": "stack", "count": 4, "stride": 2},
                {"kind": "delta", "window": 1},
            ],
        }
    )
    assert spec.counts == [64, 13, 39, 156, 312]
    assert spec.hop == 640
    # Half a window, 6 frames of deltas, 3 more frames of the stack, one more stack.
    assert spec.lookahead == 256 + 6 * 320 + 3 * 320 + 640
    assert spec.reach == spec.lookahead


def test_a_frame_that_is_not_centred_waits_for_its_window_only():
    assert (parse(LOG_MEL).lookahead, parse(LOG_MEL).reach) == (0, 512)
