"""Between-class mixing: two sounds that are heard in a known proportion (Tokozume, Ushiku and Harada, ICLR 2018).

A share r of what is *heard* is no share r of the samples, where one sound is louder: with levels G₁ and G₂ in dB,

    p = 1 / (1 + 10^((G₁ − G₂) / 20) · (1 − r) / r)          x = (p x₁ + (1 − p) x₂) / √(p² + (1 − p)²)

Powers of sounds that know nothing of each other add, so bands of power are mixed with p² and (1 − p)².
"""

from __future__ import annotations

from training.augment.between_class import share as by_ear


def between(share: float, first_db: float, second_db: float) -> tuple[float, float]:
    """Factors of two sounds' powers so that the first is heard with `share` (0 … 1, both excluded)."""
    p = float(by_ear(share, first_db, second_db))
    whole = p**2 + (1 - p) ** 2
    return p**2 / whole, (1 - p) ** 2 / whole
