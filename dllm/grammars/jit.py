"""How the loops of the grammar engine are compiled."""

from __future__ import annotations

from typing import Any

import numba
from numba import njit

LEAN = "0.68."
"""Versions of numba for which `lean` was made. It knows of their insides; others compile as they do by default, which
takes a quarter more time."""


def _pipeline() -> dict[str, Any]:
    if not numba.__version__.startswith(LEAN):
        return {"cache": True}
    from dllm.grammars.lean import Lean

    return {"pipeline_class": Lean}


entry = njit(no_cfunc_wrapper=True, **_pipeline() | {"cache": True})
"""For a loop that Python calls."""
inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_pipeline())
"""For what only other loops call; Python cannot. Literal arguments make one more copy each: give `np.int64(0)`."""
