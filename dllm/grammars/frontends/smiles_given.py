"""What of rings can be seen in a text in SMILES, which may have holes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Open = frozenset[int]
"""The digits of rings that are open."""

_LEXEME = re.compile(
    r"(?P<atom>\[[^\]]*\]|Br|Cl|[A-Za-z*])|(?P<bond>[-=#$:/\\])?(?:%(?P<two>\d\d)|(?P<digit>\d))|[().]"
)
_AROMATIC = re.compile(r"\[?\d*[a-z]")


@dataclass(frozen=True)
class Given:
    """Rings of a text.

    Attributes:
        sets: what is open somewhere, so that it is closed behind that in the same chain.
        branches: of those, what a branch opens or closes for others.
        careful: whether the rules that keep out rings of two atoms take the text: what an atom closes is no ring of the
            atom before it, which has opened one of a higher digit, or none. So too where there is a ring of two.
        doubles: whether a ring digit has a double bond.
        aromatic: whether there are aromatic atoms.
    """

    sets: frozenset[Open]
    branches: frozenset[Open]
    careful: bool
    doubles: bool
    aromatic: bool

    @classmethod
    def of(cls, text: str) -> Given:
        lexemes = list(_LEXEME.finditer(text))
        sets, branches = _sets(lexemes)
        return cls(
            sets=frozenset(sets),
            branches=frozenset(branches),
            careful=_careful(lexemes),
            doubles=any(one["bond"] == "=" for one in lexemes),
            aromatic=any(_AROMATIC.match(one["atom"]) for one in lexemes if one["atom"]),
        )


def _digit(lexeme: re.Match[str]) -> int | None:
    found = lexeme["two"] or lexeme["digit"]
    return None if found is None else int(found)


def _sets(lexemes: list[re.Match[str]]) -> tuple[set[Open], set[Open]]:
    """What is open in chains, and over branches. A ring digit that comes twice behind a place is not open there."""
    chains: list[list[Open]] = [[frozenset()]]  # of each, what comes an odd number of times before each place in it
    sets, branches = set[Open](), set[Open]()

    def end() -> Open:
        chain = chains.pop()
        sets.update(before ^ chain[-1] for before in chain)
        return chain[-1]

    for lexeme in lexemes:
        digit = _digit(lexeme)
        if digit is not None:
            chains[-1].append(chains[-1][-1] ^ {digit})
        elif lexeme[0] == "(":
            chains.append([frozenset()])
        elif lexeme[0] == ")" and len(chains) > 1:
            own = end()
            branches.add(own)
            chains[-1].append(chains[-1][-1] ^ own)
    while chains:
        end()
    return sets, branches


@dataclass(eq=False)
class _Atom:
    """`opened`, `closed`: digits; `highest`: whether none higher was open when one was opened."""

    opened: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    highest: bool = True


def _atoms(lexemes: list[re.Match[str]]) -> Iterator[tuple[int, _Atom, _Atom]]:
    """Ring digits with their atom and the one before it."""
    stack, atom, before = list[_Atom](), _Atom(), _Atom()
    for lexeme in lexemes:
        digit = _digit(lexeme)
        if digit is not None:
            yield digit, atom, before
        elif lexeme["atom"]:
            atom, before = _Atom(), atom
        elif lexeme[0] == "(":
            stack.append(atom)
        elif lexeme[0] == ")":
            atom = stack.pop() if stack else atom
        else:
            atom = _Atom()


def _careful(lexemes: list[re.Match[str]]) -> bool:
    opened: dict[int, _Atom] = {}
    careful = True
    for digit, atom, before in _atoms(lexemes):
        if digit not in opened:
            atom.highest = digit >= max(opened, default=0)
            atom.opened.append(digit)
            opened[digit] = atom
            continue
        if opened.pop(digit) in (before, atom):
            return True
        atom.closed.append(digit)
        if atom.opened:
            careful = False
        elif before.opened:
            alone = len(before.opened) == len(atom.closed) == 1
            careful = careful and alone and before.highest and digit < before.opened[0]
    return careful
