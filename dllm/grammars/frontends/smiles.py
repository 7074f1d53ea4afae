"""SMILES with rings that close: which rings are open is a part of a rule's name, and so is the room for bonds.

A text is a tree of atoms, and ring digits are bonds besides: both ends of one carry the same digit. So each rule has a
copy for each set of ring ends that its texts leave over: `rest many 1,2` is what may follow an atom, and closes the
rings 1 and 2. The sets of a body's parts are without what two of them have in common, which is where a ring is closed.
A set of rings says no more than how many are open at a time, so at most as many as the sets have may be.

Aromatic atoms are read in a Kekulé form: each takes a double bond to one of its aromatic neighbours (`~`), along the
tree or over a ring digit (`1~`: both ends have to agree), or needs none. Many forms are the same text; one will do. A
double bond lies in a ring, so a ring is open across it, and an aromatic atom has a ring open before it or opens one.

No ring has two atoms: what follows an atom that has opened rings says what the next atom may close (`Closes`). That is
told by the highest digit alone, and in branches by the sets, so some texts are left out: docs/grammars.md.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from dllm.grammars.frontends import smiles_atoms as atoms
from dllm.grammars.frontends.smiles_given import Given
from dllm.grammars.regex import alt, chars, literal
from dllm.grammars.rules import Body, Rules, Terminal

Ring = tuple[int, str]
"""An open ring: its digit, and the bond that it makes: SINGLE, DOUBLE, or SHARED."""
Rings = frozenset[Ring]
SINGLE, DOUBLE, TRIPLE, FOURFOLD, SHARED, OUTWARD = "-", "=", "#", "$", "~", "=>"
"""Bonds. SHARED is the double one of a Kekulé form, OUTWARD a double one that leaves an aromatic ring for good."""
NOTHING: Rings = frozenset()
OPEN = 4
"""Rings that a hole may have open at a time, with the digits from 1 on; what is given may have more."""
_DIGITS = frozenset(range(1, OPEN + 1))
MOST_OPEN, MOST_SETS = 8, 96
"""Rings that a given text may have open at a time, and sets of such that it may bring; molecules have some tens."""
HIDDEN = "\0"
"""In a text, what is not given."""


class Closes(enum.Enum):
    """Which open rings the next atom may close: those that the one before it has not opened."""

    ALL = ""
    LOWER = "<"
    NONE = "!"


@dataclass(frozen=True)
class Room:
    """What an atom may have besides: bonds and ring digits, and what it has room for then."""

    links: Mapping[str, str]
    rings: Mapping[str, str]
    whole: bool = True
    """Whether it may have nothing more."""


ROOMS = {
    "0": Room({}, {}),
    "1": Room({SINGLE: "0"}, {SINGLE: "0"}),
    "2": Room({SINGLE: "1", DOUBLE: "0"}, {SINGLE: "1", DOUBLE: "0"}),
    "3": Room({SINGLE: "2", DOUBLE: "1", TRIPLE: "0"}, {SINGLE: "2", DOUBLE: "1"}),
    "4": Room({SINGLE: "3", DOUBLE: "2", TRIPLE: "1", FOURFOLD: "0"}, {SINGLE: "3", DOUBLE: "2"}),
    "many": Room(dict.fromkeys((SINGLE, DOUBLE, TRIPLE, FOURFOLD), "many"), dict.fromkeys((SINGLE, DOUBLE), "many")),
    # aromatic: a double bond is still to come
    "shared 1": Room({SHARED: "0", OUTWARD: "0"}, {SHARED: "0"}, whole=False),
    "shared 2": Room({SINGLE: "shared 1", SHARED: "1", OUTWARD: "1"}, {SINGLE: "shared 1", SHARED: "1"}, whole=False),
    "shared 3": Room({}, {SINGLE: "shared 2", SHARED: "single 2"}, whole=False),
    # none is
    "single 2": Room({SINGLE: "1"}, {SINGLE: "1"}),
    # none is, and all these bonds are
    "all 1": Room({SINGLE: "0"}, {SINGLE: "0"}, whole=False),
    "all 2": Room({SINGLE: "all 1"}, {SINGLE: "all 1"}, whole=False),
    "all 3": Room({}, {SINGLE: "all 2"}, whole=False),
    # sulfur: one, and oxygens
    "oxides 0": Room({OUTWARD: "oxides 0"}, {}),
    "oxides 1": Room({SINGLE: "oxides 0"}, {}, whole=False),
    "oxides 2": Room({}, {SINGLE: "oxides 1"}, whole=False),
}
FIRST = ""
_CHAIN = {
    atoms.FOUR: {FIRST: "4", SINGLE: "3", DOUBLE: "2", TRIPLE: "1", FOURFOLD: "0"},
    atoms.THREE: {FIRST: "3", SINGLE: "2", DOUBLE: "1", TRIPLE: "0"},
    atoms.TWO: {FIRST: "2", SINGLE: "1", DOUBLE: "0"},
    atoms.ONE: {FIRST: "1", SINGLE: "0"},
    atoms.NONE: {FIRST: "0"},
    atoms.MANY: dict.fromkeys((FIRST, SINGLE, DOUBLE, TRIPLE, FOURFOLD), "many"),
}
"""Atom -> the bond before it -> its room behind that."""
_RING = {
    atoms.CARBON: {FIRST: "shared 3", SINGLE: "shared 2", SHARED: "single 2", DOUBLE: "single 2"},
    atoms.PYRIDINE: {FIRST: "shared 2", SINGLE: "shared 1", SHARED: "1"},
    atoms.PYRROLE: {FIRST: "all 3", SINGLE: "all 2"},
    atoms.FURAN: {FIRST: "single 2", SINGLE: "1"},
    atoms.THIOPHENE: {FIRST: "oxides 2", SINGLE: "1"},
}
"""The same for aromatic atoms, which must be in a ring."""
_NITRO, _OXIDE, _HALOGEN = "NITRO", "oxide", "HALOGEN"
"""Nitrogen with five bonds and chlorine with seven, as people write them, with double bonds to oxygen."""
_MOST = {SINGLE: 2, SHARED: 2, DOUBLE: 2, TRIPLE: 0, FOURFOLD: 0, OUTWARD: 0}
"""Rings that go from a branch to elsewhere, at most, by the bond before it."""
KEPT = 64
"""Rules that are kept, besides the common ones; the last ones."""


def _digits(rings: Iterable[Ring]) -> frozenset[int]:
    return frozenset(digit for digit, _ in rings)


def _highest(rings: Rings) -> int:
    return max(_digits(rings), default=-1)


def _name(what: str, rings: Rings, closes: Closes = Closes.ALL) -> str:
    """Of a copy; what may close the same rings has one name."""
    if closes == Closes.LOWER and len(rings) == 1:
        closes = Closes.NONE
    if not rings:
        closes = Closes.ALL
    ends = ",".join(f"{digit}{'' if bond == SINGLE else bond}" for digit, bond in sorted(rings))
    return f"{what}{closes.value} {ends}".strip()


@dataclass
class _Maker:
    """Productions as they are met.

    Attributes:
        sets: of open rings that there may be.
        branches: of these, those that branches may leave over, whatever `_MOST` says.
        careful: whether rings of two atoms are kept out.
    """

    sets: frozenset[Rings]
    branches: frozenset[Rings]
    careful: bool
    found: dict[str, set[Body]] = field(default_factory=dict)
    queue: list[tuple[str, Iterator[Body]]] = field(default_factory=list)

    def made(self) -> dict[str, tuple[Body, ...]]:
        self.found["molecule"] = {("part",), ("part", '"."', "molecule")}
        self.queue.append(("part", self._part()))
        while self.queue:
            name, bodies = self.queue.pop()
            self.found[name] = set(bodies)
        self.found |= dict(self._signs())
        return {name: tuple(sorted(bodies)) for name, bodies in self.found.items()}

    def _ask(self, name: str, bodies: Iterator[Body]) -> str:
        if name not in self.found:
            self.found[name] = set()
            self.queue.append((name, bodies))
        return name

    def _signs(self) -> Iterator[tuple[str, set[Body]]]:
        """Ring digits, with the bond before them."""
        yield _OXIDE, {('"("', '"="', atoms.TWO, '")"')}
        yield "oxides", {(*([_OXIDE] * more), '"="', atoms.TWO) for more in range(3)}
        for digit in _digits(ring for rings in self.sets for ring in rings):
            name = ring_name(digit)
            yield f"{SINGLE}{digit}", {(name,), ("SINGLE", name)}
            yield f"{DOUBLE}{digit}", {(name,), ('"="', name)}
            yield f"{SHARED}{digit}", {(name,)}

    # --- atoms ------------------------------------------------------------------------------------------------------

    def _part(self) -> Iterator[Body]:
        for atom, rooms in _CHAIN.items():
            yield (atom, self._start(rooms[FIRST], NOTHING, Closes.ALL))
        for atom, rooms in _RING.items():
            for sign, opened in self._opens(rooms[FIRST], NOTHING):
                yield (atom, sign, opened)
        yield (_NITRO, _OXIDE, _OXIDE, self._rest("1", NOTHING, Closes.ALL))
        yield (_HALOGEN, _OXIDE, _OXIDE, _OXIDE, self._rest("1", NOTHING, Closes.ALL))

    def _link(self, bond: str, rings: Rings, closes: Closes) -> str:
        """A bond and what hangs on it."""
        bond = DOUBLE if bond == OUTWARD else bond
        return self._ask(_name(f"link{bond}", rings, closes), self._linked(bond, rings, closes))

    def _linked(self, bond: str, rings: Rings, closes: Closes) -> Iterator[Body]:
        if bond in (DOUBLE, TRIPLE, FOURFOLD):
            yield (f'"{bond}"', self._atom(bond, rings, closes))
            return
        yield (self._atom(bond, rings, closes),)
        if bond == SINGLE:
            yield ("SINGLE", self._atom(bond, rings, closes))

    def _atom(self, bond: str, rings: Rings, closes: Closes) -> str:
        if bond == SHARED:
            return self._aromatic(bond, rings, closes)
        return self._ask(_name(f"atom{bond}", rings, closes), self._atoms(bond, rings, closes))

    def _atoms(self, bond: str, rings: Rings, closes: Closes) -> Iterator[Body]:
        for atom, rooms in _CHAIN.items():
            if bond in rooms:
                yield (atom, self._start(rooms[bond], rings, closes))
        if bond == SINGLE or (bond == DOUBLE and not rings):
            yield (self._aromatic(bond, rings, closes),)
        if bond in (SINGLE, DOUBLE):
            yield (_NITRO, _OXIDE, self._rest("2" if bond == SINGLE else "1", rings, Closes.ALL))
        if not rings and bond == SINGLE:
            yield (_HALOGEN, "oxides")
        if not rings and bond == DOUBLE:
            yield (_NITRO, '"#"', _NITRO)

    def _aromatic(self, bond: str, rings: Rings, closes: Closes) -> str:
        return self._ask(_name(f"aromatic{bond}", rings, closes), self._aromatics(bond, rings, closes))

    def _aromatics(self, bond: str, rings: Rings, closes: Closes) -> Iterator[Body]:
        for atom, rooms in _RING.items():
            if bond in rooms and rings and bond != DOUBLE:
                yield (atom, self._start(rooms[bond], rings, closes))
                if atom == atoms.THIOPHENE and bond == SINGLE:
                    yield (atom, _OXIDE, self._rest("1", rings, Closes.ALL))
                    yield (atom, _OXIDE, _OXIDE, self._rest("1", rings, Closes.ALL))
            elif not rings and bond in rooms and bond != SHARED:
                for sign, opened in self._opens(rooms[bond], rings):
                    yield (atom, sign, opened)

    # --- what is behind an atom -------------------------------------------------------------------------------------

    def _start(self, room: str, rings: Rings, closes: Closes) -> str:
        """Ring digits, and the rest."""
        return self._ask(_name(f"start {room}", rings, closes), self._started(room, rings, closes))

    def _started(self, room: str, rings: Rings, closes: Closes) -> Iterator[Body]:
        yield (self._rest(room, rings, Closes.ALL),)
        yield from self._opens(room, rings)
        for digit, bond in rings:
            low = closes == Closes.ALL or (closes == Closes.LOWER and digit < _highest(rings))
            if low and bond in ROOMS[room].rings:
                later = closes if closes == Closes.ALL else Closes.NONE
                yield (f"{bond}{digit}", self._start(ROOMS[room].rings[bond], rings - {(digit, bond)}, later))

    def _opens(self, room: str, rings: Rings) -> Iterator[tuple[str, str]]:
        """A digit that opens a ring, and what may be behind it."""
        for sign, digit, opened, then in self._new(room, rings):
            last = Closes.LOWER if digit == _highest(opened) else Closes.NONE
            yield sign, self._opened(then, opened, last if self.careful else Closes.ALL)

    def _new(self, room: str, rings: Rings) -> Iterator[tuple[str, int, Rings, str]]:
        for opened in self.sets:
            if rings < opened and len(opened) == len(rings) + 1:
                ((digit, bond),) = opened - rings
                if bond in ROOMS[room].rings:
                    yield f"{bond}{digit}", digit, opened, ROOMS[room].rings[bond]

    def _opened(self, room: str, rings: Rings, closes: Closes) -> str:
        """More ring digits, and the rest."""
        return self._ask(_name(f"opened {room}", rings, closes), self._after_opening(room, rings, closes))

    def _after_opening(self, room: str, rings: Rings, closes: Closes) -> Iterator[Body]:
        if self.careful:
            yield (self._rest(room, rings, closes),)
            for sign, _, opened, then in self._new(room, rings):
                yield (sign, self._opened(then, opened, Closes.NONE))
        else:
            yield (self._start(room, rings, closes),)

    def _rest(self, room: str, rings: Rings, closes: Closes) -> str:
        """Branches, and the atom that goes on. `closes`: what the first atoms of them may."""
        return self._ask(_name(f"rest {room}", rings, closes), self._rests(room, rings, closes))

    def _rests(self, room: str, rings: Rings, closes: Closes) -> Iterator[Body]:
        if not rings and ROOMS[room].whole:
            yield ()
        for bond, then in ROOMS[room].links.items():
            if ROOMS[then].whole and self._crosses(bond, rings):
                yield (self._link(bond, rings, closes),)
            for own in self.sets:
                left = own ^ rings
                few = len(own) <= _MOST[bond] or own in self.branches
                if few and self._crosses(bond, own) and left in self.sets and not (then == "0" and left):
                    for inside, behind in self._shared(rings, own, left, closes):
                        yield (self._branch(bond, own, inside), self._rest(then, left, behind))

    def _crosses(self, bond: str, rings: Rings) -> bool:
        """Whether these rings may be closed behind a bond, and opened before it."""
        if bond == SHARED:
            return bool(rings)
        return not rings or bond not in (OUTWARD, TRIPLE, FOURFOLD)

    def _shared(self, rings: Rings, own: Rings, left: Rings, closes: Closes) -> Iterator[tuple[Closes, Closes]]:
        """What the first atom of a branch that leaves `own` may close, and the first atoms behind the branch."""
        if closes != Closes.LOWER:
            yield closes, closes
        elif _highest(rings) in _digits(own):  # the ring that was opened ends in the branch
            if _highest(own) == _highest(rings):
                yield Closes.LOWER, Closes.ALL
        else:
            yield Closes.ALL, Closes.LOWER if _highest(left) == _highest(rings) else Closes.NONE

    def _branch(self, bond: str, rings: Rings, closes: Closes) -> str:
        bond = DOUBLE if bond == OUTWARD else bond

        def bodies() -> Iterator[Body]:
            yield ('"("', self._link(bond, rings, closes), '")"')

        return self._ask(_name(f"branch{bond}", rings, closes), bodies())


def ring_name(digit: int) -> str:
    return f"RING {digit}"


def forms(digits: Iterable[int], bonds: Iterable[str], most: int) -> Iterator[Rings]:
    """Rings of these digits, of which up to `most` make one of these bonds, and the others single ones."""
    some, others = sorted(digits), tuple(bonds)
    for size in range(min(most, len(some)) + 1):
        for places in itertools.combinations(range(len(some)), size):
            for chosen in itertools.product(others, repeat=size):
                own = dict(zip(places, chosen, strict=True))
                yield frozenset((digit, own.get(place, SINGLE)) for place, digit in enumerate(some))


def _common() -> Iterator[Rings]:
    """Nearly all that is open in real molecules."""
    for size in range(OPEN + 1):
        for digits in itertools.combinations(sorted(_DIGITS), size):
            yield from forms(digits, [SHARED], 1 if size <= 2 else 0)


COMMON = frozenset(_common())


@lru_cache(maxsize=KEPT)
def rules_of(sets: frozenset[Rings], branches: frozenset[Rings] = frozenset(), careful: bool = True) -> Rules:
    """The rules of molecules with these sets of open rings, see `_Maker`."""
    productions = _Maker(sets, branches, careful).made()
    return Rules("molecule", productions, tuple(_terminals(_digits(ring for rings in sets for ring in rings))))


@cache
def common_rules() -> Rules:
    return rules_of(COMMON)


def rules_like(text: str) -> Rules:
    """Rules that hold a text as well, whatever digits it has, and however many rings are open in it.

    Args:
        text: any; a zero byte stands for what is not given.
    """
    given = Given.of(text)
    few = all(own <= _DIGITS and (len(own) <= 2 or not given.aromatic) for own in given.sets)
    if few and given.careful and not given.doubles and all(len(own) <= _MOST[SINGLE] for own in given.branches):
        return common_rules()
    bonds = [SHARED] * given.aromatic + [DOUBLE] * given.doubles
    few_open = (one for one in given.sets | given.branches if len(one) <= MOST_OPEN)
    own = sorted(few_open, key=lambda one: (len(one), sorted(one)))
    sets = itertools.chain.from_iterable(forms(one, bonds, 2 if len(one) <= 3 else 1) for one in own)
    made = frozenset(itertools.islice(sets, MOST_SETS)) | (COMMON if HIDDEN in text else {NOTHING})
    return rules_of(made, frozenset(one for one in made if _digits(one) in given.branches), given.careful)


def _terminals(digits: Iterable[int]) -> Iterator[Terminal]:
    yield from atoms.atom_terminals()
    yield Terminal(_NITRO, literal("N"))
    yield Terminal(_HALOGEN, alt(literal("Cl"), literal("Br")))
    yield Terminal("SINGLE", chars("-/\\"))
    for sign in "#$=().":
        yield Terminal(f'"{sign}"', literal(sign))
    for digit in sorted(digits):
        yield Terminal(ring_name(digit), literal(str(digit) if digit < 10 else f"%{digit}"))
