import tomllib

import msgspec
import pytest

from edge.config import Condition, Config, Gate, Rules, Schedule, Second, Stream, load, override
from edge.config.check import problems
from edge.config.load import convert
from edge.errors import ConfigError
from edge.inference.card import Decode, Rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "unknown field `colour`"),
        ("[publish]\nport = 1", "unknown field `port` - at `$.publish`"),
        ("[journal]\nkeep = 3", "Expected `int` >= 1000, got 3 - at `$.journal.keep`"),
        ("realtime = 'yes'", "Expected `bool`, got `str` - at `$.realtime`"),
        ("device = 'Käfer 1'", "$.device"),
        ("engine = 'tensorrt'", "$.engine"),
        ("model = ", "expected TOML"),
    ],
)
def test_a_broken_file_is_refused_with_expected_got_and_where(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")


def test_options_go_over_the_file():
    config = Config(streams=(Stream(model="m", source="a"),))
    config = override(config, {"source": "b", "model": None, "stream": "s", "publish.events": "tcp://127.0.0.1:1"})
    assert (config.streams, config.publish.events) == (
        (Stream(model="m", source="b", name="s"),),
        "tcp://127.0.0.1:1",
    )


def test_an_option_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"\$\.channel"):
        override(Config(), {"channel": "left"})


def test_an_option_of_one_stream_needs_one_stream():
    config = Config(streams=(Stream(name="a"), Stream(name="b")))
    with pytest.raises(ConfigError, match="a configuration of one stream for `source`, got 2 streams"):
        override(config, {"source": "x.wav"})
    assert override(config, {"device": "hut"}).device == "hut"


CALL = {"label": "call"}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"model": "m"}, "Expected one of `when` and `unless`, got neither - at `$.streams[0].second`"),
        (
            {"model": "m", "when": CALL, "unless": CALL},
            "Expected one of `when` and `unless`, got both - at `$.streams[0].second`",
        ),
        ({"when": CALL}, "Object missing required field `model` - at `$.streams[0].second`"),
        ({"model": "m", "when": {}}, "Object missing required field `label` - at `$.streams[0].second.when`"),
        (
            {"model": "m", "when": CALL | {"above": 3}},
            "Expected `float` <= 1.0, got 3 - at `$.streams[0].second.when.above`",
        ),
        (
            {"model": "m", "unless": CALL | {"befor": 3}},
            "Object contains unknown field `befor` - at `$.streams[0].second.unless`; did you mean `before`?",
        ),
    ],
)
def test_a_second_stage_that_cannot_be_is_refused(second, message):
    assert problems({"streams": [{"second": second}]}, Config) == [message]


def test_a_stream_wishes_for_the_model_of_its_second_stage_last_and_each_has_its_rules():
    second = Second("expensive", when=Condition("call"), precision="int8", decode=Rules(on=0.2))
    stream = Stream(model=("a", "b"), engine="onnx", second=second, decode=Rules(on=0.7))
    assert stream.wishes == (("a", "onnx", ""), ("b", "onnx", ""), ("expensive", "", "int8"))
    assert [rules.on for rules in stream.rules] == [0.7, 0.7, 0.2]


def test_rules_replace_the_cards_for_all_labels():
    card = Decode(on=0.5, merge_gap=1.0, ignore=["cat"], labels={"dog": Rule(on=0.7, median=0.2)})
    rules = Rules(on=0.9, ignore=("cow",)).over(card)
    assert (rules.on, rules.merge_gap, rules.ignore) == (0.9, 1.0, ["cat", "cow"])
    assert (rules.labels["dog"].on, rules.labels["dog"].median) == (0.9, 0.2)


@pytest.mark.parametrize(
    ("source", "name"),
    [("mic:", "mic"), ("-", "stdin"), ("mic:USB Audio", "usb-audio"), ("rtsp://me:secret@cam.local/a", "cam-local-a")],
)
def test_streams_are_named_after_their_source_without_secrets(source, name):
    assert Stream(source=source).stream_name == name


def test_all_that_is_wrong_is_said_at_once_with_expected_got_and_where():
    data = tomllib.loads(
        """
        [[streams]]
        sorce = "a.wav"
        channel = -1
        engine = "tensorrt"
        gate = { hold = 1 }
        [[streams.schedule]]
        start = "25:00"
        [[streams.schedule]]
        timezone = "Atlantis/Poseidonis"
        [[streams]]
        name = "two"
        decode = { on = 3 }
        source = 7
        """
    )
    assert problems(data, Config) == [
        "Object contains unknown field `sorce` - at `$.streams[0]`; did you mean `source`?",
        "Expected `int` >= 0, got -1 - at `$.streams[0].channel`",
        "Expected one of '', 'onnx', 'tflite', got 'tensorrt' - at `$.streams[0].engine`",
        "Object missing required field `open_dbfs` - at `$.streams[0].gate`",
        "Expected a time of day from 00:00 to 24:00, got '25:00' - at `$.streams[0].schedule[0].start`",
        "Expected a time zone such as `Europe/Berlin`, got `'Atlantis/Poseidonis'` - at `$.streams[0].schedule[1]`",
        "Expected `float` <= 1.0, got 3 - at `$.streams[1].decode.on`",
        "Expected `str`, got `int` - at `$.streams[1].source`",
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("device", "Garden Shed", "a name of a-z, 0-9, - and _, at most 64 of them"),
        ("mqtt", {"prefix": "#"}, "an MQTT topic of A-Z, a-z, 0-9, _, - and /"),
        ("mqtt", {"discovery": "home assistant"}, "an MQTT topic, or nothing"),
    ],
)
def test_no_pattern_is_shown_to_people(key, value, expected):
    (problem,) = problems({key: value}, Config)
    assert problem.startswith(f"Expected {expected}, got ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[streams]]\n[[streams]]", "Expected streams of different names, got 2 named `mic`; give each a `name`"),
        ("stream = 'device'", "kept for the device itself"),
        ("streams = []", "Expected `array` of length >= 1"),
        ("version = 9", "Expected a version from 1 to 2, got 9 - at `$.version`; upgrade wheatear"),
        ("version = true", "Expected a version from 1 to 2, got True"),
        ("version = 1\n[[streams]]", "write version = 2"),
        ("version = 2\nsource = 'a.wav'", "unknown field `source`"),
        ("source = 'rtsp://me:secret@cam'\nchannel = -2", "got -2 - at `$.channel`"),
    ],
)
def test_streams_and_versions_are_checked(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert message in str(error.value)


def test_a_wrong_value_is_shown_without_its_password():
    (said,) = problems({"streams": [{"name": "rtsp://me:secret@cam/a"}]}, Config)
    assert "***@cam" in said
    assert "secret" not in said


def test_a_file_of_the_first_version_is_one_stream(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        "source = 'dawn.flac'\nmodel = 'm'\nstream = 'hedge'\ndevice = 'hut'\nchannel = 1\n[decode]\non = 0.7\n"
        "[publish]\nevents = 'tcp://127.0.0.1:1'"
    )
    old = load(path)
    path.write_text(
        "version = 2\ndevice = 'hut'\n[publish]\nevents = 'tcp://127.0.0.1:1'\n[[streams]]\nname = 'hedge'\n"
        "source = 'dawn.flac'\nmodel = 'm'\nchannel = 1\ndecode = { on = 0.7 }"
    )
    assert load(path) == old
    assert old.streams == (Stream(name="hedge", source="dawn.flac", model="m", channel=1, decode=Rules(on=0.7)),)


def test_what_is_loaded_survives_its_own_plain_form():
    config = Config(
        streams=(
            Stream(name="a", model=("m", "n"), gate=Gate(open_dbfs=-40), schedule=(Schedule(days=("mon",)),)),
            Stream(name="b"),
        )
    )
    assert convert(msgspec.to_builtins(config), "here") == config
