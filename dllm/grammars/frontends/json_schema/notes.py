"""What was read past in a schema because it asserts nothing there, said in sentences."""

from __future__ import annotations

from collections.abc import Iterable

WARNING = "warning: "
"""Begins a note about what somebody may have meant to assert."""
_NAMED = 3


class Notes:
    """Collects what there is to say, and where, each thing once."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, what: str, place: str, why: str) -> None:
        """That `what`, at `place`, is read past, and why so."""
        self._places.setdefault((what, why), {})[place] = None

    def sentences(self) -> tuple[str, ...]:
        """One for each thing; warnings first."""
        found = []
        for (what, why), places in self._places.items():
            sign = WARNING if why.startswith(WARNING) else ""
            found.append(f"{sign}{what} at {_listed(places)}: {why.removeprefix(WARNING)}")
        return tuple(sorted(found, key=lambda note: not note.startswith(WARNING)))


def _listed(places: Iterable[str]) -> str:
    named = [place if len(place) <= 100 else f"{place[:40]}...{place[-50:]}" for place in places]
    more = f" and {len(named) - _NAMED} more places" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def one_edit_away(name: str, legal: Iterable[str]) -> str | None:
    """The first of `legal` that `name` becomes by one letter more, less or other, or two swapped; or by case alone."""
    return next((one for one in legal if name != one and (name.lower() == one.lower() or _close(name, one))), None)


def _close(left: str, right: str) -> bool:
    if abs(len(left) - len(right)) > 1:
        return False
    same = next((at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), None)
    if same is None:
        return True
    one, other = left[same:], right[same:]
    swapped = one[:2] == other[1::-1] and one[2:] == other[2:]
    return one[1:] == other[1:] or one[1:] == other or one == other[1:] or swapped
