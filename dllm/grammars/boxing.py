"""How arrays and tuples come from compiled loops to Python, whatever happens meanwhile.

Numba makes an object of an array with the help of a function of Python. Where the handler of a signal raises while a
loop is busy, as Ctrl-C does, it is called there: the error makes null pointers of objects, and the process dies. What
goes through `to_python` is made without a step of Python, so the handler is called behind the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import box, intrinsic, register_model
from numba.np.numpy_support import as_dtype


class ForPython(types.Type):  # type: ignore[misc]
    """Of an array or a tuple that is handed to Python; named tuples are plain ones there."""

    def __init__(self, held: types.Type):
        self.held = held
        super().__init__(f"ForPython({held})")


@register_model(ForPython)
class _Model(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: ForPython):
        super().__init__(manager, kind, [("held", kind.held)])


@intrinsic  # type: ignore[untyped-decorator]
def to_python(_typing_context: Any, value: Any) -> Any:
    """An array or a tuple, to be returned to Python."""

    def generated(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        context.nrt.incref(builder, value, arguments[0])
        return cgutils.make_anonymous_struct(builder, arguments)

    return ForPython(value)(value), generated


@box(ForPython)  # type: ignore[untyped-decorator]
def _box(kind: ForPython, value: Any, within: Any) -> Any:
    return _boxed(kind.held, within.builder.extract_value(value, 0), within)


def _boxed(kind: types.Type, value: Any, within: Any) -> Any:
    """The object of a value."""
    if isinstance(kind, types.BaseTuple):
        made = within.pyapi.tuple_new(len(kind))
        for i, part in enumerate(kind):
            item = _boxed(part, within.builder.extract_value(value, i), within)
            within.pyapi.tuple_setitem(made, i, item)
        return made
    return _array(kind, value, within) if isinstance(kind, types.Array) else within.box(kind, value)


def _array(kind: types.Array, value: Any, within: Any) -> Any:
    """As numba does it, but the class of arrays is looked up where the code is loaded, not here."""
    pointer, number = within.pyapi.voidptr, ir.IntType(32)
    wrap = cgutils.get_or_insert_function(
        within.builder.module,
        ir.FunctionType(within.pyapi.pyobj, [pointer, within.pyapi.pyobj, number, number, within.pyapi.pyobj]),
        "NRT_adapt_ndarray_to_python_acqref",
    )

    def constant(one: Any) -> Any:
        return within.env_manager.read_const(within.env_manager.add_const(one))

    made = within.builder.call(
        wrap,
        [
            within.builder.bitcast(cgutils.alloca_once_value(within.builder, value), pointer),
            constant(np.ndarray),
            *(within.context.get_constant(types.int32, one) for one in (kind.ndim, int(kind.mutable))),
            constant(as_dtype(kind.dtype)),
        ],
    )
    within.context.nrt.decref(within.builder, kind, value)
    return made
