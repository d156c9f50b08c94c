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

Float32 = npt.NDArray[np.float32]


def detect(scores: Float32, labels: Sequence[str], rules: Decode, spec: FrontEndSpec) -> list[Detection]:
    """Return the events (their ends, in order) of one recording's frame scores ``[T, C]``."""
    decoder = Decoder(labels, rules)
    decoder.reset("recording")
    block = ScoreBlock("recording", 0, spec.hop, spec.rate, np.ascontiguousarray(scores, np.float32), spec.hop)
    return [d for d in (*decoder.push(block), *decoder.flush("stop")) if d.type == "end"]


def count(detections: Sequence[Detection]) -> dict[str, int]:
    """Events by label."""
    return dict(Counter(d.label for d in detections))
