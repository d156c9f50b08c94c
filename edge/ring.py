"""The sample ring between a source and its pipeline: one producer, one consumer, nothing lost without a count.

Positions only grow; sample at position p lies in cell p mod capacity::

                 oldest = claim − capacity         read                write   claim
    ──overwritten──┤···························├─────unread─────────────┤·····├──▶ position

The producer raises `claim`, copies, then publishes `write` (release). The consumer reads `write` (acquire), copies, and
then looks at `claim` again: what `claim` has reached meanwhile may be torn, is cut off and counted as lost. Plain loads
and stores would do on x86 and break on Arm, hence the LLVM atomics.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from edge.blocks import AudioBlock, Float32
from edge.errors import WheatearError

WRITE, CLAIM, READ = 0, 16, 32  # cells two cache lines apart, so that the two threads do not fight over one
POLL_S = 0.1  # how soon a waiting producer sees that it shall stop


def _load_acquire_code(_typing: Any, cells: Any, index: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _cell(context, builder, signature.args, args)
        return builder.load_atomic(pointer, "acquire", align=8, typ=context.get_value_type(types.int64))

    return types.int64(cells, index), build


def _store_release_code(_typing: Any, cells: Any, index: Any, value: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.cast(builder, args[2], signature.args[2], types.int64)
        builder.store_atomic(number, _cell(context, builder, signature.args, args), "release", align=8)
        return context.get_dummy_value()

    return types.void(cells, index, value), build


def _fence_code(_typing: Any) -> Any:
    def build(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build


def _move_code(_typing: Any, to: Any, to_index: Any, source: Any, source_index: Any, count: Any) -> Any:
    """``to[to_index : to_index + count] = source[source_index : source_index + count]`` as one memcpy."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = _cell(context, builder, signature.args[:2], args[:2])
        origin = _cell(context, builder, signature.args[2:], args[2:])
        number = context.cast(builder, args[4], signature.args[4], types.intp)
        cgutils.raw_memcpy(builder, target, origin, number, 4)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(to, to_index, source, source_index, count), build


# Written this way because numba's types take the typing context for an argument of the caller.
_load_acquire: Any = intrinsic(_load_acquire_code)
_store_release: Any = intrinsic(_store_release_code)
_fence: Any = intrinsic(_fence_code)
_move: Any = intrinsic(_move_code)


def _cell(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
    array = context.make_array(kinds[0])(context, builder, args[0])
    index = context.cast(builder, args[1], kinds[1], types.intp)
    return builder.gep(array.data, [index])


_SAMPLES = types.Array(types.float32, 1, "C", readonly=True)
_BUFFER = types.Array(types.float32, 1, "C")
_CELLS = types.Array(types.int64, 1, "C")


# Signatures are given, so that nothing is ever compiled inside an audio callback.
@numba.njit(types.int64(_CELLS, types.int64), nogil=True, cache=True)
def _get(cells: npt.NDArray[np.int64], index: int) -> Any:
    return _load_acquire(cells, index)


@numba.njit(types.void(_CELLS, types.int64, types.int64), nogil=True, cache=True)
def _put(cells: npt.NDArray[np.int64], index: int, value: int) -> None:
    _store_release(cells, index, value)


@numba.njit(types.void(_BUFFER, _CELLS, _SAMPLES), nogil=True, cache=True)
def _write(buffer: Float32, cells: npt.NDArray[np.int64], samples: Float32) -> None:
    count, capacity = len(samples), len(buffer)
    position = cells[WRITE]
    _store_release(cells, CLAIM, position + count)
    _fence()  # the claim must be seen before the first new sample is
    skip = max(count - capacity, 0)
    place = (position + skip) % capacity
    wrap = min(count, skip + capacity - place)
    _move(buffer, place, samples, skip, wrap - skip)
    _move(buffer, 0, samples, wrap, count - wrap)
    _store_release(cells, WRITE, position + count)


@numba.njit(types.int64(_BUFFER, _CELLS, types.int64, _BUFFER), nogil=True, cache=True)
def _copy(buffer: Float32, cells: npt.NDArray[np.int64], position: int, out: Float32) -> Any:
    """Copy from `position` on; return the oldest position that was whole when the copy ended."""
    capacity = len(buffer)
    place = position % capacity
    wrap = min(len(out), capacity - place)
    _move(out, 0, buffer, place, wrap)
    _move(out, wrap, buffer, 0, len(out) - wrap)
    _fence()  # the copy must be done before the claim is read
    return _load_acquire(cells, CLAIM) - capacity


@dataclass(frozen=True, slots=True)
class Mark:
    """From `position` on samples are `start`, `start` + 1, … of `epoch`; losses are sums since the ring was made."""

    position: int
    epoch: str
    start: int
    lost: int
    estimates: int


class Ring:
    """Single-producer, single-consumer ring of float32 samples with exact accounting of losses.

    Parameters
    ----------
    capacity
        Samples held.
    rate
        Samples per second; goes into the blocks.
    written
        Set by a write and at the end; a consumer of many rings gives them one to wait for. Only `read` clears it.
    least
        Samples that must wait before a write sets it: a consumer that is woken seldom works less.
    history
        Samples already read that `write_all` leaves in place, for `copy`.

    Attributes
    ----------
    overruns
        How often the consumer found samples overwritten.
    lost
        Samples lost so far, as the consumer has seen: overwritten ones and those that the source reported.
    """

    def __init__(
        self, capacity: int, rate: int, written: threading.Event | None = None, *, least: int = 1, history: int = 0
    ) -> None:
        if capacity < 1 or rate < 1:
            raise ValueError(f"a ring needs a capacity and a rate of 1 or more, got {capacity} and {rate}")
        if not 0 <= history < capacity:
            raise ValueError(f"a ring's history must be less than its capacity of {capacity}, got {history}")
        self.rate = rate
        self.capacity = capacity
        self._room_for_unread = capacity - history
        self.overruns = 0
        self.lost = 0
        self._buffer: Float32 = np.zeros(capacity, np.float32)
        self._cells = np.zeros(48, np.int64)
        self._marks: tuple[Mark, ...] = ()  # replaced by the producer, never changed
        self._told = Mark(0, "", 0, 0, 0)  # the mark of the block that the consumer got last
        self._error: WheatearError | None = None
        self._closed = False
        self._written = written or threading.Event()
        self._least = least
        self._room = threading.Event()

    # Producer

    def begin(self, epoch: str, start: int = 0, lost: int = 0, exact: bool = True) -> None:
        """Say what the next sample is.

        Parameters
        ----------
        epoch, start
            It is sample `start` of `epoch`.
        lost
            Samples lost just before it.
        exact
            False where `lost` is an estimate.
        """
        position = _get(self._cells, WRITE)
        last = self._marks[-1] if self._marks else self._told
        mark = Mark(position, epoch, start, last.lost + lost, last.estimates + (not exact))
        kept = [m for m in self._marks if m.position < position]  # a mark that got no samples is replaced
        current = max(_mark_of(kept, position - self.capacity), 0)  # `copy` looks back on all that is held
        self._marks = (*kept[current:], mark)

    def write(self, samples: Float32) -> None:
        """Append float32 samples ``[N]``; never waits, the oldest are overwritten.

        Raises
        ------
        ValueError
            Before `begin`: samples without an epoch.
        """
        if not self._marks:
            raise ValueError("ring: `begin` must say which epoch the samples belong to before the first `write`")
        _write(self._buffer, self._cells, np.require(samples, np.float32, ["C", "A"]))
        if self._least <= 1 or self.waiting >= self._least:
            self._written.set()

    def write_all(self, samples: Float32, stop: threading.Event) -> bool:
        """Append float32 samples ``[N]``, waiting for room; returns False if `stop` was set before all were in."""
        done = 0
        while done < len(samples):
            self._room.clear()
            room = self._room_for_unread - (_get(self._cells, WRITE) - _get(self._cells, READ))
            if room > 0:
                self.write(samples[done : done + room])
                done += room
            elif stop.is_set() or self._closed:  # nobody wants the rest
                return False
            else:
                self._room.wait(POLL_S)
        return True

    def close(self, error: WheatearError | None = None) -> None:
        """Say that nothing follows; `error` is raised by `read` once all samples are read. The first call counts."""
        if not self._closed:
            self._error = error
            self._closed = True
        self._written.set()

    # Consumer

    @property
    def ended(self) -> bool:
        """Closed and all read."""
        return self._closed and _get(self._cells, READ) == _get(self._cells, WRITE) and not self._owes()

    @property
    def waiting(self) -> int:
        """Samples written and not read; more than the capacity where some are overwritten."""
        return int(_get(self._cells, WRITE) - _get(self._cells, READ))

    @property
    def due(self) -> bool:
        """Enough waits, or nothing follows."""
        return self._closed or self.waiting >= self._least

    @property
    def closed(self) -> bool:
        """Nothing follows what is in it."""
        return self._closed

    def poll(self, limit: int) -> AudioBlock | None:
        """Return the next samples, None where there are none; like `read`, without waiting."""
        closed = self._closed  # looked at before the samples, else the last ones could be missed
        block = self._take(limit) or (self._last_loss() if closed else None)
        if block is not None:
            self._room.set()
        elif closed and self._error is not None:
            raise self._error
        return block

    def read(self, limit: int, timeout: float) -> AudioBlock | None:
        """Return the next samples as soon as there are any; None after a while or at the end.

        A block never crosses an epoch or a gap; its `gap` counts what was lost just before it, whoever lost it. Where
        the very last thing to tell is a loss, the block is empty.

        Parameters
        ----------
        limit
            Samples at most.
        timeout
            Seconds to wait.

        Raises
        ------
        WheatearError
            What the source closed the ring with, once all samples are read.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._written.clear()
            closed = self._closed
            block = self.poll(limit)
            if block is not None or closed or not self._written.wait(max(deadline - time.monotonic(), 0)):
                return block

    # Anyone

    def copy(self, epoch: str, start: int, stop: int) -> Float32 | None:
        """Return samples `start` to `stop` of `epoch` without reading them away; from any thread.

        Returns
        -------
        ndarray
            float32, ``[stop − start]``; None where the ring does not hold all of them: not written yet, overwritten
            (also while they were being copied), of another epoch, or with a loss among them.
        """
        for mark, written in self._stretches():
            first, end = mark.position + start - mark.start, mark.position + stop - mark.start
            if mark.epoch == epoch and mark.position <= first <= end <= written:
                samples = np.empty(stop - start, np.float32)
                return samples if _copy(self._buffer, self._cells, first, samples) <= first else None
        return None

    def held(self, epoch: str) -> list[tuple[int, int]]:
        """Unbroken stretches of `epoch` that can be copied now, oldest first: first sample, and the one behind."""
        oldest = _get(self._cells, CLAIM) - self.capacity
        stretches = [(m, max(m.position, oldest), end) for m, end in self._stretches() if m.epoch == epoch]
        return [
            (m.start + first - m.position, m.start + end - m.position) for m, first, end in stretches if first < end
        ]

    def _stretches(self) -> list[tuple[Mark, int]]:
        """Each mark and the position at which its samples end."""
        written = _get(self._cells, WRITE)  # before the marks: what a newer mark brings is not the last one's
        marks = self._marks
        return [(m, min(after.position, written)) for m, after in pairwise(marks)] + [(m, written) for m in marks[-1:]]

    def _take(self, limit: int) -> AudioBlock | None:
        position = _get(self._cells, READ)
        while True:
            written = _get(self._cells, WRITE)
            first = max(position, _get(self._cells, CLAIM) - self.capacity)
            if first >= written:
                return None
            marks = self._marks
            index = _mark_of(marks, first)
            if index < 0:  # the producer has overtaken us between two lines
                continue
            end = marks[index + 1].position if index + 1 < len(marks) else written
            samples = np.empty(min(first + limit, end, written) - first, np.float32)
            torn = max(_copy(self._buffer, self._cells, first, samples) - first, 0)
            if torn < len(samples):
                return self._account(marks[index], position, first + torn, samples[torn:])

    def _account(self, mark: Mark, expected: int, first: int, samples: Float32) -> AudioBlock:
        overwritten = first - expected
        gap = overwritten + mark.lost - self._told.lost
        exact = mark.estimates == self._told.estimates
        self.overruns += overwritten > 0
        self.lost += gap
        self._told = mark
        _put(self._cells, READ, first + len(samples))
        return AudioBlock(mark.epoch, mark.start + first - mark.position, self.rate, samples, gap, exact)

    def _owes(self) -> bool:
        return bool(self._marks) and self._marks[-1].lost > self._told.lost

    def _last_loss(self) -> AudioBlock | None:
        if not self._owes():
            return None
        position = _get(self._cells, READ)
        return self._account(self._marks[-1], position, position, np.empty(0, np.float32))


def _mark_of(marks: list[Mark] | tuple[Mark, ...], position: int) -> int:
    """Index of the mark that `position` belongs to, −1 if it lies before all."""
    return bisect_right(marks, position, key=lambda mark: mark.position) - 1
