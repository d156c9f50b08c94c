"""Events from frame scores by the product's own decoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from edge.decode.decoder import Decoder, Detection
from edge.frontend.spec import FrontEndSpec
from edge.inference.card import Decode
from training.data.dataset import Sound

Float32 = npt.NDArray[np.float32]


def detect(scores: Float32, labels: Sequence[str], rules: Decode, spec: FrontEndSpec) -> list[Detection]:
    """Return the events (their ends, in order) of one recording's frame scores ``[T, C]``."""
    scores = np.ascontiguousarray(scores, np.float32)
    return decode(ScoreBlock("recording", 0, spec.hop, spec.rate, scores, spec.hop), labels, rules)


def decode(block: ScoreBlock, labels: Sequence[str], rules: Decode) -> list[Detection]:
    """Return the events (their ends, in order) of one recording's scores, on whatever grid they lie."""
    decoder = Decoder(labels, rules)
    decoder.reset(block.epoch)
    return [d for d in (*decoder.push(block), *decoder.flush("stop")) if d.type == "end"]


def sounds(detections: Sequence[Detection], labels: Sequence[str], rate: int) -> tuple[Sound, ...]:
    """Return events as stretches in seconds, by onset, as a data set's strong labels are."""
    index = {name: k for k, name in enumerate(labels)}
    ended = [(d, d.offset) for d in detections if d.offset is not None]
    found = [Sound(index[d.label], d.onset / rate, offset / rate) for d, offset in ended]
    return tuple(sorted(found, key=lambda s: (s.onset, s.offset, s.label)))


def count(detections: Sequence[Detection]) -> dict[str, int]:
    """Events by label."""
    return dict(Counter(d.label for d in detections))
