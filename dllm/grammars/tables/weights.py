"""How many tokens a lexeme takes at least, whatever stands around it."""

from __future__ import annotations

import numpy as np

from dllm.grammars.tables.flat import Ints
from dllm.grammars.tables.steps import DEAD
from dllm.grammars.tables.token_table import TokenTable

FAR = 1 << 20
"""The weight of what no token emits."""


def weights(table: TokenTable) -> Ints:
    """`[labels]`: tokens before which a label is the next one to be emitted, at least.

    Before a token one label is the next, if any is: so what is emitted by so many tokens weighs no more in all. A label
    that one token emits behind another weighs nothing.
    """
    count = len(table.at) - 1
    states = np.repeat(np.arange(count), np.diff(table.at))
    emitted, state = table.emitted[: len(states)], table.state[: len(states)]
    silent = emitted == 0
    steps = np.full(count, FAR, dtype=np.int32)  # tokens since the last label was emitted, or since the start
    steps[0] = 0
    steps[state[~silent]] = 0
    before, after = states[silent], state[silent]
    for distance in range(count):
        found = after[(steps[before] == distance) & (steps[after] > distance + 1)]
        if not len(found):
            break
        steps[found] = distance + 1
    emissions, ends = table.emissions, table.scanner.emissions
    least = np.full(1 + max((max(one, default=-1) for one in (*emissions, *ends)), default=-1), FAR, dtype=np.int32)
    emitting = np.full(len(emissions), FAR, dtype=np.int32)
    np.minimum.at(emitting, emitted[~silent], steps[states[~silent]] + 1)
    ending = np.full(len(ends), FAR, dtype=np.int32)
    may_end = table.scanner.final != DEAD
    np.minimum.at(ending, table.scanner.final[may_end], steps[may_end])
    for labels, taken in (*zip(emissions, emitting.tolist(), strict=True), *zip(ends, ending.tolist(), strict=True)):
        if labels and taken < FAR:
            least[labels[0]] = min(least[labels[0]], taken)
            least[list(labels[1:])] = 0
    return least
