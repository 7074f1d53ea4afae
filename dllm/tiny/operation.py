"""What an operation of ``code.py`` is, and the names that its parameters and locals take."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.tiny.example import listing

Param = tuple[str, str]
INTS = listing("a b x y n m p q u w k")
LOCALS = listing("total result acc res out s t")
VECTOR = "const std::vector<int>&"
STRING = "const std::string&"


@dataclass(frozen=True, slots=True)
class Operation:
    """``what`` completes "a function that ..."; ``title`` is a fitting name or ""."""

    what: str
    params: tuple[Param, ...]
    returns: str
    body: tuple[str, ...]
    title: str = ""


def integers(names: list[str], kind: str = "int") -> tuple[Param, ...]:
    """Parameters ``names``, all of type ``kind``."""
    return tuple((kind, name) for name in names)
