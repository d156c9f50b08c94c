"""Models of wing beats and hum, whose front ends run at a very low rate, are warmed up as any other."""

import numpy as np
import pytest

from edge.blocks import AudioBlock
from edge.clock import SampleClock
from edge.decode.event import EventMaker
from edge.inference.model import Model
from edge.pipeline import Pipeline
from edge.supervise.warm import run_once


@pytest.mark.parametrize("rate", [1000, 2000, 4000])
def test_a_model_of_a_low_rate_is_warmed_and_scores_sound_of_a_usual_one(make, tmp_path, rate):
    front_end = make.frontend | {"rate": rate}
    folder = make.window(tmp_path / "hum", frontend=front_end, input={"rate": rate, "tensor": "x"})
    model, blocks = Model.load(folder), []
    run_once(model)
    clock = SampleClock(16_000)
    clock.begin("e")
    maker = EventMaker("hut", "s", model.id, 16_000, clock)
    pipeline = Pipeline(model, maker, on_scores=blocks.append, padded=False)
    pipeline.push(AudioBlock("e", 0, 16_000, np.zeros(32_000, np.float32)))
    pipeline.flush("stop")
    # Windows of 4 frames of 64 samples, 32 apart, every other frame: those that fit into two seconds.
    assert sum(len(block.scores) for block in blocks) == (2 * rate - 64 - 3 * 32) // 64 + 1
