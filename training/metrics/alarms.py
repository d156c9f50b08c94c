"""False alarms: events of what does not sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from training.data.dataset import Item, Sound


def false_alarms(events: Sequence[Sound], item: Item) -> list[Sound]:
    """Return the events of classes that do not sound in the item, or, where times are known, not then.

    A frame shared with an event of its class is enough to be no false alarm: collars judge boundaries, this does not.

    Raises
    ------
    ValueError
        Nothing is known of the item.
    """
    if item.strong is not None:
        return [e for e in events if not any(_meet(e, sound) for sound in item.strong)]
    if item.weak is None:
        raise ValueError(f"{item.name}: expected an item whose classes are known, got an unlabelled one")
    return [e for e in events if e.label not in item.weak]


def per_hour(alarms: Sequence[Sound], seconds: float, labels: Sequence[str]) -> dict[str, float]:
    """Rate of every class that has any, per hour of the `seconds` that were listened to."""
    counts = Counter(labels[e.label] for e in alarms)
    return {name: counts[name] * 3600 / seconds for name in labels if counts[name]}


def upper_rate(count: int, seconds: float, level: float = 0.95) -> float:
    """Rate per hour that `count` alarms in `seconds` leave possible at a confidence: Poisson, exact.

    None in an hour still leaves 3.0 per hour possible (the rule of three).
    """
    from scipy.special import gammaincinv  # P(N ≤ count | λ) = 1 − P(count + 1, λ), the regularised gamma function

    return float(gammaincinv(count + 1, level)) * 3600 / seconds


def _meet(a: Sound, b: Sound) -> bool:
    return a.label == b.label and a.onset < b.offset and b.onset < a.offset
