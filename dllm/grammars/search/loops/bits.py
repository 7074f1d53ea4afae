"""Sets of small numbers as rows of 64-bit words, one bit a number. Compiled."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dllm.grammars.jit import inner

ONE = np.uint64(1)


@intrinsic
def _trailing_zeros(typing_context, word):
    """One instruction, for which numba has no name."""

    def generated(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generated


@inner
def lowest(word):
    """Index of the lowest bit that is set; there must be one."""
    return np.int64(_trailing_zeros(word))


@inner
def add(one, number):
    """Put a number into a set."""
    one[number >> 6] |= ONE << np.uint64(number & 63)


@inner
def holds(one, number):
    """Whether a number is in a set."""
    return one[number >> 6] >> np.uint64(number & 63) & ONE != 0


@inner
def meets(one, other):
    """Whether two sets have a number in common."""
    for w in range(len(one)):
        if one[w] & other[w]:
            return True
    return False


@inner
def common(one, other, but):
    """The lowest number that is in two sets and not in a third, or -1."""
    for w in range(len(one)):
        both = one[w] & other[w] & ~but[w]
        if both:
            return (w << 6) + lowest(both)
    return -1


@inner
def shared(one, other):
    """The lowest number that is in two sets, or -1."""
    for w in range(len(one)):
        both = one[w] & other[w]
        if both:
            return (w << 6) + lowest(both)
    return -1


@inner
def packed(chosen):
    """The set of the numbers that are chosen (bool)."""
    found = np.zeros((len(chosen) + 63) >> 6, dtype=np.uint64)
    for number in range(len(chosen)):
        if chosen[number]:
            add(found, number)
    return found


@inner
def add_to(chosen, one):
    """Choose (bool) the numbers of a set, too."""
    for number in range(len(chosen)):
        chosen[number] |= holds(one, number)
