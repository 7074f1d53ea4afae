"""How the loops of the grammar engine are compiled.

Compiling takes the longest of all in a first use after installation, and a good part of it goes into what lets Python
call a function (a copy that unpacks a hundred arrays, and one for C). So only what Python calls has that.
"""

from __future__ import annotations

from numba import njit

entry = njit(cache=True, no_cfunc_wrapper=True)
"""For a loop that Python calls. What it returns, unless that is one number, goes through `boxing.to_python`."""
inner = njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For what only other loops call; Python cannot. Literal arguments make one more copy each: give `np.int64(0)`."""
