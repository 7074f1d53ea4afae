"""Arrays without equal items, where items are finitely many values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from math import comb
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.forms import Context, Demand, Form
from dllm.grammars.frontends.json_schema.numbers import NumberForm
from dllm.grammars.frontends.json_schema.productions import BEGIN, COMMA, END, Productions
from dllm.grammars.frontends.json_schema.strings import StringForm
from dllm.grammars.frontends.json_schema.words import WordForm
from dllm.grammars.rules import Body

MAX_SETS = 256
"""Up to so many sets of items, each of which takes a nonterminal, items come in any order: 8 values give so many."""
MAX_VALUES = 200
"""In the order of the schema."""

_Value = tuple[str, str | int | float]
"""A type and a value of it: `true` is not 1."""


def distinct(
    grammar: Productions,
    context: Context,
    name: str,
    item: Callable[[int], Demand],
    low: int,
    high: int | None,
    known: int,
) -> list[Body]:
    """The bodies of arrays of `low` to `high` items, no two of them equal.

    Args:
        name: what to call nonterminals.
        item: index -> what the item there is.
        known: from this index on, all items are the same.

    Raises:
        GrammarError: there are infinitely many values, or too many.
    """
    found: dict[_Value, Form] = {}
    allowed = []
    for index in range(known + 1 if high is None else min(known + 1, high)):
        values = dict(_values(context, item(index), name))
        found |= values
        allowed.append(values.keys())
    most = len(found) if high is None else min(high, len(found))
    if most < low:
        return []
    symbols = {value: _terminal(grammar, context, name, form) for value, form in found.items()}
    order = list(found)
    counts = max(low, known) if most == len(found) else most  # beyond it, how many there have been is no matter
    free = sum(comb(len(order), count) for count in range(most + 1)) <= MAX_SETS
    names: dict[tuple[int, frozenset[_Value] | int], str] = {}
    queue: list[tuple[int, frozenset[_Value] | int]] = []

    def rest(count: int, gone: frozenset[_Value] | int) -> str:
        """At least one more item behind `count` of them; the values `gone`, or so many first ones, are used up."""
        if (count, gone) not in names:
            names[count, gone] = grammar.nonterminal(f"{name}:items")
            queue.append((count, gone))
        return names[count, gone]

    start = rest(0, frozenset() if free else 0)
    for count, gone in queue:  # grows
        here = names[count, gone]
        if (count == most < len(order)) or gone == len(order):
            continue
        for at, value in enumerate(order):
            if value in gone if isinstance(gone, frozenset) else at != gone:
                continue
            if value in allowed[min(count, len(allowed) - 1)]:
                after = rest(min(count + 1, counts), gone | {value} if isinstance(gone, frozenset) else at + 1)
                ends: list[Body] = [(symbols[value],)] if count + 1 >= low else []
                grammar.add(here, *ends, (symbols[value], COMMA, after))
        if isinstance(gone, int):
            grammar.add(here, (rest(count, gone + 1),))
    return [*([(BEGIN, END)] if low == 0 else []), (BEGIN, start, END)]


def finite_values(context: Context, demands: Iterable[Demand], place: str) -> list[Any]:
    """The values that satisfy one of some demands.

    Raises:
        GrammarError: there are infinitely many, or too many, at `place`.
    """
    found = {value: None for demand in demands for value, _ in _values(context, demand, place)}
    return [json.loads(str(value)) if kind == "word" else value for kind, value in found]


def _values(context: Context, demand: Demand, name: str) -> Iterator[tuple[_Value, Form]]:
    """The values of a demand, and the form of each alone."""
    count = 0
    for form in context.forms(demand):
        if not form.possible(context):
            continue
        if isinstance(form, WordForm):
            found: list[tuple[_Value, Form]] = [(("word", word), WordForm((word,))) for word in form.words]
        elif isinstance(form, StringForm) and form.texts is not None:
            found = [(("string", text), StringForm(texts=(text,))) for text in form.texts]
        elif isinstance(form, NumberForm) and (numbers := form.finite(MAX_VALUES)) is not None:
            found = [(("number", one), NumberForm(values=(one,), plain=form.plain)) for one in numbers]
        else:
            raise GrammarError(
                f"JSON schema at {name}: uniqueItems=true is not supported here: no context-free grammar compares "
                "items, unless they are of an enum, booleans or whole numbers between bounds; remove it"
            )
        count += len(found)
        if count > MAX_VALUES:
            raise GrammarError(
                f"JSON schema at {name}: uniqueItems=true is not supported for items of over {MAX_VALUES} values; "
                "remove it"
            )
        yield from found


def _terminal(grammar: Productions, context: Context, name: str, form: Form) -> str:
    [[symbol]] = form.bodies(grammar, context, name)
    return symbol
