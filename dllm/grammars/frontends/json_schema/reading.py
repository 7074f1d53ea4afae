"""How keywords are read: one schema as its readers see it, and what they say of values that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dllm.errors import GrammarError
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect
from dllm.grammars.frontends.json_schema.forms import Context, Demand, Forms

MAX_COUNT = 256
"""The highest maxProperties and the like: each count costs productions."""
MAX_LENGTH = 100_000
"""The highest maxItems, which costs few productions."""

Holds = Literal["nothing", "schemas", "named schemas"]
"""What the value of a keyword is, or has in it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema of a document.

    Attributes:
        told: its keywords that assert something, and their values.
        place: the JSON pointer to it, for messages.
        context: the document's schemas.
    """

    told: dict[str, Any]
    place: str
    context: Context

    @property
    def draft(self) -> Dialect:
        """By which it is read."""
        return self.context.draft(self.place)

    def value(self, keyword: str, kind: type, legal: str) -> Any:
        """What the keyword says, which must be of a Python type; `legal` says so in words."""
        value = self.told[keyword]
        if not isinstance(value, kind):
            raise self.wrong(keyword, legal)
        return value

    def number(self, keyword: str) -> int | float:
        """The number that the keyword says."""
        value = self.told[keyword]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(keyword, "a number")
        return value

    def count(self, keyword: str, most: int = MAX_COUNT) -> int:
        """The count of items, keys or characters that the keyword says, `most` at most."""
        value = self.told[keyword]
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            raise self.wrong(keyword, "a whole number from 0")
        if value > most:
            raise self.too_many(keyword, int(value), most)
        return int(value)

    def demand(self, *keys: str | int) -> Demand:
        """What the schema under `keys`, a keyword first, asks for."""
        found: Any = self.told
        for key in keys:
            found = found[key]
        return self.context.demand(found, inside(self.place, *keys))

    def wrong(self, keyword: str, legal: str) -> GrammarError:
        """For a value that the keyword cannot have; `legal` says what it can."""
        return wrong(self.place, keyword, self.told[keyword], legal)

    def refused(self, keyword: str, why: str) -> GrammarError:
        """For a value that means something, but nothing that is supported."""
        return _refused(self.place, keyword, shown(self.told[keyword]), why)

    def too_many(self, keyword: str, count: int, most: int = MAX_COUNT) -> GrammarError:
        """For a count above `most`."""
        return _refused(self.place, keyword, str(count), f"; counts go up to {most}: use one that does")


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword of JSON Schema.

    Attributes:
        read: from a schema that has the keyword, and what the keywords before it leave, to what this one leaves of
            that. It is read even where its type cannot come: a wrong value is a mistake anywhere.
        holds: whether its value is a schema or a list of schemas; or an object of them.
        since, until: the drafts that have it; in others it is an annotation.
    """

    read: Callable[[Schema, Forms], Forms]
    holds: Holds = "nothing"
    since: Dialect = Dialect.FOUR
    until: Dialect = NEWEST


def wrong(place: str, keyword: str, value: Any, legal: str) -> GrammarError:
    return GrammarError(f"{located(place)}: {keyword}={shown(value)}, but it must be {legal}")


def _refused(place: str, keyword: str, value: str, why: str) -> GrammarError:
    return GrammarError(f"{located(place)}: {keyword}={value} is not supported{why}")


def shown(value: Any) -> str:
    """A value as JSON, not too long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def located(place: str) -> str:
    """How messages name a place: of a long pointer its two ends."""
    return f"JSON schema at {place if len(place) <= 300 else f'{place[:60]}...{place[-200:]}'}"


def inside(place: str, *keys: str | int) -> str:
    """The pointer to what lies under `keys` at `place`."""
    return "/".join([place, *(str(key).replace("~", "~0").replace("/", "~1") for key in keys)])
