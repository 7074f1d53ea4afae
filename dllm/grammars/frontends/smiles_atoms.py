"""The atoms of SMILES as terminals, one for each room that an atom may have for bonds.

How many bonds an element makes follows from its outer electrons: boron to fluorine fill an octet, what is heavier may
go beyond; a charge counts as another element would (N+ as C). Metals are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dllm.grammars.regex import Regex, alt, chars, literal, optional, repeat, seq
from dllm.grammars.rules import Terminal

FOUR, THREE, TWO, ONE, NONE, MANY = "FOUR", "THREE", "TWO", "ONE", "NONE", "MANY"
"""Atoms by the bonds that they have room for; MANY is five or more, or not counted."""
CARBON, PYRIDINE, PYRROLE, FURAN, THIOPHENE = "CARBON", "PYRIDINE", "PYRROLE", "FURAN", "THIOPHENE"
"""Aromatic ones, after what they do in a ring: a double bond to one neighbour (the first two, of which PYRIDINE has no
room for a third); none, and three neighbours, or two."""

_ELECTRONS = {
    **{"H": 1, "B": 3, "C": 4, "N": 5, "O": 6, "F": 7, "Si": 4, "P": 5, "S": 6, "Cl": 7, "Br": 7, "I": 7},
    **{"Ge": 4, "As": 5, "Se": 6, "Te": 6},
}
_OCTET = frozenset({"B", "C", "N", "O", "F", "Cl", "Br"})
_METALS = (
    *("He", "Li", "Be", "Ne", "Na", "Mg", "Al", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"),
    *("Zn", "Ga", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Xe"),
    *("Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta"),
    *("W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U"),
    *("Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds"),
    *("Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og", "*"),
)
"""And noble gases, and what stands for any atom."""
_CHARGES = range(-4, 5)
_ROOMS = {0: NONE, 1: ONE, 2: TWO, 3: THREE, 4: FOUR}
_PLAIN = {
    **{FOUR: "C", THREE: "N B", TWO: "O", ONE: "F Cl Br", MANY: "P S I *"},
    **{CARBON: "c", PYRIDINE: "n p b", PYRROLE: "n p b", FURAN: "o", THIOPHENE: "s"},
}
"""Those that may stand without brackets."""
_DIGITS = chars("", ("0", "9"))


def _number(digits: int) -> Regex:
    """Of up to so many digits, and 0."""
    return alt(literal("0"), seq(chars("", ("1", "9")), repeat(_DIGITS, 0, digits - 1)))


_ISOTOPE, _CLASS = optional(_number(3)), optional(seq(literal(":"), _number(4)))

Atom = tuple[str, int, int]
"""In brackets: a symbol, how many H, and the charge."""


def atom_terminals() -> Iterator[Terminal]:
    """One for each kind of atom; those that an atom may be of several kinds of match the same texts."""
    found: dict[str, list[Atom]] = {}
    for symbol in _ELECTRONS:
        for hydrogens in range(5):
            for charge in _CHARGES:
                bonds = _bonds(symbol, hydrogens, charge)
                if bonds >= 0:
                    found.setdefault(_ROOMS.get(bonds, MANY), []).append((symbol, hydrogens, charge))
    for symbol in ("b", "c", "n", "o", "p", "s", "as", "se", "te"):
        for hydrogens in (0, 1):
            for charge in (-1, 0, 1):
                for kind in _aromatic(symbol, hydrogens, charge):
                    found.setdefault(kind, []).append((symbol, hydrogens, charge))
    for kind, atoms in found.items():
        plain = [literal(one) for one in _PLAIN.get(kind, "").split()]
        metals = [_metal()] if kind == MANY else []
        yield Terminal(kind, alt(*plain, _bracketed(atoms), *metals))


def _bonds(symbol: str, hydrogens: int, charge: int) -> int:
    """How many bonds an atom has room for besides its H; below 0 where there is no such atom."""
    electrons = _ELECTRONS[symbol] - charge
    if symbol == "H":
        return (1 if charge == 0 else 0) - hydrogens
    if not 0 < electrons < 8:
        return -hydrogens
    if symbol in _OCTET:
        return min(electrons, 8 - electrons) - hydrogens
    return (5 if electrons == 7 else electrons) - hydrogens


def _aromatic(symbol: str, hydrogens: int, charge: int) -> tuple[str, ...]:
    electrons = _ELECTRONS[symbol.capitalize()] - charge
    if electrons == 4:
        return (PYRIDINE,) if hydrogens else (CARBON,)
    if electrons in (3, 5):
        if hydrogens:
            return (FURAN,)
        return (PYRIDINE, PYRROLE)
    if electrons == 6 and not hydrogens:
        return (THIOPHENE,) if symbol == "s" else (FURAN,)
    return ()


def _bracketed(atoms: Iterable[Atom]) -> Regex:
    charges: dict[str, dict[int, list[int]]] = {}
    for symbol, hydrogens, charge in atoms:
        charges.setdefault(symbol, {}).setdefault(hydrogens, []).append(charge)
    alike: dict[str, list[str]] = {}
    for symbol, own in charges.items():
        alike.setdefault(repr(own), []).append(symbol)
    return _brackets(*(_charged(symbols, charges[symbols[0]]) for symbols in alike.values()))


def _charged(symbols: Iterable[str], charges: Mapping[int, Iterable[int]]) -> Regex:
    tails = [seq(_hydrogens(n), alt(*map(_charge, own))) for n, own in charges.items()]
    return seq(alt(*map(literal, symbols)), _chirality(), alt(*tails))


def _metal() -> Regex:
    hydrogens = optional(seq(literal("H"), optional(_DIGITS)))
    number = alt(_DIGITS, seq(literal("1"), chars("", ("0", "5"))))
    charge = optional(alt(literal("++"), literal("--"), seq(chars("+-"), optional(number))))
    return _brackets(seq(alt(*map(literal, _METALS)), _chirality(), hydrogens, charge))


def _brackets(*options: Regex) -> Regex:
    return seq(literal("["), _ISOTOPE, alt(*options), _CLASS, literal("]"))


def _chirality() -> Regex:
    def upto(tens: str, last: str) -> Regex:
        return alt(chars("", ("1", "9")), seq(chars(tens), _DIGITS), literal(last))

    kinds = alt(
        seq(alt(literal("TH"), literal("AL")), chars("12")),
        seq(literal("SP"), chars("123")),
        seq(literal("TB"), upto("1", "20")),
        seq(literal("OH"), upto("12", "30")),
    )
    return optional(alt(literal("@"), literal("@@"), seq(literal("@"), kinds)))


def _hydrogens(number: int) -> Regex:
    spelled = {0: ("", "H0"), 1: ("H", "H1")}.get(number, (f"H{number}",))
    return alt(*map(literal, spelled))


def _charge(charge: int) -> Regex:
    sign, size = "+" if charge > 0 else "-", abs(charge)
    spelled = {0: ("", "+0", "-0"), 1: (sign, f"{sign}1"), 2: (2 * sign, f"{sign}2")}.get(size, (f"{sign}{size}",))
    return alt(*map(literal, spelled))
