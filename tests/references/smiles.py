"""What is wrong with a molecule in SMILES, by its graph: slow, plain, and sharing nothing with the grammar.

What is looked at: lexemes and parentheses, ring digits in pairs, one bond between two atoms, valences of what is
written without brackets, and aromatic atoms: in a ring, and with a double bond each where they need one, by trying.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

LEXEME = re.compile(
    r"(?P<atom>\[(?:0|[1-9]\d{0,2})?(?P<symbol>as|se|te|[A-Z][a-z]?|[bcnops*])(?:@@|@[A-Z]{2}\d+|@)?"
    r"(?P<hydrogens>H\d?)?(?P<charge>\+\+|--|[+-]\d*)?(?::\d+)?\]|Br|Cl|[BCNOPSFIbcnops*])"
    r"|(?P<mark>[-=#$/\\]?)(?P<ring>\d|%[1-9]\d)|(?P<bond>[-=#$/\\])|(?P<other>[().])"
)
ORDERS = {"": 1, "-": 1, "/": 1, "\\": 1, "=": 2, "#": 3, "$": 4}
VALENCE = {"C": 4, "N": 5, "O": 2, "F": 1, "B": 3, "Cl": 7, "Br": 7}
"""Of atoms without brackets, at most; nitrogen as people write it with double bonds to oxygen. Others may have any."""
OUTER = {"b": 3, "c": 4, "n": 5, "o": 6, "p": 5, "s": 6, "as": 5, "se": 6, "te": 6}
TWICE = "two ring bonds between the same atoms"
"""What the grammar lets pass."""


@dataclass
class Atom:
    """`bonds`: the other atom and the order; None between aromatic atoms where none is written."""

    symbol: str
    bare: bool = True
    hydrogens: int = 0
    charge: int = 0
    bonds: dict[int, int | None] = field(default_factory=dict)

    @property
    def aromatic(self) -> bool:
        return self.symbol[0].islower()


def reuses_a_digit(text: str) -> bool:
    """Whether a branch uses a digit for a ring of its own while a ring of that digit is open around it.

    As written, the first of the two ends closes the ring around. The grammar counts only whether a branch has an odd
    number of ends, takes the two for each other, and so sees other rings than there are.
    """
    open_now: set[str] = set()
    around: list[tuple[set[str], Counter[str]]] = []
    for lexeme in LEXEME.finditer(text):
        if lexeme["ring"]:
            open_now ^= {lexeme["ring"]}
            for _, counts in around:
                counts[lexeme["ring"]] += 1
        elif lexeme[0] == "(":
            around.append((set(open_now), Counter()))
        elif lexeme[0] == ")":
            before, counts = around.pop()
            if any(count % 2 == 0 if digit in before else count % 2 and count > 1 for digit, count in counts.items()):
                return True
    return False


class Molecule:
    """The graph of a text, or `fault`."""

    def __init__(self, text: str) -> None:
        self.atoms: list[Atom] = []
        self.rings: set[frozenset[int]] = set()
        """Pairs of atoms that ring digits bind."""
        self.opened: dict[str, tuple[int, str]] = {}
        self.fault = self._read(text)

    def _read(self, text: str) -> str | None:
        at, last, bond, stack = 0, None, None, []
        due = True  # an atom must come
        while at < len(text):
            lexeme = LEXEME.match(text, at)
            if lexeme is None:
                return f"no lexeme at {at}"
            begin, at = at, lexeme.end()
            if lexeme["atom"]:
                self.atoms.append(_atom(lexeme))
                if last is not None:
                    self._bind(last, len(self.atoms) - 1, bond or "")
                last, bond, due = len(self.atoms) - 1, None, False
            elif due or last is None or (lexeme["ring"] and text[begin - 1] == ")"):
                return f"unexpected {lexeme[0]!r} at {begin}"
            elif lexeme["ring"]:
                wrong = self._ring(lexeme["ring"].removeprefix("%"), lexeme["mark"], last)
                if wrong:
                    return wrong
            elif lexeme["bond"]:
                bond, due = lexeme["bond"], True
            elif lexeme[0] == "(":
                stack.append(last)
                if text[at : at + 1] in tuple("-=#$/\\"):
                    bond, at = text[at], at + 1
                due = True
            elif lexeme[0] == ")":
                if not stack:
                    return f"unexpected ')' at {begin}"
                last = stack.pop()
            elif stack:
                return "a dot in a branch"
            else:
                last, due = None, True
        return "it breaks off" if due or stack or self.opened else None

    def _ring(self, digit: str, mark: str, atom: int) -> str | None:
        if digit not in self.opened:
            self.opened[digit] = (atom, mark)
            return None
        other, before = self.opened.pop(digit)
        pair = frozenset((other, atom))
        if other == atom or other in self.atoms[atom].bonds:
            return TWICE if pair in self.rings else "a ring of fewer than three"
        if mark and before and ORDERS[mark] != ORDERS[before]:
            return "the ends of a ring bond differ"
        self.rings.add(pair)
        self._bind(other, atom, mark or before)
        return None

    def _bind(self, one: int, other: int, mark: str) -> None:
        shared = mark == "" and self.atoms[one].aromatic and self.atoms[other].aromatic
        self.atoms[one].bonds[other] = self.atoms[other].bonds[one] = None if shared else ORDERS[mark]

    def in_rings(self) -> set[frozenset[int]]:
        """Bonds that lie in a ring: without one, its ends are still connected."""
        found = set()
        for one, atom in enumerate(self.atoms):
            for other in atom.bonds:
                if one < other and other in self._reached(one, other):
                    found.add(frozenset((one, other)))
        return found

    def _reached(self, start: int, without: int) -> set[int]:
        found, queue = {start}, [start]
        while queue:
            one = queue.pop()
            for other in self.atoms[one].bonds:
                if {one, other} != {start, without} and other not in found:
                    found.add(other)
                    queue.append(other)
        return found


def _atom(lexeme: re.Match[str]) -> Atom:
    if lexeme["symbol"] is None:
        return Atom(lexeme["atom"])
    hydrogens, charge = lexeme["hydrogens"], lexeme["charge"] or ""
    sign = -1 if charge.startswith("-") else 1
    size = len(charge) if charge in ("++", "--") else int(charge[1:] or 1) if charge else 0
    return Atom(lexeme["symbol"], False, int(hydrogens[1:] or 1) if hydrogens else 0, sign * size)


def fault(text: str) -> str | None:
    """What is wrong, or None."""
    molecule = Molecule(text)
    return molecule.fault or _overfull(molecule) or _aromatic(molecule)


def _overfull(molecule: Molecule) -> str | None:
    for number, atom in enumerate(molecule.atoms):
        orders = sum(order or 1 for order in atom.bonds.values())
        if atom.bare and orders > VALENCE.get(atom.symbol, orders):
            return f"atom {number} has {orders} bonds"
    return None


def _aromatic(molecule: Molecule) -> str | None:
    atoms, ringed = molecule.atoms, molecule.in_rings()
    needy = set()
    for number, atom in enumerate(atoms):
        if atom.aromatic:
            if not any(frozenset((number, other)) in ringed for other in atom.bonds):
                return f"atom {number} is aromatic and in no ring"
            needed = _needs(atom)
            if needed is None:
                return f"atom {number} has no aromatic form"
            if needed:
                needy.add(number)
    ways = {
        one: [
            two for two in atoms[one].bonds if two in needy and atoms[one].bonds[two] is None and {one, two} in ringed
        ]
        for one in needy
    }
    return None if _paired(frozenset(needy), ways) else "not every aromatic atom gets a double bond"


def _needs(atom: Atom) -> bool | None:
    """Whether an aromatic atom needs a double bond in its ring; None where there is no such atom."""
    around = len(atom.bonds) + atom.hydrogens
    outer = OUTER[atom.symbol] - atom.charge
    double = any(order == 2 for order in atom.bonds.values())
    if outer == 4:
        return None if around > 3 else not double
    if outer in (3, 5):
        return None if around > 3 or double else around == 2
    return False if outer == 6 and (around == 2 or (atom.symbol == "s" and double)) else None


def _paired(left: frozenset[int], ways: dict[int, list[int]]) -> bool:
    """Whether all of these can be bound in pairs."""
    if not left:
        return True
    one = min(left, key=lambda one: sum(two in left for two in ways[one]))
    return any(_paired(left - {one, two}, ways) for two in ways[one] if two in left)
