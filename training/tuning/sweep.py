"""Decisions at many settings at once: the product's decoder as a compiled loop, for tuning.

A class's score, smoothed as its rule says, is decided at every pair of thresholds. What `edge.decode` calls runs
and events is here the same rule over whole recordings; the tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from msgspec import structs

from edge.blocks import ScoreBlock
from edge.decode.chain import Chain
from edge.decode.decoder import frames_of
from edge.inference.card import Decode
from training.data.dataset import Sound
from training.metrics.collar import EDGE

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """Reference events of one class in all recordings: edges in seconds ``[R, 2]``, recording ``k`` from ``first[k]``.

    ``first`` is ``[N + 1]``.
    """

    edges: Float64
    first: Counts


def truth_of(recordings: Sequence[Sequence[Sound]], label: int) -> Truth:
    """Gather the events of a class."""
    own = [[(e.onset, e.offset) for e in events if e.label == label] for events in recordings]
    edges = np.array([edge for events in own for edge in events], np.float64).reshape(-1, 2)
    return Truth(edges, np.cumsum([0, *map(len, own)]))


def counts(
    blocks: Sequence[ScoreBlock],
    label: int,
    rule: Decode,
    thresholds: Float64,
    truth: Truth,
    collar: float = 0.2,
    share: float = 0.2,
) -> Counts:
    """Events and matched events of one class, for every pair of thresholds, in every recording.

    Parameters
    ----------
    blocks
        Scores of the recordings, all on one grid.
    rule
        Of the class: its smoothing, shortest duration and merge gap hold; its thresholds are not asked.
    thresholds
        ``[S, 2]``: on and off.
    truth
        What the events are matched with, by collars as `training.metrics.collar` does.

    Returns
    -------
    array ``[S, N, 2]``
        Number of events, and how many match a reference event.
    """
    grid = blocks[0]
    smooth = [_smoothed(block, label, rule, thresholds) for block in blocks]
    frames = frames_of(rule, grid.hop, grid.rate, grid.span)
    out = np.zeros((len(thresholds), len(blocks), 2), np.int64)
    on_off, reach = thresholds.astype(np.float32), (collar + EDGE, share + EDGE)
    for k, (block, columns) in enumerate(zip(blocks, smooth, strict=True)):
        edges = truth.edges[truth.first[k] : truth.first[k + 1]]
        seconds = (block.hop, block.span, block.rate, block.first_frame)
        _recording(columns, on_off, frames.shortest, frames.bridge, seconds, edges, *reach, out[:, k])
    return out


def _smoothed(block: ScoreBlock, label: int, rule: Decode, thresholds: Float64) -> Float32:
    """Return the smoothed score ``[1, T]``; one for each pair of thresholds ``[S, T]`` where a path depends on them."""
    pairs = thresholds if rule.viterbi else thresholds[:1]
    chain = Chain([structs.replace(rule, on=on, off=off) for on, off in pairs.tolist()], block.hop / block.rate)
    scores, clips = (
        None if x is None else np.repeat(x[:, label : label + 1], len(pairs), 1) for x in (block.scores, block.clip)
    )
    smooth = [chain.push(scores.astype(np.float32), clips), chain.flush()]
    return np.ascontiguousarray(np.concatenate(smooth).T)


@numba.njit(cache=True, nogil=True)
def _recording(columns, thresholds, shortest, bridge, seconds, edges, collar, share, out):
    """Fill ``out [S, 2]`` for one recording; see `counts`."""
    most = columns.shape[1] // 2 + 1
    spans = np.empty((most, 2), np.int64)
    events = np.empty((most, 2), np.float64)
    hop, span, rate, first = seconds
    for s in range(len(thresholds)):
        column = columns[s if len(columns) > 1 else 0]
        n = _decide(column, thresholds[s, 0], thresholds[s, 1], shortest, bridge, spans)
        for i in range(n):
            events[i, 0] = (first + spans[i, 0]) * hop / rate
            events[i, 1] = ((first + spans[i, 1] - 1) * hop + span) / rate
        out[s, 0] = n
        out[s, 1] = _matched(events[:n], edges, collar, share) if len(edges) else 0


@numba.njit(cache=True, nogil=True)
def _decide(column, on, off, shortest, bridge, spans):
    """Write the events of a smoothed score as frames ``onset ≤ t < stop``; returns their number.

    Runs of frames ≥ `off` that reach `on`, joined over at most `bridge` frames, of at least `shortest` frames.
    """
    n, onset, stop, t = 0, -1, -1, 0
    while t < len(column):
        if column[t] < off:
            t += 1
            continue
        begin, reached = t, False
        while t < len(column) and column[t] >= off:
            reached = reached or column[t] >= on
            t += 1
        if not reached:
            continue
        if onset >= 0 and begin - stop <= bridge:
            stop = t
            continue
        if onset >= 0 and stop - onset >= shortest:
            spans[n, 0], spans[n, 1] = onset, stop
            n += 1
        onset, stop = begin, t
    if onset >= 0 and stop - onset >= shortest:
        spans[n, 0], spans[n, 1] = onset, stop
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def _matched(events, edges, collar, share):
    """Size of the largest matching of events to references.

    Events follow each other, so a reference may match a stretch of consecutive ones; taking for each event the
    reference whose stretch ends first is then largest (Glover, 1967, convex bipartite graphs).
    """
    low, high = np.full(len(edges), len(events)), np.full(len(edges), -1)
    for j in range(len(edges)):
        reach = max(collar, share * (edges[j, 1] - edges[j, 0]))
        for i in range(len(events)):
            if abs(edges[j, 0] - events[i, 0]) <= collar and abs(edges[j, 1] - events[i, 1]) <= reach:
                low[j], high[j] = min(low[j], i), i
    taken, total = np.zeros(len(edges), np.bool_), 0
    for i in range(len(events)):
        best = -1
        for j in range(len(edges)):
            if not taken[j] and low[j] <= i <= high[j] and (best < 0 or high[j] < high[best]):
                best = j
        if best >= 0:
            taken[best] = True
            total += 1
    return total
