"""The figures of each device, where recordings tell what they were recorded with (card 27)."""

from __future__ import annotations

from collections.abc import Sequence

from edge.inference.card import Decode
from training.evaluation.heard import Heard
from training.evaluation.measures import HEADLINES, Figures, across, measure

KEPT = {"recordings", "seconds", "intervals", *HEADLINES}


def measure_each(heard: Sequence[Heard], labels: Sequence[str], rules: Decode, *, exclusive: bool) -> Figures:
    """Return `training.evaluation.measures.measure` of all recordings, and in ``by_device`` of those of each device.

    Devices have no figures by class. Where no recording tells its device, there is no ``by_device``; those that do not
    tell count in what is of all.
    """
    out = measure(heard, labels, rules, exclusive=exclusive)
    devices = sorted({h.item.device for h in heard} - {""})
    if devices:
        out["by_device"] = {name: _of(name, heard, labels, rules, exclusive) for name in devices}
    return out


def across_each(parts: Sequence[Figures], pooled: Figures) -> Figures:
    """Return `training.evaluation.measures.across` of all recordings, and in ``by_device`` of those of each device.

    Parameters
    ----------
    parts, pooled
        From `measure_each`: of each fold, and of all recordings together. A device counts where every fold has it.
    """
    out = across(parts, pooled)
    each = [part.get("by_device", {}) for part in parts]
    whole = pooled.get("by_device", {})
    devices = [name for name in whole if all(name in part for part in each)]
    if devices:
        out["by_device"] = {name: across([part[name] for part in each], whole[name]) for name in devices}
    return out


def _of(device: str, heard: Sequence[Heard], labels: Sequence[str], rules: Decode, exclusive: bool) -> Figures:
    found = measure([h for h in heard if h.item.device == device], labels, rules, exclusive=exclusive)
    return {name: value for name, value in found.items() if name in KEPT}
