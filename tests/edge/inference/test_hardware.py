"""Accelerators where the runtime has them, else the processor and a warning."""

import pytest

from edge.inference.hardware import CPU, Hardware, usable

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.mark.parametrize(
    ("wished", "offered", "used", "warnings"),
    [
        (("cpu",), [CPU], [CPU], 0),
        (("cpu",), [CUDA, CPU], [CPU], 0),
        (("tensorrt", "cuda", "cpu"), [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU], 0),
        (("tensorrt", "cuda", "cpu"), [CUDA, CPU], [CUDA, CPU], 1),
        (("tensorrt", "cuda"), [CPU], [CPU], 2),
    ],
)
def test_what_is_offered_is_used_in_the_wished_order(caplog, wished, offered, used, warnings):
    assert usable(wished, offered) == used
    assert len(caplog.records) == warnings
    assert all("computing on the processor instead" in record.message for record in caplog.records)


def test_a_provider_is_not_named_by_accident():
    with pytest.raises(KeyError):
        usable(("gpu",), [CPU])
    assert Hardware() == Hardware(1, ("cpu",))
