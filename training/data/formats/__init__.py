"""How data sets lie on disk: one module per format.

`load` reads tables only, never sound: a set of two million clips opens in seconds. Whether its files can be read is
`training.data.check`'s question.
"""

from training.data.formats import (
    audioset,
    birdaudio,
    composed,
    desed,
    embeddings,
    esc,
    folders,
    fsdkaggle2018,
    lab,
    soundscapes,
    table,
    urbansound8k,
)
from training.data.formats.registry import FORMATS

__all__ = [
    "FORMATS",
    "audioset",
    "birdaudio",
    "composed",
    "desed",
    "embeddings",
    "esc",
    "folders",
    "fsdkaggle2018",
    "lab",
    "soundscapes",
    "table",
    "urbansound8k",
]
