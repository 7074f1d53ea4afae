"""The grammars that come with dllm: Lark files in `data/`, one a language; each says what it leaves out."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends import smiles
from dllm.grammars.frontends.lark import rules_from_lark
from dllm.grammars.frontends.python import FOUR, rules_for
from dllm.grammars.rules import Rules

_SUFFIX = ".lark"
PYTHON, SMILES = "python", "smiles"


@cache
def builtin_names() -> tuple[str, ...]:
    """The names that `Grammar.builtin` knows, sorted."""
    data = files("dllm.grammars") / "data"
    return tuple(sorted(one.name.removesuffix(_SUFFIX) for one in data.iterdir() if one.name.endswith(_SUFFIX)))


def builtin_rules(name: str, *, swallow: bool = False) -> Rules:
    """A built-in grammar; `python` for lines that are indented by 4 spaces, `smiles` for rings 1 to 4.

    Args:
        swallow: see `Grammar.builtin`.

    Raises:
        GrammarError: there is none of that name.
    """
    text = builtin_text(name)
    if name == SMILES:
        return smiles.common_rules()
    return rules_for(FOUR, swallow) if name == PYTHON else rules_from_lark(text, swallow=swallow)


def builtin_text(name: str) -> str:
    """The Lark text of a built-in grammar.

    Raises:
        GrammarError: there is none of that name.
    """
    names = builtin_names()
    if not isinstance(name, str) or name not in names:
        hint = nearest(name, names) if isinstance(name, str) else ""
        raise GrammarError(f"no built-in grammar is called {name!r:.60}; there are {', '.join(names)}.{hint}")
    return (files("dllm.grammars") / "data" / (name + _SUFFIX)).read_text(encoding="utf-8")
