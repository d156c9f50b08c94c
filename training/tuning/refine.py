"""Self-adaptive refinement of labels: thresholds and median widths per class, without any label (card 16, SALR).

clip with the class ─▶ candidate's events ─┬▶ each event by itself ─▶ network ─▶ should say: the class
                                           └▶ the rest, joined     ─▶ network ─▶ should say: not the class

The candidate is taken whose cut the network agrees with most, by cross-entropy of its clip scores; a candidate that
makes a whole clip one event leaves no rest that could speak against it, and would win. So the loss is the mean over
events plus the mean over rests, and a candidate counts only if it leaves both in at least half of the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from msgspec import structs

from edge.decode.decoder import Decoder
from edge.inference.card import Decode, Rule
from training.data.blocks import filled
from training.evaluation.heard import Heard
from training.tuning.choice import Tuned

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Tagger = Callable[[Float32], Float32]
Spans = tuple[tuple[int, int], ...]
Agreement = tuple[float, float]  # cross-entropies of a clip's events and of its rest
ON = tuple(np.round(np.arange(0.1, 0.91, 0.1), 1).tolist())
MEDIANS = (0.0, 0.2, 0.5, 1.0)  # seconds
PRESENT = 0.5  # clip score from which a class is taken to be there
LEAST = 0.5  # seconds: a shorter rest is none, a shorter event is repeated up to it
SHARE = 0.5  # of the clips with the class, that a candidate must cut in two
NEAR = 1e-6


def refine(
    heard: Sequence[Heard],
    labels: Sequence[str],
    rules: Decode,
    taggers: Sequence[Tagger],
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> Tuned:
    """Choose rules for every class on its own, by recordings of which nothing needs to be known.

    Parameters
    ----------
    heard
        Scored recordings, a few seconds long, as the network was trained on them.
    rules
        Where to start: durations, merge gaps and the share of `off` in `on` stay.
    taggers
        What scored each of them: samples ``[N]`` to clip scores ``[C]``.
    tell
        Called with a class, and how many recordings are done and of all.
    """
    chosen, notes = dict(rules.labels), []
    for name, rule in Decoder(labels, rules).rules.items():
        label = labels.index(name)
        there = [(h, tag) for h, tag in zip(heard, taggers, strict=True) if h.clip[label] >= PRESENT]
        candidates = [_candidate(rule, on, median) for on, median in product(ON, MEDIANS)]
        losses = np.full((len(there), len(candidates), 2), np.nan)
        for k, (one, tag) in enumerate(there):
            losses[k] = _agreements(one, labels, label, candidates, tag)
            tell(name, k + 1, len(there))
        best = best_of(losses)
        if best is None:
            notes.append(f"{name}: no setting cuts most of {len(there)} clips in events and a rest: its rule stays")
            continue
        found = candidates[best]
        own = rules.labels.get(name, Rule())
        chosen[name] = structs.replace(own, on=found.on, off=found.off, median=found.median)
    return Tuned(structs.replace(rules, labels=chosen), tuple(notes))


def best_of(losses: Float64) -> int | None:
    """Return the candidate that the network agrees with most; None where none may be chosen.

    Parameters
    ----------
    losses
        Mean cross-entropies of a clip's events and of its rest ``[clips, candidates, 2]``; NaN where there is none.
    """
    if not len(losses):
        return None
    cut = ~np.isnan(losses).any(2)
    allowed = cut.mean(0) >= SHARE
    if not allowed.any():
        return None
    both = np.where(np.isnan(losses), 0, losses).sum(0) / np.maximum((~np.isnan(losses)).sum(0), 1)
    return int(np.argmin(np.where(allowed, both.sum(1), np.inf)))


def _candidate(rule: Decode, on: float, median: float) -> Decode:
    return structs.replace(rule, on=on, off=round(on * (rule.off / rule.on if rule.on else 1.0), 3), median=median)


def _agreements(heard: Heard, labels: Sequence[str], label: int, candidates: Sequence[Decode], tag: Tagger) -> Float64:
    """Cross-entropies ``[candidates, 2]`` of one clip; candidates that cut it alike are asked once."""
    rate, others = heard.block.rate, [name for name in labels if name != labels[label]]
    samples = heard.item.samples(rate)
    known: dict[Spans, Agreement] = {}
    out = []
    for candidate in candidates:
        events = heard.events(labels, structs.replace(candidate, ignore=others))
        edges = [(round(e.onset * rate), min(round(e.offset * rate), len(samples))) for e in events]
        spans = tuple((onset, stop) for onset, stop in edges if onset < stop)
        if spans not in known:
            known[spans] = agreement(samples, spans, round(LEAST * rate), lambda cut: float(tag(cut)[label]))
        out.append(known[spans])
    return np.array(out)


def agreement(samples: Float32, spans: Spans, least: int, score: Callable[[Float32], float]) -> Agreement:
    """Mean cross-entropy of the events of a clip, and that of its rest; NaN where there is none.

    Parameters
    ----------
    spans
        First sample of each event, and the one behind it.
    least
        Samples that a rest must have, and up to which events are repeated.
    score
        Of the class, in samples.
    """
    rest = np.ones(len(samples), np.bool_)
    events = []
    for onset, stop in spans:
        rest[onset:stop] = False
        events.append(-np.log(_inside(score(filled(samples[onset:stop], max(least, stop - onset))))))
    quiet = -np.log(1 - _inside(score(samples[rest]))) if rest.sum() >= least else np.nan
    return float(np.mean(events)) if events else np.nan, float(quiet)


def _inside(score: float) -> float:
    return min(max(score, NEAR), 1 - NEAR)
