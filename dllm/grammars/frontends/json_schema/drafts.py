"""The drafts of JSON Schema (its dialects): which one `$schema` names."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from dllm.errors import GrammarError, nearest


class Dialect(IntEnum):
    """A published version, older ones first."""

    FOUR = 4
    SIX = 6
    SEVEN = 7
    OF_2019 = 2019
    OF_2020 = 2020

    def __str__(self) -> str:
        return {2019: "2019-09", 2020: "2020-12"}.get(self.value, str(self.value))


NEWEST = Dialect.OF_2020

_NAMES = {
    "draft-04": Dialect.FOUR,
    "draft-06": Dialect.SIX,
    "draft-07": Dialect.SEVEN,
    "draft/2019-09": Dialect.OF_2019,
    "draft/2020-12": Dialect.OF_2020,
}
# hyper-schemas are those of the draft and what describes links, which asserts nothing
_DRAFTS = {
    f"json-schema.org/{name}/{kind}": draft for name, draft in _NAMES.items() for kind in ("schema", "hyper-schema")
}
_DRAFTS["json-schema.org/schema"] = NEWEST


def draft_of(uri: Any, where: str) -> Dialect:
    """The draft whose meta-schema has this URI; `where` says in errors where it stands.

    Raises:
        GrammarError: it is that of no draft that is read.
    """
    name = uri.partition("://")[2].rstrip("#") if isinstance(uri, str) else ""
    if name not in _DRAFTS:
        legal = [f"https://json-schema.org/{one}/schema" for one in _NAMES]
        raise GrammarError(
            f"{where}: $schema={str(uri)!r:.80} names no draft that is read; legal: {', '.join(legal)} (http and a "
            "# at the end, too); without $schema it is 2020-12." + nearest(str(uri)[:200], legal)
        )
    return _DRAFTS[name]
