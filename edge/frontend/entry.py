"""From Python straight into a kernel: what stands between a hop of sound and its frame.

numba's dispatcher resolves the type of each argument, wraps arrays into objects of its own and lets go of the GIL. That
is as much work as a frame while caches are warm, and more after a pause, when all that code has to come from memory
again. Here is the least that will do: a built-in method of one argument, compiled by numba as a C function, which looks
at the array where NumPy keeps it, calls the kernel and gives back a view made beforehand.

    self      (counts, otherwise, frames[:0], frames[:1], frames[:2] …)
                 │       └ called where samples are many, or nothing it knows
                 └ array of what is carried, the kernel's address, and what samples must look like

The places of an array's fields are part of NumPy's binary interface: every extension module has them compiled in.
`usable` looks whether they are where we think all the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from edge.blocks import Float32
from edge.frontend.buffer import ADDRESS, ARRAY, COUNTS, FLOAT, KERNEL, LONGEST, SHORT, callback
from edge.frontend.vector import I32, I64

# Fields of an object, and of an array behind them: data, dimensions (a C int), shape, strides, base, type, flags.
TYPE, DATA = object.__basicsize__ - 8, object.__basicsize__
DIMENSIONS, SHAPE, KIND, FLAGS = DATA + 8, DATA + 16, DATA + 40, DATA + 48
PLAIN = 0x0101  # C-contiguous and aligned
ONE_ARGUMENT = 0x0008  # METH_O

_Int64s = npt.NDArray[np.int64]


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@intrinsic
def pointer(typing: Any, address: Any) -> Any:  # noqa: ARG001
    """``pointer(address)``: memory at an address, which costs a caller less than an array does."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.intp), generate


def _loaded(kind: ir.Type) -> Any:
    @intrinsic
    def load(typing: Any, address: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            return builder.sext(builder.load(builder.inttoptr(arguments[0], kind.as_pointer())), I64)

        return types.int64(types.intp), generate

    return load


word, half = _loaded(I64), _loaded(I32)  # what lies at an address: 64 bits, 32 bits


@intrinsic
def call(typing: Any, address: Any, data: Any, size: Any, itemsize: Any, memory: Any) -> Any:  # noqa: ARG001
    """``call(address, data, size, itemsize, memory)``: a kernel at an address."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        function = ir.FunctionType(I64, [I64] * 4)
        return builder.call(builder.inttoptr(arguments[0], function.as_pointer()), arguments[1:])

    return types.int64(*[types.intp] * 5), generate


@intrinsic
def item(typing: Any, owner: Any, number: Any) -> Any:  # noqa: ARG001
    """``item(tuple, number)``: address of an item of a tuple, borrowed."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        api = context.get_python_api(builder)
        kind = ir.FunctionType(api.pyobj, [api.pyobj, I64])
        get = cgutils.get_or_insert_function(builder.module, kind, "PyTuple_GetItem")  # type: ignore[no-untyped-call]
        return builder.ptrtoint(builder.call(get, [builder.inttoptr(arguments[0], api.pyobj), arguments[1]]), I64)

    return types.int64(types.intp, types.intp), generate


@intrinsic
def asked(typing: Any, function: Any, argument: Any) -> Any:  # noqa: ARG001
    """``asked(function, argument)``: what a Python function returns."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        api = context.get_python_api(builder)
        kind = ir.FunctionType(api.pyobj, [api.pyobj, api.pyobj])
        ask = cgutils.get_or_insert_function(builder.module, kind, "PyObject_CallOneArg")  # type: ignore[no-untyped-call]
        objects = [builder.inttoptr(address, api.pyobj) for address in arguments]
        return builder.ptrtoint(builder.call(ask, objects), I64)

    return types.int64(types.intp, types.intp), generate


@intrinsic
def given(typing: Any, address: Any) -> Any:  # noqa: ARG001
    """``given(object)``: the same, a reference more: what a method returns."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        api = context.get_python_api(builder)
        api.incref(builder.inttoptr(arguments[0], api.pyobj))
        return arguments[0]

    return types.int64(types.intp), generate


@cache
def _method() -> tuple[_Method, Any]:
    """The method's definition and code, which must outlive all methods; it closes over numbers for numba's key."""
    places, numbers = (TYPE, DATA, DIMENSIONS, SHAPE, KIND, FLAGS), (ARRAY, FLOAT, SHORT, LONGEST, KERNEL, ADDRESS)
    type_, data, dimensions, shape, kind, flags = places
    array, float_, short, longest, kernel, address = numbers
    count = COUNTS

    def push(owner, samples):  # type: ignore[no-untyped-def]
        held = word(item(owner, 0) + data)  # type: ignore[call-arg]
        counts = numba.carray(pointer(held), count, np.int64)
        size = itemsize = 0
        if word(samples + type_) == counts[array] and half(samples + dimensions) == 1:
            size, what = word(word(samples + shape)), word(samples + kind)
            if half(samples + flags) & PLAIN == PLAIN and size <= counts[longest]:
                itemsize = 4 if what == counts[float_] else 2 if what == counts[short] else 0
        if itemsize == 0:
            return asked(item(owner, 1), samples)
        done = call(counts[kernel], word(samples + data), size, itemsize, counts[address])
        return given(item(owner, 2 + done))

    compiled = callback(push, types.intp(types.intp, types.intp))
    return _Method(b"push", compiled.address, ONE_ARGUMENT, b"Frames that samples complete."), compiled


@cache
def usable() -> bool:
    """Whether arrays are laid out as we think."""
    for kind in (np.float32, np.int16):
        for array in (np.zeros(3, kind), np.zeros((2, 5), kind)[:, 1]):
            place, plain = id(array), PLAIN if array.flags.c_contiguous else 0x0100
            words = {TYPE: id(np.ndarray), DATA: array.ctypes.data, KIND: id(np.dtype(kind))}
            known = all(_at(place + offset, ctypes.c_int64) == value for offset, value in words.items())
            known = (
                known
                and _at(place + DIMENSIONS, ctypes.c_int) == 1
                and _at(place + FLAGS, ctypes.c_int) & PLAIN == plain
            )
            if not known or _at(_at(place + SHAPE, ctypes.c_int64), ctypes.c_int64) != array.size:
                return False
    return True


def _at(address: int, kind: Any) -> int:
    return int(kind.from_address(address).value)


def method(
    counts: _Int64s, kernel: int, longest: int, views: Sequence[Float32], otherwise: Callable[[Any], Float32]
) -> Callable[[Any], Float32]:
    """The method of a kernel with its memory, which `counts` is the beginning of.

    Parameters
    ----------
    counts
        What is carried; kept alive by the method.
    kernel
        Address of a C function (data, size, item size, memory) → frames.
    longest
        Most samples that it may be given at once.
    views
        What it returns for 0, 1, 2 … frames.
    otherwise
        Called for more samples, and for what is no plain array of them.
    """
    if not usable():
        return otherwise
    counts[KERNEL], counts[LONGEST], counts[ADDRESS] = kernel, longest, counts.ctypes.data
    counts[ARRAY], counts[FLOAT], counts[SHORT] = id(np.ndarray), id(np.dtype(np.float32)), id(np.dtype(np.int16))
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    made: Callable[[Any], Float32] = make(ctypes.addressof(_method()[0]), (counts, otherwise, *views), None)
    return made
