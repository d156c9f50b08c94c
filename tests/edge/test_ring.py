"""The ring: every sample is delivered once, in order, or counted as lost exactly."""

import threading
import time

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding as llvm

from edge import ring as ring_module
from edge.errors import SourceError
from edge.ring import Ring


def ramp(start, count):
    """Samples that carry their own index; float32 is exact up to 2^24."""
    return np.arange(start, start + count, dtype=np.float32)


def drain(ring, limit=10**9):
    blocks = []
    while (block := ring.read(limit, 0)) is not None:
        blocks.append(block)
    return blocks


def test_what_is_written_is_read_with_its_index():
    ring = Ring(8, 16000)
    ring.begin("a", start=100)
    ring.write(ramp(0, 5))
    block = ring.read(3, 0)
    assert (block.epoch, block.start, block.rate, block.gap, block.exact) == ("a", 100, 16000, 0, True)
    assert block.samples.tolist() == [0, 1, 2]
    assert ring.read(3, 0).samples.tolist() == [3, 4]
    assert ring.read(3, 0) is None


def test_overrun_of_seven_samples_by_hand():
    ring = Ring(4, 16000)
    ring.begin("a")
    ring.write(ramp(0, 3))
    assert ring.read(1, 0).samples.tolist() == [0]
    ring.write(ramp(3, 9))  # 12 written, 1 read, the newest 4 remain: 1 … 7 are gone
    block = ring.read(10, 0)
    assert (block.start, block.gap, block.exact, block.samples.tolist()) == (8, 7, True, [8, 9, 10, 11])
    assert (ring.overruns, ring.lost) == (1, 7)


def test_one_write_larger_than_the_ring_keeps_the_newest():
    ring = Ring(4, 16000)
    ring.begin("a")
    ring.write(ramp(0, 11))
    block = ring.read(10, 0)
    assert (block.start, block.gap, block.samples.tolist()) == (7, 7, [7, 8, 9, 10])


def test_a_block_never_crosses_a_mark():
    ring = Ring(100, 16000)
    ring.begin("a")
    ring.write(ramp(0, 3))
    ring.begin("a", start=10, lost=7)
    ring.write(ramp(10, 3))
    ring.begin("b", lost=5, exact=False)
    ring.write(ramp(0, 3))
    got = [(b.epoch, b.start, b.gap, b.exact, len(b.samples)) for b in drain(ring)]
    assert got == [("a", 0, 0, True, 3), ("a", 10, 7, True, 3), ("b", 0, 5, False, 3)]
    assert ring.lost == 12


def test_an_overrun_over_an_epoch_counts_both_losses():
    ring = Ring(4, 16000)
    ring.begin("a")
    ring.write(ramp(0, 6))
    ring.begin("b", lost=100, exact=False)
    ring.write(ramp(0, 5))
    block = ring.read(10, 0)
    assert (block.epoch, block.start, block.gap, block.exact) == ("b", 1, 6 + 100 + 1, False)


def test_a_loss_at_the_very_end_is_told_by_an_empty_block():
    ring = Ring(4, 16000)
    ring.begin("a")
    ring.write(ramp(0, 2))
    ring.begin("b", lost=9, exact=False)
    ring.close(SourceError("device gone"))
    assert ring.read(10, 0).gap == 0
    assert not ring.ended
    last = ring.read(10, 0)
    assert (last.epoch, last.gap, last.exact, len(last.samples)) == ("b", 9, False, 0)
    with pytest.raises(SourceError, match="device gone"):
        ring.read(10, 0)


def test_close_error_comes_after_the_last_sample_and_the_first_close_counts():
    ring = Ring(4, 16000)
    ring.begin("a")
    ring.write(ramp(0, 2))
    ring.close(SourceError("first"))
    ring.close()
    assert not ring.ended
    assert len(ring.read(10, 0).samples) == 2
    assert ring.ended
    with pytest.raises(SourceError, match="first"):
        ring.read(10, 0)


def test_clean_end_is_none_at_once():
    ring = Ring(4, 16000)
    ring.begin("a")
    ring.close()
    before = time.monotonic()
    assert ring.read(10, 30) is None
    assert ring.ended
    assert time.monotonic() - before < 10


def test_write_before_begin_is_refused():
    with pytest.raises(ValueError, match="begin"):
        Ring(4, 16000).write(ramp(0, 1))


def test_any_float_array_is_accepted():
    ring = Ring(64, 16000)
    ring.begin("a")
    ring.write(np.frombuffer(ramp(0, 4).tobytes(), np.float32))  # read-only
    ring.write(np.arange(4, 12, dtype=np.float64)[::2])  # other type, strided
    ring.write(np.frombuffer(b"x" + ramp(12, 2).tobytes(), np.float32, offset=1))  # not aligned
    assert np.concatenate([b.samples for b in drain(ring)]).tolist() == [0, 1, 2, 3, 4, 6, 8, 10, 12, 13]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40)),
        st.tuples(st.just("read"), st.integers(1, 40)),
        st.tuples(st.just("jump"), st.integers(0, 9)),
        st.tuples(st.just("epoch"), st.integers(0, 9)),
    ),
    max_size=40,
)


@given(st.integers(1, 33), OPERATIONS)
@settings(max_examples=300, deadline=None)
def test_every_sample_is_delivered_once_or_counted(capacity, operations):
    """Sample values number everything that ever was, lost or not; the reader must account for each number."""
    ring = Ring(capacity, 16000)
    ring.begin("0")
    number, epoch, index = 0, 0, 0
    truth = {}  # number → (epoch, index)
    blocks = []
    for what, count in operations:
        if what == "write":
            truth.update({number + i: (str(epoch), index + i) for i in range(count)})
            ring.write(ramp(number, count))
            number, index = number + count, index + count
        elif what == "read":
            blocks.append(ring.read(count, 0))
        else:
            number += count
            epoch, index = (epoch, index + count) if what == "jump" else (epoch + 1, 0)
            ring.begin(str(epoch), index, lost=count, exact=what == "jump")
    ring.close()
    blocks += drain(ring)
    expected = 0
    for block in filter(None, blocks):
        expected += block.gap
        for i, value in enumerate(block.samples):
            assert value == expected + i
            assert truth[int(value)] == (block.epoch, block.start + i)
        expected += len(block.samples)
    assert expected == number
    assert ring.lost == sum(b.gap for b in blocks if b)
    assert ring.ended


@pytest.mark.parametrize("rate", [16_000, 384_000])
def test_two_threads_tear_nothing(rate):
    ring = Ring(1000, rate)
    total = 400_000

    def produce():
        sizes = np.random.default_rng(1).integers(1, 700, 100_000)
        ring.begin("e")
        done = 0
        for wanted in sizes:
            size = min(int(wanted), total - done)
            ring.write(ramp(done, size))
            done += size
            if done == total:
                break
            if size % 5 == 0:
                time.sleep(0)
        ring.close()

    thread = threading.Thread(target=produce)
    thread.start()
    expected = 0
    while not ring.ended:
        block = ring.read(333, 1)
        if block is None:
            continue
        expected += block.gap
        assert block.start == expected
        np.testing.assert_array_equal(block.samples, ramp(expected, len(block.samples)))
        expected += len(block.samples)
    thread.join()
    assert expected == total


def test_write_all_loses_nothing_with_a_slow_reader():
    ring = Ring(100, 16000)
    stop = threading.Event()

    def produce():
        ring.begin("e")
        ring.write_all(ramp(0, 1050), stop)  # more than ten rings in one call
        ring.close()

    thread = threading.Thread(target=produce)
    thread.start()
    got = []
    while not ring.ended:
        block = ring.read(37, 1)
        if block is not None:
            got.append(block.samples)
            time.sleep(0.001)
    thread.join()
    assert ring.lost == 0
    np.testing.assert_array_equal(np.concatenate(got), ramp(0, 1050))


def test_write_all_stops_when_told():
    ring = Ring(10, 16000)
    ring.begin("e")
    stop = threading.Event()
    stop.set()
    assert not ring.write_all(ramp(0, 20), stop)
    assert len(ring.read(100, 0).samples) == 10


def test_marks_do_not_pile_up():
    ring = Ring(100, 16000)
    for i in range(1000):
        ring.begin(str(i))
        ring.write(ramp(0, 10))
        ring.read(100, 0)
    assert len(ring._marks) <= 12


def assembly(kernel, triple):
    """Machine code of a numba kernel for another processor; compiled anew, as cached kernels cannot be inspected."""
    fresh = numba.njit(kernel.signatures[0])(kernel.py_func)
    lines = fresh.inspect_llvm(kernel.signatures[0]).splitlines()
    text = "\n".join(line for line in lines if not line.startswith("target "))
    text = text.replace("@llvm.x86.", "@x86.").replace(" immarg", "")  # numba's own reference counts; not ours
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine()
    module = llvm.parse_assembly(f'target triple = "{triple}"\ntarget datalayout = "{machine.target_data}"\n{text}')
    return machine.emit_assembly(module)


def test_arm_gets_release_stores_and_acquire_loads():
    write = assembly(ring_module._write, "aarch64-unknown-linux-gnu")
    copy = assembly(ring_module._copy, "aarch64-unknown-linux-gnu")
    get = assembly(ring_module._get, "aarch64-unknown-linux-gnu")
    assert write.count("stlr") >= 2
    assert "dmb" in write
    assert "dmb" in copy
    assert "ldar" in copy or "ldapr" in copy
    assert "ldar" in get or "ldapr" in get


def test_copy_reads_by_epoch_and_index_and_moves_nothing():
    ring = Ring(100, 10)
    ring.begin("a")
    ring.write(np.arange(40, dtype=np.float32))
    ring.begin("b", start=5, lost=3)
    ring.write(np.arange(100, 130, dtype=np.float32))
    assert ring.copy("a", 10, 13).tolist() == [10, 11, 12]
    assert ring.copy("a", 38, 40).tolist() == [38, 39]
    assert ring.copy("b", 5, 7).tolist() == [100, 101]
    for epoch, start, stop in [("a", 39, 41), ("b", 4, 6), ("b", 34, 36), ("c", 0, 1)]:
        assert ring.copy(epoch, start, stop) is None
    assert ring.read(100, 0).samples.tolist() == list(range(40))
    assert ring.read(100, 0).gap == 3
    assert ring.copy("a", 0, 2).tolist() == [0, 1]  # read, and still there
    ring.write(np.zeros(35, np.float32))
    assert ring.copy("a", 4, 6) is None  # overwritten
    assert ring.copy("a", 5, 7).tolist() == [5, 6]


def test_copy_never_returns_torn_samples():
    ring = Ring(4096, 16_000)
    ring.begin("e")
    done = threading.Event()

    def produce():
        for start in range(0, 2_000_000, 500):
            ring.write(np.arange(start, start + 500, dtype=np.float32))
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    first = 0
    while not done.is_set():
        samples = ring.copy("e", first, first + 3000)
        if samples is None:
            first += 1500
            continue
        np.testing.assert_array_equal(samples, np.arange(first, first + 3000, dtype=np.float32))
    thread.join()
    assert ring.copy("e", 1_997_000, 2_000_000)[0] == 1_997_000


def test_it_tells_what_it_holds_stretch_by_stretch():
    ring = Ring(100, 1000)
    ring.begin("a")
    ring.write(np.ones(60, np.float32))
    ring.begin("a", start=80, lost=20)
    ring.write(np.ones(30, np.float32))
    assert ring.held("a") == [(0, 60), (80, 110)]
    ring.begin("b")
    assert ring.held("b") == []
    ring.write(np.ones(50, np.float32))
    assert ring.held("a") == [(40, 60), (80, 110)]
    assert ring.held("b") == [(0, 50)]
    for first, last in ring.held("a"):
        assert ring.copy("a", first, last).tolist() == [1.0] * (last - first)
    assert ring.copy("a", 39, 60) is None


def test_history_stays_while_a_writer_waits_for_room():
    ring, sound = Ring(100, 1000, history=40), np.arange(1000, dtype=np.float32)
    ring.begin("a")
    writer = threading.Thread(target=ring.write_all, args=(sound, threading.Event()), daemon=True)
    writer.start()
    done = 0
    while done < 1000:
        done = ring.read(25, 5).stop
        time.sleep(0.001)  # time for the writer to overrun
        past = ring.copy("a", max(0, done - 40), done)
        assert np.array_equal(past, sound[max(0, done - 40) : done])
    writer.join(5)


@pytest.mark.parametrize("history", [-1, 100])
def test_a_history_fits_into_the_ring(history):
    with pytest.raises(ValueError, match="history must be less than its capacity of 100"):
        Ring(100, 1000, history=history)
