"""`null`, `true` and `false`, of which no keyword speaks but those of all types."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dllm.grammars.frontends.json_schema.forms import Context, Form
from dllm.grammars.frontends.json_schema.productions import Productions
from dllm.grammars.regex import alt, literal
from dllm.grammars.rules import Body


@dataclass(frozen=True, slots=True)
class WordForm(Form):
    """Some of `null`, `true` and `false`."""

    TYPES: ClassVar = ("null", "boolean")
    words: tuple[str, ...] = ("null", "true", "false")

    @classmethod
    def of_types(cls, types: Collection[str]) -> Self | None:
        return cls._some(
            word for word in ("null", "true", "false") if ("null" if word == "null" else "boolean") in types
        )

    @classmethod
    def among(cls, values: Sequence[Any], context: Context, place: str) -> Iterable[Self]:
        found = cls._some(json.dumps(value) for value in values if value is None or isinstance(value, bool))
        return [found] if found else []

    @classmethod
    def _some(cls, words: Iterable[str]) -> Self | None:
        found = tuple(dict.fromkeys(words))
        return cls(found) if found else None

    def meet(self, other: Self) -> Self | None:
        return self._some(word for word in self.words if word in other.words)

    def complement(self, context: Context, place: str) -> Iterable[Self]:
        found = self._some(word for word in type(self)().words if word not in self.words)
        return [found] if found else []

    def bodies(self, grammar: Productions, context: Context, name: str) -> list[Body]:
        return [(grammar.terminal(" | ".join(self.words), alt(*map(literal, self.words))),)]
