"""Tables of labels become tables that say less, by hand-worked examples; never ones that say more."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from edge.errors import ConfigError
from training.commands.labels import labels as command
from training.data.convert import convert

HEAD = "filename\tonset\toffset\tevent_label\n"
# Card 15's pattern: two words over a blender. And a recording without any sound.
STRONG = HEAD + (
    "a.wav\t3.000000\t6.000000\tspeech\na.wav\t0.000000\t2.000000\tspeech\na.wav\t1.000000\t5.000000\tblender\nb.wav\t\t\t\n"
)
ORDER = (
    "filename\tevent_order\na.wav\tspeech_start;blender_start;speech_end;speech_start;blender_end;speech_end\nb.wav\t\n"
)
WEAK = "filename\tevent_labels\na.wav\tblender;speech\nb.wav\t\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "in.tsv").write_text(STRONG)
    return tmp_path / "in.tsv"


def converted(path, kind, **how):
    target = path.with_name(f"{kind}.tsv")
    convert(path, target, kind, **how)
    return target.read_text()


def test_strong_to_order_to_weak_by_hand(path):
    assert converted(path, "order") == ORDER
    assert converted(path.with_name("order.tsv"), "weak") == WEAK
    assert converted(path, "weak") == WEAK
    assert converted(path.with_name("weak.tsv"), "weak") == WEAK


def test_dcase_joins_what_is_near_and_leaves_out_what_is_short(path):
    # 1.0 … 1.4 and 1.5 … 2.0 are 0.1 s apart; 3.0 … 3.2 is too short; 4.0 … 4.2 and 4.3 … 4.4 are long enough joined.
    times = [(1.0, 1.4), (1.5, 2.0), (3.0, 3.2), (4.0, 4.2), (4.3, 4.4)]
    path.write_text(HEAD + "".join(f"a.wav\t{a}\t{b}\tdog\n" for a, b in times))
    rows = converted(path, "strong", merge=0.15, shortest=0.25).splitlines()[1:]
    assert rows == ["a.wav\t1.000000\t2.000000\tdog", "a.wav\t4.000000\t4.400000\tdog"]


def test_a_table_does_not_learn_what_it_does_not_say(path):
    converted(path, "weak")
    with pytest.raises(ValueError, match=r"weak\.tsv: expected strong or order labels, got weak ones"):
        convert(path.with_name("weak.tsv"), path.with_name("x.tsv"), "order")
    converted(path, "order")
    with pytest.raises(ValueError, match="expected strong labels to merge"):
        convert(path.with_name("order.tsv"), path.with_name("x.tsv"), "weak", merge=0.1)
    path.write_text("name\tsound\na.wav\tdog\n")
    with pytest.raises(ValueError, match="expected a column event_label, event_order, event_labels, got name, sound"):
        convert(path, path.with_name("x.tsv"), "weak")


def test_the_command_says_what_it_wrote_and_what_is_wrong(path):
    target = path.with_name("w.tsv")
    result = CliRunner().invoke(command, ["convert", str(path), str(target), "--to", "weak"], catch_exceptions=False)
    assert result.output == f"{target}: 2 recordings, classes blender, speech\n"
    path.write_text(STRONG.replace("2.000000", "later"))
    with pytest.raises(ConfigError, match=r"labels: .*in\.tsv:3: expected a number in offset, got 'later'"):
        CliRunner().invoke(command, ["convert", str(path), str(target), "--to", "weak"], catch_exceptions=False)
