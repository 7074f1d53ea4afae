"""The compiled part of `dllm.grammars.search.refusals`."""

from __future__ import annotations

import numpy as np

from dllm.grammars.boxing import to_python
from dllm.grammars.jit import entry


@entry
def alike(class_of, states, group):
    """`[G]` bool: groups that do nothing from these states but what `group` does."""
    found = np.ones(class_of.shape[1], dtype=np.bool_)
    for s in states:
        own = class_of[s, group]
        for g in range(class_of.shape[1]):
            found[g] &= class_of[s, g] < 0 or class_of[s, g] == own
    return to_python(found)
