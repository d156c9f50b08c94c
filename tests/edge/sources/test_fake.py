"""The fake source does what it is told, and the ring tells the truth about it."""

import time

import numpy as np
import pytest

from edge.clock import ManualClock, SampleClock
from edge.errors import SourceError
from edge.ring import Ring
from edge.sources.fake import FakeSource, Fault

SAMPLES = np.arange(10_000, dtype=np.float32)


def run(*faults, **options):
    source = FakeSource(SAMPLES, 16000, 300, faults, **options)
    source.open()
    ring, sample_clock = Ring(20_000, 16000), SampleClock(16000)
    source.start(ring, ManualClock(), sample_clock)
    blocks = []
    while not ring.ended:
        if block := ring.read(10**6, 5):
            blocks.append(block)
    source.close()
    return ring, blocks, sample_clock


def pieces(blocks):
    """(epoch's number, start, gap, exact, first value, values) of each unbroken piece."""
    joined = []
    for block in blocks:
        if joined and joined[-1][0] == block.epoch and block.gap == 0:
            joined[-1][5] += len(block.samples)
        else:
            joined.append([block.epoch, block.start, block.gap, block.exact, int(block.samples[0]), len(block.samples)])
    epochs = list(dict.fromkeys(piece[0] for piece in joined))
    return [(epochs.index(piece[0]), *piece[1:]) for piece in joined]


def test_no_fault():
    _, blocks, sample_clock = run()
    assert pieces(blocks) == [(0, 0, 0, True, 0, 10_000)]
    # The injected clock stands still: all 0.625 s had arrived by then, so sample 0 is at least as old and no older.
    utc, doubt = sample_clock.utc_ns(0)
    assert abs(ManualClock().utc_ns() - 625_000_000 - utc) <= doubt
    assert blocks[0].epoch[14] == "7"


def test_a_known_loss_keeps_the_epoch():
    ring, blocks, _ = run(Fault("overflow", 1000, lost=500, exact=True))
    assert pieces(blocks) == [(0, 0, 0, True, 0, 1000), (0, 1500, 500, True, 1500, 8500)]
    assert ring.lost == 500


def test_an_estimated_loss_begins_an_epoch():
    ring, blocks, _ = run(Fault("overflow", 1000, lost=500))
    assert pieces(blocks) == [(0, 0, 0, True, 0, 1000), (1, 0, 500, False, 1500, 8500)]
    assert ring.lost == 500


def test_end_and_stall():
    before = time.monotonic()
    _, blocks, _ = run(Fault("stall", 100, seconds=0.2), Fault("end", 4321))
    assert time.monotonic() - before >= 0.2
    assert pieces(blocks) == [(0, 0, 0, True, 0, 4321)]


def test_error_comes_after_all_samples():
    ring, blocks, _ = run(Fault("error", 4321))
    assert pieces(blocks) == [(0, 0, 0, True, 0, 4321)]
    with pytest.raises(SourceError, match="failed at sample 4321"):
        ring.read(1, 0)


def test_a_reader_that_sleeps_learns_what_it_missed():
    source = FakeSource(SAMPLES, 16000, 300, overwrite=True)
    source.open()
    ring = Ring(1000, 16000)
    source.start(ring, ManualClock(), SampleClock(16000))
    source._thread.join()
    block = ring.read(10**6, 0)
    assert (block.start, block.gap, block.samples[0], len(block.samples)) == (9000, 9000, 9000, 1000)
    source.close()
