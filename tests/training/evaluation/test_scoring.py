"""Scores of whole recordings, the shortest too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.frontend import spec
from edge.frontend.stream import FrontEnd
from training.evaluation.scoring import scored
from training.models.registry import MODELS, Shape

SPEC = spec.parse(
    {
        "rate": 16_000,
        "frames": {"window": 512, "hop": 320},
        "bands": {"kind": "mel", "count": 64, "low": 50.0, "high": 8000.0},
        "scale": {"kind": "ln", "floor": 1e-10},
    }
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MODELS.build(MODELS.parse({"kind": "wheatear"}), Shape(64, 3, 50.0)).eval()


@pytest.mark.parametrize("frames", [1, 3, 4, 40])
def test_a_recording_shorter_than_a_step_is_scored_as_well(network, frames):
    found = scored(network, FrontEnd(SPEC), np.zeros(512 + 320 * (frames - 1), np.float32))
    assert found.clip.shape == (3,)
    assert len(found.frame) == max(1, frames // 4)


def test_behind_a_recording_shorter_than_a_frame_is_silence(network):
    click = np.r_[np.ones(5, np.float32), np.zeros(95, np.float32)]
    short, padded = (scored(network, FrontEnd(SPEC), sound) for sound in (click, np.pad(click, (0, 412))))
    assert np.array_equal(short.frame, padded.frame)
    assert len(short.frame) == 1


def test_a_network_for_windows_pads_to_what_its_poolings_need():
    torch.manual_seed(0)
    pooled = MODELS.build(MODELS.parse({"kind": "cross-task", "layers": 8, "maps": [2, 2, 2, 2]}), Shape(64, 2, 50.0))
    assert scored(pooled.eval(), FrontEnd(SPEC), np.zeros(600, np.float32)).clip.shape == (2,)
