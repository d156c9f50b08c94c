"""Transforms of training sounds and features: one file each, pure functions of their input and a random generator.

A recipe lists them in the order in which they are applied:

[[augment]]
kind = "gain"
probability = 0.5
db = [-12, 6]
"""

from training.augment import (
    background,
    between_class,
    clipping,
    contrast,
    device,
    dropout,
    enhance,
    equalise,
    gain,
    masks,
    mixup,
    noise,
    pitch,
    place,
    same_label,
    shift,
    speed,
    stretch,
    warp,
    zoom,
)
from training.augment.chain import Chain, parse
from training.augment.registry import FEATURE, MIXING, WAVEFORM

__all__ = [
    "FEATURE",
    "MIXING",
    "WAVEFORM",
    "Chain",
    "background",
    "between_class",
    "clipping",
    "contrast",
    "device",
    "dropout",
    "enhance",
    "equalise",
    "gain",
    "masks",
    "mixup",
    "noise",
    "parse",
    "pitch",
    "place",
    "same_label",
    "shift",
    "speed",
    "stretch",
    "warp",
    "zoom",
]
