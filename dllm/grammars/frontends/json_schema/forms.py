"""What a JSON Schema asks of values of one type: what the forms of all types have in common, and how they meet.

A schema is a union of forms, each of one type, since its keywords speak of one type each: `minLength` lets every number
pass. `allOf`, `$ref` and keywords beside each other are then intersections, form by form.

What a form asks of the values inside an array or an object is not worked out here: it is a tuple of names of schemas,
all of which such a value must satisfy (`Demand`). So forms are finite even where schemas are recursive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

from dllm.grammars.frontends.json_schema.drafts import Dialect
from dllm.grammars.frontends.json_schema.notes import Notes
from dllm.grammars.frontends.json_schema.productions import Productions
from dllm.grammars.rules import Body

Demand = tuple[str, ...]
"""Schemas, by name, that a value must satisfy, all of them; none: any value."""
NEVER: Demand = ("false",)


def all_of(left: Demand, right: Demand) -> Demand:
    """Both demands."""
    found = tuple(dict.fromkeys((*left, *right)))
    return NEVER if NEVER[0] in found else found


@dataclass(frozen=True, slots=True)
class Options:
    """How schemas are read.

    Attributes:
        unknown: whether keywords and formats that nobody knows are noted, or refused.
        formats: whether formats are asserted, or noted, all of them.
        plain_integers: whether integers are written without `.0`.
    """

    unknown: Literal["note", "refuse"] = "note"
    formats: Literal["assert", "note"] = "assert"
    plain_integers: bool = False


DEFAULT = Options()


class Context(Protocol):
    """The schemas of one document, for those who read one of them or ask about one inside another.

    Attributes:
        wide: whether forms hold all that may be valid, instead of nothing that may be invalid. The two differ in
            patterns that dialects read differently, in formats, discriminators and the integers of draft 4. A
            complement turns one into the other: what is surely not valid is all but what may be.
        options: what is up to the user.
        notes: what was read past.
    """

    wide: bool
    options: Options
    notes: Notes

    def demand(self, schema: Any, place: str) -> Demand:
        """The demand that `schema`, found at `place`, makes."""

    def forms(self, demand: Demand) -> Forms:
        """The forms of the values that satisfy `demand`."""

    def possible(self, demand: Demand) -> bool:
        """Whether a value satisfies `demand`; "yes" where that is not certain, "no" never by mistake."""

    def target(self, keyword: str, reference: Any, place: str) -> tuple[Any, str]:
        """The schema that a `$ref` or the like at `place` leads to, and the place of that."""

    def constant(self, value: Any, place: str) -> Demand:
        """The demand of being equal to `value`, for what stands at `place`."""

    def draft(self, place: str) -> Dialect:
        """By which the schema at `place` is read."""

    def read(self, told: dict[str, Any], place: str) -> Forms:
        """The forms of the values that satisfy all of the keywords `told` at `place`."""

    def told(self, demand: Demand) -> tuple[dict[str, Any], str]:
        """The keywords and the place of the one schema that `demand` is of."""

    def flipped(self) -> Context:
        """The same document, read the other way: with `wide` if this is not, and without if it is."""

    def negation(self, demand: Demand) -> Demand:
        """What the values satisfy that do not satisfy `demand`, as it is read by `flipped`."""

    def plainer(self, demand: Demand) -> Demand:
        """The same demand without negations of what the rest of it excludes anyway; NEVER if no value satisfies it."""

    def fewer(self, found: Forms) -> Forms:
        """The same values in fewer forms, where negations may have made many."""


@dataclass(frozen=True, slots=True)
class Form(ABC):
    """Values of one type that satisfy what was read so far. Without arguments: all values of the type.

    Attributes:
        TYPES: what `type` calls such values.
    """

    TYPES: ClassVar[tuple[str, ...]]

    @classmethod
    def of_types(cls, types: Collection[str]) -> Self | None:
        """The values of those of `types` that are in TYPES; None if none is."""
        return None if set(cls.TYPES).isdisjoint(types) else cls()

    @classmethod
    @abstractmethod
    def among(cls, values: Sequence[Any], context: Context, place: str) -> Iterable[Self]:
        """The forms of just those of `values`, found at `place`, that are of this type."""

    @abstractmethod
    def meet(self, other: Self) -> Self | None:
        """The values of both, or None if there is plainly none."""

    def possible(self, context: Context) -> bool:
        """Whether a value has this form; as `Context.possible`."""
        return True

    def holds(self, other: Self) -> bool:
        """Whether plainly every value of `other` has this form too."""
        return other.meet(self) == other

    def plainer(self, context: Context) -> Self:
        """The same form, with demands as `Context.plainer` has them."""
        return self

    @abstractmethod
    def complement(self, context: Context, place: str) -> Iterable[Self]:
        """The forms, in `context`, of all other values of the type; this form was read by `context.flipped()`.

        Raises:
            GrammarError: they cannot be said; `place` is where they are asked for.
        """

    @abstractmethod
    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        """The productions of the nonterminal `name`; what they are made of goes into `grammar`.

        Raises:
            GrammarError: no grammar says it.
        """


Forms = tuple[Form, ...]
"""A union of forms; none: no value."""


def narrowed(found: Forms, *asked: Form) -> Forms:
    """`found`, where values of the type of `asked` must have one of these forms too. All else passes."""
    kind, narrow = type(asked[0]), []
    for form in found:
        narrow += meetings((form,), asked) if type(form) is kind else [form]
    return tuple(dict.fromkeys(narrow))


def meetings(left: Forms, right: Forms) -> list[Form]:
    """The values that are in one of `left` and in one of `right`; what is plainly empty falls away."""
    pairs = ((one, other) for one in left for other in right if type(one) is type(other))
    return [met for one, other in pairs if (met := one.meet(other)) is not None]


def lower(left: int | None, right: int | None) -> int | None:
    """The lower of two upper bounds, of which None is none."""
    return right if left is None else left if right is None else min(left, right)


def fits(low: int, high: int | None) -> bool:
    """Whether there is a count from `low` to `high`."""
    return high is None or low <= high
