"""Any bytes and any TOML are a configuration or one line of complaint: no crash, no hang, nothing written."""

import string

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import Config, load
from edge.config.load import convert
from edge.errors import ConfigError

FAST = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(FAST, max_examples=10_000)


def names(kind, found):
    """All keys of a table and of those within it."""
    for field in msgspec.structs.fields(kind):
        found.add(field.encode_name)
        for part in getattr(field.type, "__args__", [field.type]):
            inner = getattr(part, "__args__", [part])[0]
            for one in (part, inner):
                if isinstance(one, type) and issubclass(one, msgspec.Struct):
                    names(one, found)
    return sorted(found)


KEYS = st.sampled_from(names(Config, set())) | st.text(string.printable, max_size=8)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 2, -1, 0.5, 1e308])
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["mic:", "-", "esc10-s", "mix", "24:00", "mon", "UTC", "../../etc", "/dev/zero", "a" * 300, "\x00", "rtsp://a:b@c"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=8,
)
FILES = st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
LINES = st.lists(
    st.tuples(KEYS, st.sampled_from(["= 1", "= 'x'", "= []", "= {}", "= 1979-05-27", "=", "= nan", "= 0x"])), max_size=8
).map(lambda lines: "\n".join(f"{key} {rest}" for key, rest in lines).encode())


def outcome(read, *arguments):
    """The configuration, or the complaint."""
    try:
        return read(*arguments)
    except ConfigError as error:
        return str(error)


def is_one_line(text):
    return "\n" not in text and text.isprintable() and len(text) < 20_000


def any_table(data):
    got = outcome(convert, data, "here")
    if isinstance(got, Config):
        assert convert(msgspec.to_builtins(got), "here") == got
    else:
        assert is_one_line(got)


def any_file(path, data):
    path.write_bytes(data)
    got = outcome(load, path)
    assert isinstance(got, Config) or is_one_line(got)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


TABLES = st.dictionaries(KEYS, VALUES, max_size=8)


@FAST
@given(TABLES)
def test_any_table_is_read_or_refused(data):
    any_table(data)


@FAST
@given(FILES | LINES)
def test_any_file_is_read_or_refused(tmp_path_factory, data):
    any_file(tmp_path_factory.mktemp("fuzz") / "c.toml", data)


@pytest.mark.long
@pytest.mark.timeout(1200)
@LONG
@given(TABLES)
def test_ten_thousand_tables_are_read_or_refused(data):
    any_table(data)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ten_thousand_files_are_read_or_refused(tmp_path):
    @LONG
    @given(FILES | LINES)
    def check(data):
        any_file(tmp_path / "c.toml", data)

    check()


@pytest.mark.parametrize("depth", [100, 20_000])
def test_deep_nesting_is_refused(tmp_path, depth):
    path = tmp_path / "c.toml"
    path.write_text("x = " + "[" * depth + "]" * depth)
    with pytest.raises(ConfigError):
        load(path)
