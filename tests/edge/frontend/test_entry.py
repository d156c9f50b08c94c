"""The method between Python and a kernel: which arrays it takes, and what becomes of the others."""

import gc
import sys

import numpy as np
import pytest

from edge.frontend import entry, footprint
from edge.frontend.extractor import Extractor
from edge.frontend.spec import parse

SPEC = parse(
    {
        "rate": 16000,
        "frames": {"window": 64, "hop": 32},
        "bands": {"kind": "mel", "count": 4},
        "scale": {"kind": "ln"},
    }
)
SOUND = np.clip(np.random.default_rng(0).standard_normal(96), -1, 1).astype(np.float32)
SHORTS = (SOUND * 32767).astype(np.int16)


class Recording(np.ndarray):
    """An array of another type."""


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def strided(x):
    return np.repeat(x, 2)[::2]


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype)
    view[:] = x
    return view


@pytest.fixture
def long_way(monkeypatch):
    """What went the long way."""
    taken, pushed = [], Extractor._pushed

    def seen(self, samples):
        taken.append(samples)
        return pushed(self, samples)

    monkeypatch.setattr(Extractor, "_pushed", seen)
    return taken


SHORT_WAY = {"as it is": lambda x: x, "read only": read_only, "copied": np.copy}
LONG_WAY = {
    "strided": strided,
    "unaligned": unaligned,
    "of another byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "two-dimensional": lambda x: x[:, None],
    "of another class": lambda x: x.view(Recording),
    "of another type": lambda x: x.astype(np.float64),
}


@pytest.mark.parametrize("samples", [SOUND, SHORTS], ids=["float32", "int16"])
@pytest.mark.parametrize("name", [*SHORT_WAY, *LONG_WAY])
def test_any_array_of_samples_gives_the_same_frames(name, samples, long_way):
    if name == "of another type" and samples is SHORTS:
        pytest.skip("numbers of another type than int16 are full scale at 1")
    extractor = Extractor(SPEC)
    change = (SHORT_WAY | LONG_WAY)[name]
    got = extractor.push(change(samples)).copy()
    assert len(long_way) == (name in LONG_WAY)
    extractor.reset()
    np.testing.assert_array_equal(got, extractor.push(samples))
    assert len(got) == 2


@pytest.mark.parametrize("what", [None, 3, "sound", [0.0] * 96, SOUND.tobytes()])
def test_what_is_no_array_raises_in_python(what):
    with pytest.raises(AttributeError, match="has no attribute 'size'"):
        Extractor(SPEC).push(what)


def test_many_samples_go_the_long_way(long_way):
    extractor = Extractor(SPEC)
    assert len(extractor.push(np.tile(SOUND, 9))) == (9 * 96 - 64) // 32 + 1
    assert len(long_way) == 1


def test_where_arrays_look_otherwise_all_samples_go_the_long_way(monkeypatch, long_way):
    want = Extractor(SPEC).push(SOUND).copy()
    monkeypatch.setattr(entry, "usable", lambda: False)
    extractor = Extractor(SPEC)
    np.testing.assert_array_equal(extractor.push(SOUND), want)
    assert len(long_way) == 1


def test_arrays_lie_as_expected():
    assert entry.usable()


def test_the_method_keeps_what_it_needs_and_lets_go_of_the_rest():
    extractor = Extractor(SPEC)
    push = extractor.push
    want = extractor.push(SOUND).copy()
    extractor.reset()
    del extractor
    gc.collect()
    np.testing.assert_array_equal(push(SOUND), want)

    nothing, held = SOUND[:0].copy(), SOUND.copy()
    frames = push(nothing)
    before = sys.getrefcount(frames), sys.getrefcount(nothing), sys.getrefcount(held)
    for _ in range(100):
        push(nothing)
    assert (sys.getrefcount(frames), sys.getrefcount(nothing), sys.getrefcount(held)) == before


def resident():
    """Bytes of files in memory."""
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssFile:"))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/maps is Linux's")
def test_code_of_the_compiler_is_given_back_and_comes_again():
    Extractor(parse({"rate": 16000, "frames": {"window": 64, "hop": 31}, "bands": {"kind": "mel", "count": 3}}))
    footprint.release()
    least = resident()
    from llvmlite import binding

    binding.parse_assembly("define i32 @f() { ret i32 1 }").verify()
    assert resident() > least
    assert footprint.release() > 10 * 2**20
    assert resident() < least + 2**20


def test_where_there_is_no_list_of_pages_nothing_is_given_back(tmp_path):
    assert footprint.release(tmp_path / "none") == 0
