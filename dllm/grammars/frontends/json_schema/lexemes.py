"""Forms of values that are one lexeme: their patterns, and what to call them."""

from __future__ import annotations

from dataclasses import replace

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.formats import FORMATS
from dllm.grammars.frontends.json_schema.forms import NumberForm, StringForm, WordForm, has_text
from dllm.grammars.frontends.json_schema.numbers import NUMBER, decimals, value_text, wholes
from dllm.grammars.frontends.json_schema.spelling import STRING, WITHOUT_ESCAPES, as_json, quoted, quoted_text
from dllm.grammars.regex import Regex, alt, literal, repeat

ESCAPES_UP_TO = 4
"""Above this bound of a length, `\\uXXXX` is left out, which spares 15 of 24 states for each character."""
_NAME_LENGTH = 60


def lexeme(form: WordForm | NumberForm | StringForm, place: str) -> tuple[str, Regex]:
    """A name for messages, and the spellings of the values of `form`, which `place` in the schema asks for.

    Raises:
        GrammarError: a bound of numbers has too many digits.
    """
    match form:
        case WordForm(words):
            return " | ".join(words), alt(*map(literal, words))
        case NumberForm(values=values):
            if values is not None:
                return _listed(list(map(str, values))), alt(*map(value_text, values))
            return ("INTEGER" if form.whole else "NUMBER"), _number(form, place)
        case StringForm(texts=texts):
            if texts is not None:
                return _listed(list(map(as_json, texts))), alt(*map(quoted_text, texts))
            if form == StringForm():
                return "STRING", STRING
            name = next((name for name, tree in FORMATS.items() if (tree,) == form.patterns), "string")
            short = max(form.low, form.high or 0) <= ESCAPES_UP_TO
            plain = replace(form, patterns=(*form.patterns, repeat(WITHOUT_ESCAPES)))
            return name.upper().replace("-", "_"), quoted(form.tree(), escapes=short or not has_text(plain))


def _listed(names: list[str]) -> str:
    text = " | ".join(names)
    return text if len(text) <= _NAME_LENGTH else f"{names[0][:_NAME_LENGTH]} | ..."


def _number(form: NumberForm, place: str) -> Regex:
    low, high = form.low, form.high
    if form.whole:
        return wholes(low.ceil() if low else None, high.floor() if high else None, form.step)
    if low is None and high is None:
        return NUMBER
    for bound in (low, high):
        if bound is not None and bound.decimal() is None:
            raise GrammarError(
                f"JSON schema at {place}: {bound.value!r} as a bound of numbers has over 15 digits, which "
                "rounding to a double may change; use a shorter one, or the type integer"
            )
    return decimals(*form.ends())
