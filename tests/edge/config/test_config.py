import pytest

from edge.config import Config, load, override
from edge.errors import ConfigError
from edge.inference.card import Decode, Rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "unknown field `colour`"),
        ("[publish]\nport = 1", "unknown field `port` - at `$.publish`"),
        ("[journal]\nkeep = 3", "Expected `int` >= 1000 - at `$.journal.keep`"),
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
    config = override(
        Config(model="m", source="a"), {"source": "b", "model": None, "publish.events": "tcp://127.0.0.1:1"}
    )
    assert (config.source, config.model, config.publish.events) == ("b", "m", "tcp://127.0.0.1:1")


def test_an_option_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"\$\.channel"):
        override(Config(), {"channel": "left"})


def test_rules_replace_the_cards_for_all_labels():
    card = Decode(on=0.5, merge_gap=1.0, labels={"dog": Rule(on=0.7, median=0.2)})
    config = override(Config(), {"decode.on": 0.9})
    rules = config.rules(card)
    assert (rules.on, rules.merge_gap) == (0.9, 1.0)
    assert (rules.labels["dog"].on, rules.labels["dog"].median) == (0.9, 0.2)


@pytest.mark.parametrize(
    ("source", "name"),
    [("mic:", "mic"), ("-", "stdin"), ("mic:USB Audio", "usb-audio"), ("rtsp://me:secret@cam.local/a", "cam-local-a")],
)
def test_streams_are_named_after_their_source_without_secrets(source, name):
    assert Config(source=source).stream_name == name
