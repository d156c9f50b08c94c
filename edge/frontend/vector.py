"""The vector layer: float32 vectors of a fixed number of lanes, emitted as LLVM IR.

LLVM lowers a vector type to whatever the processor has: 16 lanes are one AVX-512 register, two AVX registers or four
of NEON, so one generator serves all of them and the width only decides how much happens at a time. Formulas of the
transform are written over `Real`, which knows zeros and signs at generation time: a zero-padded row or a multiplication
by ±1 or ±i costs no instruction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)

# contract: a·b + c may fuse; nsz: the sign of zero is not heard. Nothing else may change, so sums keep their order.
FLAGS = ("contract", "nsz")

# ln(1 + f) = f − f²/2 + f³·P(f) on [√½ − 1, √2 − 1]: own weighted minimax fit, relative error 6e-9 before rounding.
LOG_POLYNOMIAL = (
    -0.0763442963,
    0.127615497,
    -0.131601945,
    0.142017618,
    -0.166233569,
    0.200012267,
    -0.250008225,
    0.333333313,
)
# ln 2 in two parts: the first has so few bits that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
_SQRT_HALF_BITS = 0x3F3504F3


class Lanes:
    """Instructions on vectors of `width` float32 lanes, appended where `builder` stands.

    Pointers are to float32; offsets are counted in float32, as Python or LLVM integers.
    """

    def __init__(self, builder: ir.IRBuilder, width: int) -> None:
        self.builder = builder
        self.width = width
        self.type = ir.VectorType(F32, width)
        self._ints = ir.VectorType(I32, width)

    def load(self, pointer: ir.Value, offset: int | ir.Value) -> ir.Value:
        """Lanes from memory of any alignment."""
        value = self.builder.load(self._address(pointer, offset, self.type))
        value.align = 4
        return value

    def store(self, value: ir.Value, pointer: ir.Value, offset: int | ir.Value) -> None:
        """Lanes (any number of them) to memory of any alignment."""
        self.builder.store(value, self._address(pointer, offset, value.type)).align = 4

    def store_first(self, count: int, value: ir.Value, pointer: ir.Value, offset: int) -> None:
        """The first `count` lanes, in pieces of a power of two: what lies behind stays untouched."""
        done = 0
        while done < count:
            piece = 1 << ((count - done).bit_length() - 1)
            self.store(self.pick(value, value, range(done, done + piece)), pointer, offset + done)
            done += piece

    def _address(self, pointer: ir.Value, offset: int | ir.Value, kind: ir.Type) -> ir.Value:
        at = index(offset) if isinstance(offset, int) else offset
        return self.builder.bitcast(self.builder.gep(pointer, [at]), kind.as_pointer())

    def constant(self, value: float) -> ir.Value:
        """All lanes the same number."""
        return ir.Constant(self.type, [float(np.float32(value))] * self.width)

    def splat(self, pointer: ir.Value, offset: int) -> ir.Value:
        """All lanes the number in memory."""
        scalar = self.builder.load(self.builder.gep(pointer, [index(offset)]))
        first = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(I32, 0))
        return self.pick(first, first, [0] * self.width)

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Sum."""
        return self.builder.fadd(x, y, flags=FLAGS)

    def sub(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Difference."""
        return self.builder.fsub(x, y, flags=FLAGS)

    def mul(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Product."""
        return self.builder.fmul(x, y, flags=FLAGS)

    def fma(self, x: ir.Value, y: ir.Value, z: ir.Value | None) -> ir.Value:
        """The sum x · y + z, fused where the processor can; ``None`` is zero."""
        return self.mul(x, y) if z is None else self.add(self.mul(x, y), z)

    def maximum(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """The larger one of finite numbers."""
        return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)

    def sqrt(self, x: ir.Value) -> ir.Value:
        """Square root, one instruction on every processor."""
        kind = ir.FunctionType(x.type, [x.type])
        name = f"llvm.sqrt.v{self.width}f32"
        function = self.builder.module.globals.get(name) or ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, [x])

    def log(self, x: ir.Value) -> ir.Value:
        """Natural logarithm of positive normal numbers, to about one unit in the last place.

        x = 2^e · (1 + f) with 1 + f in [√½, √2): subtracting the bits of √½ leaves e in the exponent field.
        """
        b = self.builder
        bits = b.bitcast(x, self._ints)
        exponent = b.ashr(b.sub(bits, self._int(_SQRT_HALF_BITS)), self._int(23))
        mantissa = b.bitcast(b.sub(bits, b.shl(exponent, self._int(23))), self.type)
        f, e = self.sub(mantissa, self.constant(1.0)), b.sitofp(exponent, self.type)
        square = self.mul(f, f)
        series = self.constant(LOG_POLYNOMIAL[0])
        for coefficient in LOG_POLYNOMIAL[1:]:
            series = self.fma(series, f, self.constant(coefficient))
        small = self.fma(e, self.constant(LN2_LOW), self.mul(self.mul(f, square), series))
        small = self.fma(square, self.constant(-0.5), small)
        return self.fma(e, self.constant(LN2_HIGH), self.add(f, small))

    def pick(self, x: ir.Value, y: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """A vector of chosen lanes: those of `x` are 0 to n − 1, those of `y` n to 2n − 1."""
        mask = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(x, y, mask)

    def reverse(self, x: ir.Value) -> ir.Value:
        """Lanes in opposite order."""
        return self.pick(x, x, range(self.width - 1, -1, -1))

    def exchange(self, x: ir.Value, y: ir.Value, step: int) -> tuple[ir.Value, ir.Value]:
        """Two vectors with blocks of `step` lanes traded: (x0 y0 x2 y2 …), (x1 y1 x3 y3 …)."""
        lanes = range(self.width)
        low = [i if not i & step else self.width + i - step for i in lanes]
        high = [i + step if not i & step else self.width + i for i in lanes]
        return self.pick(x, y, low), self.pick(x, y, high)

    def transpose(self, rows: Sequence[ir.Value]) -> list[ir.Value]:
        """Transpose `width` vectors: swap off-diagonal blocks of half the size, a quarter and so on down to 1."""
        rows, step = list(rows), self.width // 2
        while step:
            for i in range(self.width):
                if not i & step:
                    rows[i], rows[i + step] = self.exchange(rows[i], rows[i + step], step)
            step //= 2
        return rows

    def sum_each(self, rows: Sequence[ir.Value]) -> ir.Value:
        """Lane ``i`` is the sum of the lanes of ``rows[i]``: a transposition that adds instead of keeping halves."""
        rows, step = list(rows), self.width // 2
        while len(rows) > 1:
            half = len(rows) // 2
            rows = [self.add(*self.exchange(rows[i], rows[i + half], step)) for i in range(half)]
            step //= 2
        return rows[0]

    def sum(self, x: ir.Value) -> ir.Value:
        """All lanes the sum of the lanes of `x`."""
        step = self.width // 2
        while step:
            x = self.add(x, self.pick(x, x, [i ^ step for i in range(self.width)]))
            step //= 2
        return x

    def loop(self, count: int, body: Callable[[ir.Value], None]) -> None:
        """Emit ``for j in range(0, count, width): body(j)``; unrolled where one turn is enough."""
        if count <= self.width:
            body(index(0))
            return
        with cgutils.for_range_slice(self.builder, index(0), index(count), index(self.width), intp=I64) as (j, _):
            body(j)

    def _int(self, value: int) -> ir.Value:
        return ir.Constant(self._ints, [value] * self.width)


def index(value: int) -> ir.Value:
    """An offset known at generation time."""
    return ir.Constant(I64, value)


class Real:
    """A term of a formula: a vector, its negative, or a zero that costs nothing."""

    __slots__ = ("lanes", "negative", "value")

    def __init__(self, lanes: Lanes, value: ir.Value | None = None, negative: bool = False) -> None:
        self.lanes, self.value, self.negative = lanes, value, negative and value is not None

    def __neg__(self) -> Real:
        return Real(self.lanes, self.value, not self.negative)

    def __add__(self, other: Real) -> Real:
        if self.value is None or other.value is None:
            return other if self.value is None else self
        if self.negative == other.negative:
            return Real(self.lanes, self.lanes.add(self.value, other.value), self.negative)
        plus, minus = (other, self) if self.negative else (self, other)
        return Real(self.lanes, self.lanes.sub(plus.value, minus.value))

    def __sub__(self, other: Real) -> Real:
        return self + -other

    def scaled(self, factor: float) -> Real:
        """The term times a number known at generation time."""
        if self.value is None or abs(factor) < 1e-12:
            return Real(self.lanes)
        if abs(abs(factor) - 1) < 1e-12:
            return self if factor > 0 else -self
        value = self.lanes.mul(self.value, self.lanes.constant(abs(factor)))
        return Real(self.lanes, value, self.negative ^ (factor < 0))

    def times(self, vector: ir.Value) -> Real:
        """The term times a vector."""
        if self.value is None:
            return self
        return Real(self.lanes, self.lanes.mul(self.value, vector), self.negative)

    def vector(self) -> ir.Value:
        """The number itself, sign applied."""
        if self.value is None:
            return self.lanes.constant(0.0)
        return self.lanes.sub(self.lanes.constant(-0.0), self.value) if self.negative else self.value


class Complex(NamedTuple):
    """A complex term."""

    re: Real
    im: Real

    def plus(self, other: Complex) -> Complex:
        """Sum."""
        return Complex(self.re + other.re, self.im + other.im)

    def minus(self, other: Complex) -> Complex:
        """Difference."""
        return Complex(self.re - other.re, self.im - other.im)

    def conjugate(self) -> Complex:
        """Imaginary part negated."""
        return Complex(self.re, -self.im)

    def times_i(self) -> Complex:
        """The term times i."""
        return Complex(-self.im, self.re)

    def turned(self, k: int, n: int) -> Complex:
        """The term times e^(−2πik/n)."""
        quarters, rest = divmod(4 * (k % n), n)
        if rest == 0:
            z = self
            for _ in range(-quarters % 4):
                z = z.times_i()
            return z
        c, s = math.cos(2 * math.pi * k / n), math.sin(2 * math.pi * k / n)
        if abs(abs(c) - abs(s)) < 1e-12:  # an odd eighth of a turn: two multiplications instead of four
            across, down = math.copysign(1, c), math.copysign(1, s)
            re = self.re.scaled(across) + self.im.scaled(down)
            return Complex(re.scaled(abs(c)), (self.im.scaled(across) - self.re.scaled(down)).scaled(abs(c)))
        return Complex(self.re.scaled(c) + self.im.scaled(s), self.im.scaled(c) - self.re.scaled(s))

    def power(self) -> Any:
        """|z|² as a vector."""
        lanes = self.re.lanes
        re, im = self.re.value, self.im.value
        if re is None or im is None:
            only = re if im is None else im
            return lanes.constant(0.0) if only is None else lanes.mul(only, only)
        return lanes.fma(re, re, lanes.mul(im, im))
