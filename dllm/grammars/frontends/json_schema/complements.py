"""What is left of a union of forms without another: the values under `not`, `else`, and one branch of `oneOf` alone.

The forms that are taken away are of the other reading (`Context.flipped`): from forms that hold nothing invalid, all
that may be valid under what is negated is taken; so nothing invalid is left, whatever readers disagree about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.forms import Context, Demand, Form, Forms
from dllm.grammars.frontends.json_schema.reading import located
from dllm.grammars.frontends.json_schema.strings import StringForm

MAX_LEFT = 2_000
"""Forms that may be left."""
MAX_PATTERNS = 2
"""Whether a text has all of so many patterns is looked into."""
_COMPARED = 150
"""Among so many forms, those are looked for that another holds."""


def without(found: Forms, removed: Forms, context: Context, place: str) -> Forms:
    """The values of `found`, read by `context`, that are in none of `removed`, read by `context.flipped()`.

    Raises:
        GrammarError: they are too many cases for what stands at `place`.
    """
    for gone in removed:
        others: list[Form] | None = None
        kept: list[Form] = []
        for form in found:
            if not overlap(form, gone, context):
                kept.append(form)
                continue
            if others is None:
                others = list(gone.complement(context, place))
            kept += (met for other in others if (met := form.meet(other)) is not None)
        found = fewer(kept, context)
        if len(found) > MAX_LEFT:
            raise GrammarError(
                f"{located(place)}: what not, if, oneOf or contains leave is over {MAX_LEFT} cases, which is not "
                "supported; simplify it"
            )
    return found


def overlap(one: Form, other: Form, context: Context) -> bool:
    """Whether a value may have both forms; "yes" where that is not certain, "no" never by mistake."""
    if type(one) is not type(other):
        return False
    met = one.meet(other)
    return met is not None and likely(met, context if context.wide else context.flipped())


def overlapping(demands: Sequence[Demand], context: Context) -> Iterator[tuple[int, int]]:
    """The pairs of demands, both ways round, that a value may satisfy both of, as `overlap` says it."""
    wider = context if context.wide else context.flipped()
    forms = list(map(wider.forms, demands))
    for one, other in combinations(range(len(demands)), 2):
        if any(overlap(left, right, wider) for left in forms[one] for right in forms[other]):
            yield one, other
            yield other, one


def likely(form: Form, context: Context) -> bool:
    """`form.possible`, and yes where that cannot be told, or takes long."""
    if isinstance(form, StringForm) and len(form.patterns) > MAX_PATTERNS:
        return True
    try:
        return form.possible(context)
    except GrammarError:
        return True


def fewer(found: Iterable[Form], context: Context) -> Forms:
    """The same values, without forms that have none or are plainly part of another."""
    forms = list(dict.fromkeys(form.plainer(context) for form in found if likely(form, context)))
    if len(forms) > _COMPARED:
        return tuple(forms)
    kept: list[Form] = []
    for at, form in enumerate(forms):
        # of forms that hold each other the first is kept
        rest = (*kept, *forms[at + 1 :])
        if not any(type(other) is type(form) and other.holds(form) for other in rest):
            kept.append(form)
    return tuple(kept)
