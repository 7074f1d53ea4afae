"""What a JSON Schema asks of values of one type, and how two such demands become one.

A schema is a union of forms, each of one type, since its keywords speak of one type each: `minLength` lets every number
pass. `allOf`, `$ref` and keywords beside each other are then intersections, form by form.

What a form asks of the values inside an array or an object is not worked out here: it is a tuple of names of schemas,
all of which such a value must satisfy (`Wanted`). So forms are finite even where schemas are recursive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from dllm.grammars.frontends.json_schema.formats import FORMATS
from dllm.grammars.frontends.json_schema.numbers import Bound, inclusive
from dllm.grammars.regex import ANY, And, Regex, repeat
from dllm.grammars.tables.automata import Dfa, dfa
from dllm.grammars.tables.steps import DEAD

Wanted = tuple[str, ...]
"""Schemas, by name, that a value must satisfy, all of them; none: any value."""

NEVER: Wanted = ("false",)


@dataclass(frozen=True, slots=True)
class WordForm:
    """Some of `null`, `true` and `false`."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumberForm:
    """Numbers within bounds.

    Attributes:
        whole: only whole numbers, 1.0 included.
        step: whole numbers are multiples of it; not 1 only if `whole`.
        values: if not None, one of these; they already satisfy all else.
    """

    whole: bool = False
    low: Bound | None = None
    high: Bound | None = None
    step: int = 1
    values: tuple[int | float, ...] | None = None

    def ends(self) -> tuple[Decimal | None, Decimal | None]:
        """The bounds made inclusive, for numbers that need not be whole; one of over 15 digits counts as none."""
        found: list[Decimal | None] = []
        for bound, sign in ((self.low, 1), (self.high, -1)):
            value = None if bound is None else bound.decimal()
            found.append(None if bound is None or value is None else inclusive(value, bound.exclusive, sign))
        return found[0], found[1]

    def has_number(self) -> bool:
        """Whether there is one; `meet` has looked at whole ones and values."""
        low, high = self.ends()
        return self.whole or self.values is not None or low is None or high is None or low <= high


@dataclass(frozen=True, slots=True)
class StringForm:
    """Strings; everything is said of the meant text.

    Attributes:
        patterns: the text is in all of them.
        low, high: bounds of its length in characters.
        texts: if not None, one of these; they already satisfy all else.
    """

    patterns: tuple[Regex, ...] = ()
    low: int = 0
    high: int | None = None
    texts: tuple[str, ...] | None = None

    def tree(self) -> Regex:
        """The texts that satisfy patterns and bounds."""
        trees = list(self.patterns)
        if self.low or self.high is not None or not trees:
            trees.append(repeat(ANY, self.low, self.high))
        found = trees[0]
        for tree in trees[1:]:
            found = And(found, tree)
        return found


@dataclass(frozen=True, slots=True)
class ArrayForm:
    """Arrays: `prefix` says what the first items are, `rest` what all others are; `low` to `high` items."""

    prefix: tuple[Wanted, ...] = ()
    rest: Wanted = ()
    low: int = 0
    high: int | None = None

    def item(self, index: int) -> Wanted:
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """Objects.

    Attributes:
        named: keys with a demand of their own, in order; among them all required ones.
        required: keys that must be there, in the order of `named`.
        free: what the values of all other keys are.
        low, high: bounds of the number of keys.
        fixed: the keys come in this order and once each, as in the value of a `const`.
    """

    named: tuple[tuple[str, Wanted], ...] = ()
    required: tuple[str, ...] = ()
    free: Wanted = ()
    low: int = 0
    high: int | None = None
    fixed: bool = False

    def of(self, key: str) -> Wanted:
        return dict(self.named).get(key, self.free)


Form = WordForm | NumberForm | StringForm | ArrayForm | ObjectForm
ANYTHING: tuple[Form, ...] = (
    WordForm(("null", "true", "false")),
    NumberForm(),
    StringForm(),
    ArrayForm(),
    ObjectForm(),
)


def all_of(left: Wanted, right: Wanted) -> Wanted:
    """Both demands."""
    found = tuple(dict.fromkeys((*left, *right)))
    return NEVER if NEVER[0] in found else found


def meet_all(left: tuple[Form, ...], right: tuple[Form, ...]) -> tuple[Form, ...]:
    """The values that are in one of `left` and in one of `right`; what is plainly empty falls away."""
    if left == ANYTHING or right == ANYTHING:
        return right if left == ANYTHING else left
    found = (meet(one, other) for one in left for other in right)
    return tuple(dict.fromkeys(form for form in found if form is not None))


def meet(left: Form, right: Form) -> Form | None:
    """The values of both forms, or None if there is plainly none."""
    match left, right:
        case WordForm(), WordForm():
            words = tuple(word for word in left.words if word in right.words)
            return WordForm(words) if words else None
        case NumberForm(), NumberForm():
            return _meet_numbers(left, right)
        case StringForm(), StringForm():
            return _meet_strings(left, right)
        case ArrayForm(), ArrayForm():
            size = max(len(left.prefix), len(right.prefix))
            prefix = tuple(all_of(left.item(index), right.item(index)) for index in range(size))
            low, high = max(left.low, right.low), _lower(left.high, right.high)
            return ArrayForm(prefix, all_of(left.rest, right.rest), low, high) if _fits(low, high) else None
        case ObjectForm(), ObjectForm():
            return _meet_objects(left, right)
    return None


def _meet_numbers(left: NumberForm, right: NumberForm) -> NumberForm | None:
    low, high = left.low, left.high
    if right.low and (low is None or (right.low.value, right.low.exclusive) > (low.value, low.exclusive)):
        low = right.low
    if right.high and (high is None or (right.high.value, not right.high.exclusive) < (high.value, not high.exclusive)):
        high = right.high
    values = left.values
    if values is None or right.values is None:
        values = right.values if values is None else values
    else:
        values = tuple(value for value in values if value in right.values)
    form = NumberForm(left.whole or right.whole, low, high, math.lcm(left.step, right.step), values)
    if values is not None:
        values = tuple(value for value in values if _allows(form, value))
        return NumberForm(values=values) if values else None
    if low is None or high is None:
        return form
    if form.whole:
        first = -(-low.ceil() // form.step) * form.step
        return form if first <= high.floor() else None
    return form if low.value < high.value or (low.below(high.value) and high.above(low.value)) else None


def _allows(form: NumberForm, value: int | float) -> bool:
    if form.whole and (value != value // 1 or value % form.step):
        return False
    return (form.low is None or form.low.below(value)) and (form.high is None or form.high.above(value))


def _meet_strings(left: StringForm, right: StringForm) -> StringForm | None:
    low, high = max(left.low, right.low), _lower(left.high, right.high)
    patterns = tuple(dict.fromkeys(left.patterns + right.patterns))
    if left.texts is None and right.texts is None:
        return StringForm(patterns, low, high) if _fits(low, high) else None
    texts = left.texts if left.texts is not None else right.texts or ()
    if right.texts is not None:
        texts = tuple(text for text in texts if text in right.texts)
    texts = tuple(
        text
        for text in texts
        if low <= len(text) and (high is None or len(text) <= high) and all(matches(tree, text) for tree in patterns)
    )
    return StringForm(texts=texts) if texts else None


def _meet_objects(left: ObjectForm, right: ObjectForm) -> ObjectForm | None:
    first, second = (right, left) if right.fixed else (left, right)
    keys = dict.fromkeys([*dict(first.named), *dict(second.named)])
    named = tuple((key, all_of(first.of(key), second.of(key))) for key in keys)
    required = tuple(key for key in keys if key in left.required or key in right.required)
    low, high = max(left.low, right.low), _lower(left.high, right.high)
    if not _fits(max(low, len(required)), high):
        return None
    return ObjectForm(named, required, all_of(first.free, second.free), low, high, first.fixed)


def _lower(left: int | None, right: int | None) -> int | None:
    return right if left is None else left if right is None else min(left, right)


def _fits(low: int, high: int | None) -> bool:
    return high is None or low <= high


@lru_cache(maxsize=256)
def _machine(tree: Regex) -> Dfa:
    return dfa([tree])


def matches(tree: Regex, text: str) -> bool:
    """Whether `text` is in `tree`. Texts that no UTF-8 can hold are in none."""
    return bool(_machine(tree).matches(text.encode(errors="surrogatepass")))


def has_text(form: StringForm) -> bool:
    """Whether any string has the form."""
    if not form.patterns or (form == StringForm(form.patterns[:1]) and form.patterns[0] in FORMATS.values()):
        return True
    machine = _machine(StringForm(form.patterns).tree())
    after: dict[int, set[int]] = {}
    states, length = {0}, 0
    while states:  # where texts of this length lead; from every state some text is accepted
        if length >= form.low and (form.high is None or any(machine.accepts[state] for state in states)):
            return form.high is not None or any(machine.accepts)
        if length == form.high:
            return False
        for state in states - after.keys():
            after[state] = _after_character(machine, state)
        states, length = set().union(*(after[state] for state in states)), length + 1
    return False


def _after_character(machine: Dfa, state: int) -> set[int]:
    """The states after one more character."""
    found: set[int] = set()
    for byte in range(256):
        ends = {int(machine.table[state, byte])}
        for _ in range((byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)):
            ends = {int(end) for one in ends if one != DEAD for end in machine.table[one, 0x80:0xC0]}
        found |= ends
    return found - {DEAD}
