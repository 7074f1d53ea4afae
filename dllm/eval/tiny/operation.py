"""What an operation of ``code.py`` is, and the names that its parameters and locals take."""

from __future__ import annotations

import random
from dataclasses import dataclass

from dllm.eval.tiny.example import listing

Param = tuple[str, str]
INTS = listing("a b x y n m p q u w k")
_TOGETHER = tuple(map(listing, ("a b c", "x y z", "n m k", "p q r", "u v w", "first second third", "i j k")))
"""Names that go together, as people choose them: the first is free, the others follow from it."""
LOCALS = listing("total result acc res out s t")
CPP_VECTOR = "const std::vector<int>&"
CPP_STRING = "const std::string&"


@dataclass(frozen=True, slots=True)
class Operation:
    """``what`` completes "a function that ..."; ``title`` is a fitting name or ""."""

    what: str
    params: tuple[Param, ...]
    returns: str
    body: tuple[str, ...]
    title: str = ""


def names(rng: random.Random, count: int) -> tuple[str, ...]:
    """``count`` (at most 3) names for parameters of one kind."""
    return rng.choice(_TOGETHER)[:count]


def integers(*called: str, kind: str = "int") -> tuple[Param, ...]:
    """Parameters ``called`` so, all of type ``kind``."""
    return tuple((kind, name) for name in called)
