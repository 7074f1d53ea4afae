"""Which symbols of a grammar are of use: those that derive a text, and those that the start leads to."""

from __future__ import annotations

from collections.abc import Mapping

from dllm.grammars.rules import Body

Bodies = dict[str, tuple[Body, ...]]


def productive(bodies: Mapping[str, tuple[Body, ...]]) -> Bodies:
    """Only symbols that derive a text, and alternatives of such; what is no key is a terminal."""
    good: set[str] = set()
    while True:
        more = {
            name
            for name, found in bodies.items()
            if name not in good and any(all(s in good or s not in bodies for s in body) for body in found)
        }
        if not more:
            break
        good |= more
    return {
        name: tuple(body for body in found if all(s in good or s not in bodies for s in body))
        for name, found in bodies.items()
        if name in good
    }


def reached(start: str, bodies: Bodies) -> Bodies:
    """Only symbols that stand in what `start` derives."""
    order = {start: None}
    queue = [start]
    for name in queue:  # grows
        for body in bodies[name]:
            for symbol in body:
                if symbol in bodies and symbol not in order:
                    order[symbol] = None
                    queue.append(symbol)
    return {name: bodies[name] for name in order}
