"""The real Fourier transform, emitted over vectors: N = R · C samples as R rows of C columns.

Write n = C·r + j (row r, column j) and k = k1 + R·k2. Then, with w_m = e^(−2πi/m),

    X[k1 + R·k2] = Σ_j  w_C^(j·k2) · { w_N^(j·k1) · Σ_r  w_R^(r·k1) · x[C·r + j] }
                   step 4              step 2        step 1

    step 1   a real transform of length R down each column; its lanes are neighbouring columns, so that samples are
             loaded as they lie. Real input: rows k1 = 0 … R/2 tell all.
    step 2   twiddle row k1, column j by w_N^(j·k1).
    step 3   transpose rows 0 … K − 1, K = R/2, block by block in registers, on their way to memory.
    step 4   a complex transform of length C over j, lanes being neighbouring k1.

         samples                  registers                planes (re, im)          power
     j →  0 … C−1            j →  0 … C−1            k1 →  0 … K−1            bin   0 1 2 … N/2
    r 0  ▒▒▒▒▒▒▒▒  1 + 2   k1 0  ▓▓▓▓▓▓▓▓    3     j 0  ████████    4         k2 < C/2: bins R·k2 + k1, in order
      :  ▒▒▒▒▒▒▒▒  ─────▶   :    ▓▓▓▓▓▓▓▓  ─────▶   :   ████████  ─────▶      k2 ≥ C/2: X[N − k] = X[k]*, so bins
      :  00000000  (pruned) K−1  ▓▓▓▓▓▓▓▓           :   ████████              R·(C − 1 − k2) + R − k1, reversed
    R−1  00000000           K    ░░░░░░░░ edge     C−1  ████████

Every bin is reached by rows 0 … K − 1 but those of k1 = K. Row K of step 1 is real (`edge`), and C/2 bins remain:
X[K + R·k2] = Σ_j edge[j] · w_N^(j·(K + R·k2)), a small real-by-complex matrix product. Powers are written in natural
order: no bit reversal, no separation of interleaved halves. Rows beyond the window are zeros known at generation time,
and bins above the highest one in use are not computed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir

from edge.frontend.vector import I32, Complex, Lanes, Real, index

# The best of the near-square shapes; R ≥ C, for step 1 profits from zero rows and real input.
SHAPES = {
    64: (8, 8),
    128: (16, 8),
    256: (32, 8),
    512: (32, 16),
    1024: (32, 32),
    2048: (64, 32),
    4096: (64, 64),
    8192: (128, 64),
}


def twiddles(size: int) -> np.ndarray:
    """Factors of step 2, ``[K, 2, C]``: cosine and sine of row k1 and column j."""
    rows, columns = SHAPES[size]
    angle = -2 * np.pi * np.arange(rows // 2)[:, None] * np.arange(columns) / size
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def edge_matrix(size: int) -> np.ndarray:
    """Factors of the edge row, ``[C, C]``: per column j the C/2 cosines, then the C/2 sines."""
    rows, columns = SHAPES[size]
    bins = rows // 2 + rows * np.arange(columns // 2)
    angle = -2 * np.pi * np.arange(columns)[:, None] * bins / size
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def real_transform(get: Callable[[int], Real], n: int, first: int = 0, step: int = 1) -> list[Complex]:
    """Bins 0 … n/2 of the real samples ``get(first + step · i)``, split radix.

    With U of the even samples (n/2) and Z, Y of those at 4i + 1 and 4i + 3 (n/4 each), twiddled by w^k and w^3k:
    X[k] = U[k] + (Z + Y),  X[k + n/2] = U[k] − (Z + Y),  X[k + n/4] = U[k + n/4] − i(Z − Y),
    X[k + 3n/4] = U[k + n/4] + i(Z − Y); conjugate symmetry brings each of them below n/2.
    """
    if n == 1:
        x = get(first)
        return [Complex(x, Real(x.lanes))]
    if n == 2:
        x, y = get(first), get(first + step)
        zero = Real(x.lanes)
        return [Complex(x + y, zero), Complex(x - y, zero)]
    even = real_transform(get, n // 2, first, 2 * step)
    one = real_transform(get, n // 4, first + step, 4 * step)
    three = real_transform(get, n // 4, first + 3 * step, 4 * step)
    out: dict[int, Complex] = {}
    for k in range(n // 8 + 1):
        u, v = one[k].turned(k, n), three[k].turned(3 * k, n)
        total, turned = u.plus(v), u.minus(v).times_i()
        out[k] = even[k].plus(total)
        out[n // 2 - k] = even[k].minus(total).conjugate()
        mirrored = even[n // 4 - k].conjugate()  # U[k + n/4]
        out.setdefault(n // 4 + k, mirrored.minus(turned))
        out.setdefault(n // 4 - k, mirrored.plus(turned).conjugate())
    return [out[k] for k in range(n // 2 + 1)]


def complex_transform(get: Callable[[int], Complex], n: int, first: int = 0, step: int = 1) -> list[Complex]:
    """Bins 0 … n − 1 of the complex samples ``get(first + step · i)``, split radix as above."""
    if n == 1:
        return [get(first)]
    if n == 2:
        x, y = get(first), get(first + step)
        return [x.plus(y), x.minus(y)]
    even = complex_transform(get, n // 2, first, 2 * step)
    one = complex_transform(get, n // 4, first + step, 4 * step)
    three = complex_transform(get, n // 4, first + 3 * step, 4 * step)
    quarter, out = n // 4, dict[int, Complex]()
    for k in range(quarter):
        z, y = one[k].turned(k, n), three[k].turned(3 * k, n)
        total, turned = z.plus(y), z.minus(y).times_i()
        out[k], out[k + 2 * quarter] = even[k].plus(total), even[k].minus(total)
        out[k + quarter] = even[k + quarter].minus(turned)
        out[k + 3 * quarter] = even[k + quarter].plus(turned)
    return [out[k] for k in range(n)]


class Transform:
    """Emits |X|² or |X| of one windowed frame.

    Parameters
    ----------
    builder
        Where instructions go.
    size
        N, one of `SHAPES`.
    width
        Most lanes to use; less where a step has fewer.
    memory
        Pointer to tables and scratch.
    at
        Offsets in `memory`: ``taper``, ``twiddles``, ``edges`` (tables); ``planes`` (real and imaginary
        parts between steps 3 and 4), ``edge`` (C), ``power`` (N/2 + 1, with room for R + width behind).
    """

    def __init__(self, builder: ir.IRBuilder, size: int, width: int, memory: ir.Value, at: dict[str, int]) -> None:
        self.builder, self.memory, self.at = builder, memory, at
        self.rows, self.columns = SHAPES[size]
        self.half = self.rows // 2
        self.plane = plane(size)
        self.by_column = Lanes(builder, min(width, self.half, self.columns))
        self.by_row = Lanes(builder, min(width, self.half))

    def emit(self, samples: ir.Value, window: int, top: int, magnitude: bool) -> None:
        """Powers (or magnitudes) of bins 0 … `top` of the frame at pointer `samples`.

        Whole rows are read: up to C − 1 finite samples behind the window, which the taper's zeros silence.
        """
        self._columns(samples, -(-window // self.columns))
        self._rows(top, magnitude)
        self._edge(top, magnitude)

    def _columns(self, samples: ir.Value, filled: int) -> None:
        """Steps 1, 2 and 3; rows from `filled` on are zeros."""
        lanes, memory, at, b = self.by_column, self.memory, self.at, self.builder

        def body(j: ir.Value) -> None:
            cache: dict[int, Real] = {}

            def get(r: int) -> Real:
                if r not in cache:
                    place = b.add(j, index(r * self.columns))
                    taper = lanes.load(memory, b.add(place, index(at["taper"]))) if r < filled else None
                    cache[r] = Real(lanes, lanes.mul(lanes.load(samples, place), taper) if r < filled else None)
                return cache[r]

            bins = real_transform(get, self.rows)
            lanes.store(bins[self.half].re.vector(), memory, b.add(j, index(at["edge"])))
            turned = [self._twiddled(bins[k], k, j) for k in range(self.half)]
            self._put([z.re.vector() for z in turned], j, at["planes"])
            self._put([z.im.vector() for z in turned], j, at["planes"] + self.plane)

        lanes.loop(self.columns, body)

    def _twiddled(self, z: Complex, k: int, j: ir.Value) -> Complex:
        """Row k of step 1 times its factors at columns j and following."""
        if k == 0:
            return z
        place = self.builder.add(j, index(self.at["twiddles"] + 2 * k * self.columns))
        c = self.by_column.load(self.memory, place)
        s = self.by_column.load(self.memory, self.builder.add(place, index(self.columns)))
        return Complex(z.re.times(c) - z.im.times(s), z.re.times(s) + z.im.times(c))

    def _put(self, rows: list[ir.Value], j: ir.Value, plane: int) -> None:
        """Rows 0 … K − 1 at columns j and following, transposed: column j becomes row j of K numbers."""
        lanes, b = self.by_column, self.builder
        first = b.mul(j, index(self.half))
        for row in range(0, self.half, lanes.width):
            for i, vector in enumerate(lanes.transpose(rows[row : row + lanes.width])):
                lanes.store(vector, self.memory, b.add(first, index(plane + i * self.half + row)))

    def _rows(self, top: int, magnitude: bool) -> None:
        """Step 4 and the powers of all bins but those of the edge row."""
        lanes, memory, at, b = self.by_row, self.memory, self.at, self.builder
        rows, columns, last = self.rows, self.columns, lanes.width - 1

        def body(j: ir.Value) -> None:
            cache: dict[int, Complex] = {}

            def get(r: int) -> Complex:
                if r not in cache:
                    place = b.add(j, index(at["planes"] + r * self.half))
                    re, im = lanes.load(memory, place), lanes.load(memory, b.add(place, index(self.plane)))
                    cache[r] = Complex(Real(lanes, re), Real(lanes, im))
                return cache[r]

            bins = complex_transform(get, columns)
            back = b.sub(index(at["power"] + rows - last), j)
            # Mirrored bins first: where k1 = 0 they repeat a direct bin, whose value then stays.
            for q in range(columns // 2):
                if rows * q + self.half < top:
                    value = lanes.reverse(self._level(lanes, bins[columns - 1 - q].power(), magnitude))
                    lanes.store(value, memory, b.add(back, index(rows * q)))
            for q in range(columns // 2):
                if rows * q <= top:
                    value = self._level(lanes, bins[q].power(), magnitude)
                    lanes.store(value, memory, b.add(j, index(at["power"] + rows * q)))

        lanes.loop(self.half, body)

    def _edge(self, top: int, magnitude: bool) -> None:
        """Bins K + R·k2: the edge row times its matrix, two sums a vector so that additions overlap."""
        lanes, n = self.by_column, self.by_column.width
        sums: list[list[ir.Value | None]] = [[None, None] for _ in range(self.columns // n)]
        for j in range(self.columns):
            x = lanes.splat(self.memory, self.at["edge"] + j)
            for i, pair in enumerate(sums):
                factor = lanes.load(self.memory, self.at["edges"] + j * self.columns + i * n)
                pair[j % 2] = lanes.fma(x, factor, pair[j % 2])
        squares = [lanes.mul(total, total) for total in (lanes.add(*pair) for pair in sums)]
        half = len(squares) // 2
        if half:
            powers = [lanes.add(squares[i], squares[i + half]) for i in range(half)]
        else:  # cosines and sines share the one vector
            powers = [lanes.add(squares[0], lanes.pick(squares[0], squares[0], [i ^ (n // 2) for i in range(n)]))]
        levels = [self._level(lanes, power, magnitude) for power in powers]
        for q in range(self.columns // 2):
            bin_ = self.rows * q + self.half
            if bin_ <= top:
                value = self.builder.extract_element(levels[q // n], ir.Constant(I32, q % n))
                self.builder.store(value, self.builder.gep(self.memory, [index(self.at["power"] + bin_)]))

    @staticmethod
    def _level(lanes: Lanes, power: ir.Value, magnitude: bool) -> ir.Value:
        return lanes.sqrt(power) if magnitude else power


def plane(size: int) -> int:
    """Distance of the real and the imaginary plane: a little more than they hold, so that they share no cache set."""
    return size // 2 + 32
