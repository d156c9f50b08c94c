"""The vector layer and the code it becomes, here and on other processors."""

import ctypes
import functools
import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from edge.frontend import fused, transform
from edge.frontend.spec import parse
from edge.frontend.vector import F32, Complex, Lanes, Real

RATE = 16000


def module_of(build):
    """A module with ``run(float* in, float* out)``, its body built by `build(builder, in, out)`."""
    module = ir.Module()
    pointer = F32.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer]), "run")
    builder = ir.IRBuilder(function.append_basic_block())
    build(builder, *function.args)
    builder.ret_void()
    return module


@functools.cache
def targets():
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def run(build, x, count):
    """What `build` writes for the input `x`, first `count` numbers."""
    targets()
    machine = llvm.Target.from_default_triple().create_target_machine()  # the engine takes it over
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module_of(build))), machine)
    engine.finalize_object()
    out = np.zeros(count, np.float32)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    kind(engine.get_function_address("run"))(x.ctypes.data, out.ctypes.data)
    return out


def test_the_logarithm_is_exact_to_two_units_in_the_last_place():
    x = np.exp(np.random.default_rng(0).uniform(-87, 88, 100_000)).astype(np.float32)
    x = np.concatenate([x, [1, np.finfo(np.float32).tiny, np.finfo(np.float32).max], np.linspace(0.5, 2, 4093)])
    x = x.astype(np.float32)[: len(x) // 8 * 8]

    def build(builder, source, target):
        lanes = Lanes(builder, 8)
        lanes.loop(len(x), lambda j: lanes.store(lanes.log(lanes.load(source, j)), target, j))

    got, want = run(build, x, len(x)), np.log(x.astype(np.float64))
    ulp = np.spacing(np.abs(want).astype(np.float32)).astype(np.float64)
    # Near 1 the logarithm crosses zero: there the error is measured against the size of its terms.
    assert (np.abs(got - want) <= 2 * np.maximum(ulp, 2**-25)).all()


@pytest.mark.parametrize("width", [2, 4, 8, 16])
def test_registers_are_transposed_and_summed(width):
    x = np.arange(width * width, dtype=np.float32)

    def build(builder, source, target):
        lanes = Lanes(builder, width)
        rows = [lanes.load(source, i * width) for i in range(width)]
        for i, row in enumerate(lanes.transpose(rows)):
            lanes.store(row, target, i * width)
        lanes.store(lanes.sum_each(rows), target, width * width)
        lanes.store_first(width - 1, lanes.reverse(rows[0]), target, width * width + width)

    out = run(build, x, width * width + 2 * width)
    square = x.reshape(width, width)
    np.testing.assert_array_equal(out[: width * width].reshape(width, width), square.T)
    np.testing.assert_array_equal(out[width * width :][:width], square.sum(axis=1))
    np.testing.assert_array_equal(out[-width:], [*square[0, :0:-1], 0])


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32, 64, 128])
def test_transforms_over_terms_equal_numpy(n):
    """Each lane is a signal of its own: here four of them."""
    x = np.random.default_rng(n).standard_normal((2 * n, 4)).astype(np.float32)

    def build(builder, source, target):
        lanes = Lanes(builder, 4)

        def real(i):
            return Real(lanes, lanes.load(source, 4 * i))

        bins = transform.real_transform(real, n)
        bins += transform.complex_transform(lambda i: Complex(real(i), real(n + i)), n)
        for k, z in enumerate(bins):
            lanes.store(z.re.vector(), target, 8 * k)
            lanes.store(z.im.vector(), target, 8 * k + 4)

    out = run(build, x, 8 * (n // 2 + 1 + n)).reshape(-1, 2, 4)
    got = out[:, 0] + 1j * out[:, 1]
    x = x.astype(np.float64)
    np.testing.assert_allclose(got[: n // 2 + 1], np.fft.rfft(x[:n], axis=0), atol=2e-6 * n)
    np.testing.assert_allclose(got[n // 2 + 1 :], np.fft.fft(x[:n] + 1j * x[n:], axis=0), atol=2e-6 * n)


def test_known_zeros_and_signs_cost_nothing():
    def build(builder, source, target):
        lanes = Lanes(builder, 4)
        x = Real(lanes, lanes.load(source, 0))
        sum_ = (x + Real(lanes)) - (-x).scaled(1.0).scaled(0.0) + (-x).scaled(-1.0) - x
        lanes.store(Complex(sum_, x).turned(1, 4).im.vector(), target, 0)

    text = str(module_of(build))
    assert "fmul" not in text
    assert len(re.findall(r" f(add|sub|neg) ", text)) == 3  # x + x, − x, and one sign at the very end


SPECS = {
    "log-mel": {"bands": {"kind": "mel", "count": 40}, "scale": {"kind": "ln"}},
    "magnitudes": {"bands": {"kind": "spectrum", "spectrum": "magnitude"}},
    "all": {
        "frames": {"window": 400, "hop": 160, "remove_dc": True, "preemphasis": 0.97, "taper": "povey"},
        "bands": {"kind": "mel", "count": 23, "spectrum": "magnitude"},
        "scale": {"kind": "db"},
    },
}


def assembly(spec, width, triple, cpu, features=""):
    """Optimised machine code of one frame."""
    targets()
    layout, _ = fused.plan(spec, width)
    module = ir.Module()
    module.triple = triple
    pointer = F32.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * 3), "frame")
    builder = ir.IRBuilder(function.append_basic_block())
    fused.emit(builder, *function.args, layout)
    builder.ret_void()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=3)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    return machine.emit_assembly(parsed)


@pytest.mark.parametrize("name", SPECS)
def test_aarch64_code_is_vectors_all_through(name):
    spec = parse({"rate": RATE, "frames": {"window": 400, "hop": 160}, **SPECS[name]})
    code = assembly(spec, 4, "aarch64-unknown-linux-gnu", "cortex-a72")
    assert not re.findall(r"^\s+blr?\s", code, re.MULTILINE), "a call: an operation was scalarised into a library"
    vectors = len(re.findall(r"\sf(?:add|sub|mul|mla|mls|sqrt)\s+v\d+\.4s", code))
    scalars = len(re.findall(r"\sf(?:add|sub|mul|madd|msub|sqrt)\s+s\d+", code))
    assert vectors > 500
    assert scalars == 0


@pytest.mark.parametrize(
    ("width", "cpu", "register"), [(16, "skylake-avx512", "zmm"), (8, "haswell", "ymm"), (4, "x86-64", "xmm")]
)
def test_x86_code_uses_the_registers_of_its_width_and_calls_nothing(width, cpu, register):
    spec = parse({"rate": RATE, "frames": {"window": 400, "hop": 160}, **SPECS["log-mel"]})
    # LLVM avoids 512-bit registers on Skylake unless told otherwise, as numba tells it not to here.
    features = "-prefer-256-bit" if width == 16 else ""
    code = assembly(spec, width, "x86_64-unknown-linux-gnu", cpu, features)
    assert not re.findall(r"^\s+callq?\s", code, re.MULTILINE)
    assert len(re.findall(rf"%{register}\d+", code)) > 500
