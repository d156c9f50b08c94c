"""How long events and pauses last: the two-state chain of `edge.decode.viterbi`, counted from strong labels.

known      ▁▁▇▇▇▁▁▁▁▇▇│     time in each state, over how often it was left: the recording's end leaves nothing
           off on off on    event = 5 / 1, pause = 6 / 2
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.inference.card import Decode, Viterbi
from training.data.annotations import merge
from training.data.dataset import Sound
from training.evaluation.heard import Heard

LAG = 1.0  # seconds: what a device may be late by


def durations(heard: Sequence[Heard], labels: Sequence[str], label: int, rules: Decode) -> Viterbi:
    """Return the most likely mean durations of a class's events and pauses.

    Parameters
    ----------
    heard
        Recordings; those with strong labels count. Where the class has none, what `rules` decide in those that hold the
        class: pseudo-strong labels (card 14).
    """
    known = [(h.seconds, _of(h.item.strong, label)) for h in heard if h.item.strong is not None]
    if not any(sounds for _, sounds in known):
        holding = [h for h in heard if label in (h.item.weak or ())]
        known = [(h.seconds, _of(h.events(labels, rules), label)) for h in holding]
    event, pause = mean_durations(known)
    return Viterbi(event=round(event, 3), pause=round(pause, 3), lag=LAG)


def mean_durations(recordings: Sequence[tuple[float, Sequence[Sound]]]) -> tuple[float, float]:
    """Seconds that events and pauses of one class last: the maximum-likelihood means of a two-state chain.

    Parameters
    ----------
    recordings
        Length and sounds of each; one that begins or ends inside a sound has seen but a part of it.
    """
    sounding = total = 0.0
    begins = ends = 0
    for seconds, sounds in recordings:
        for sound in merge(sounds):
            begins += sound.onset > 0
            ends += sound.offset < seconds
            sounding += min(sound.offset, seconds) - sound.onset
        total += seconds
    return sounding / max(ends, 1), (total - sounding) / max(begins, 1)


def _of(sounds: Iterable[Sound], label: int) -> list[Sound]:
    return [sound for sound in sounds if sound.label == label]
