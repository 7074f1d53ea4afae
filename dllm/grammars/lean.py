"""How numba compiles the loops of the grammar engine with less work; for the versions that `jit` names.

Compiling takes the longest of all in a first use after installation, so numba is told to leave out what is of no use:

- What only other loops call (`inner`) is neither optimised nor made into machine code on its own, but where it ends up:
  together with the loop that Python calls, and once.
- What lets Python call a function (a copy that unpacks a hundred arrays) only loops have that Python calls; and none
  has what lets C call it.
- Numba keeps functions of its own, such as `np.zeros`, apart by the options of the function that asks for them. Ours
  ask under the options that its own have, so that each is compiled once.
- Few of the objects that a compilation makes are garbage; a tenth of the time went into looking for it so often.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from numba.core.codegen import CodeLibrary, JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.typed_passes import NopythonRewrites

COLLECTED_EVERY = 100_000
"""How many objects more there are when garbage is looked for, while a function is compiled."""


class _Whole(JITCodeLibrary):
    """The code of a loop that Python calls, which is optimised together with all that it calls."""

    def add_linking_library(self, library: CodeLibrary) -> None:
        super().add_linking_library(library)
        for one in library.needs if isinstance(library, _Part) else ():
            super().add_linking_library(one)

    def _optimize_functions(self, ll_module: Any) -> None:
        """Leave for later what numba does here for each function alone, and then once more for all together."""
        ll_module.data_layout = str(self._codegen.target_data)


class _Part(_Whole):
    """The code of what only other loops call, for them to link: nothing is optimised, and there is no machine code."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.needs = dict[CodeLibrary, None]()
        """What is to be linked where this is; as keys, in order."""

    def add_linking_library(self, library: CodeLibrary) -> None:
        self.needs[library] = None
        if isinstance(library, _Part):
            self.needs.update(library.needs)

    def finalize(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> type[_NoMachineCode]:
        return _NoMachineCode


class _NoMachineCode:
    """What numba takes for the maker of a part's machine code."""

    @staticmethod
    def set_env(env_name: str, env: object) -> None:
        """Nothing to tell where its Python globals are."""


class _Asking(Flags):
    """Options under which a function asks for others: its own but for wrappers, as `numba.extending.overload` has it.

    One object for all of them: numba looks it up for each operation, and to compare all options took a while.
    """

    def __init__(self, own: Flags) -> None:
        super().__init__(own)
        self.no_cpython_wrapper, self.no_cfunc_wrapper = True, False
        self.known_hash = int(super().__hash__())

    def __hash__(self) -> int:
        return self.known_hash

    def copy(self) -> _Asking:
        return self


_asking = cache(_Asking)


class Lean(Compiler):
    """Numba's own, but for what this module says."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        state = self.state
        self.own_flags = state.flags
        library = _Part if state.flags.no_cpython_wrapper else _Whole
        state.library = library(state.targetctx.codegen(), func.__qualname__)
        state.library.enable_object_caching()
        state.flags = _asking(state.flags)
        with _collected_seldom():
            return super().compile_extra(func)

    def define_pipelines(self) -> list[Any]:
        """All passes but the one that fuses operations on whole arrays: in the loops there are none."""
        self.state.flags = self.own_flags
        pipelines = super().define_pipelines()
        for one in pipelines:
            one.passes = [step for step in one.passes if step[0] is not NopythonRewrites]
        return list(pipelines)


@contextmanager
def _collected_seldom() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(COLLECTED_EVERY, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
