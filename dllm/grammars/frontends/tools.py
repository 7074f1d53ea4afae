"""Calls of tools, as OpenAI's interface lists them: the JSON of one call, or free text or a call.

A call is `{"name": NAME, "arguments": {...}}`, its keys in this order, its arguments valid under the tool's own schema.
Beside free text, what is a call is told by how the text begins: past white space (that of JSON), a call begins with
`{`, and free text does not. So a text that begins with `{` is a call to its end, or does not belong. Calls in parallel
are a list, of one or more; then it is `[` that tells, and free text begins with neither.

Free text needs lexemes that leave those of the call as they are, since the longest one counts. They are four, told by
the first character: a word, up to white space or JSON's punctuation; a quotation, up to the closing quote or the end;
a mark of punctuation; and what a call begins with, which may not be the first. In a call they are never longer
than what stands there, and where they are as long, the productions decide.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dllm.errors import GrammarError, nearest, quoted
from dllm.grammars.frontends.json_schema.drafts import NEWEST, Dialect, draft_of
from dllm.grammars.frontends.json_schema.keywords import DEFINITIONS
from dllm.grammars.frontends.json_schema.schema import as_document, rules_and_notes
from dllm.grammars.frontends.pydantic_types import schema_of
from dllm.grammars.regex import ANY, Chars, alt, chars, inverted, literal, optional, plus, repeat, seq
from dllm.grammars.rules import Rules, Terminal

_WORDS = ("auto", "required")
_KEYS = ("name", "description", "parameters", "strict")
_SPACE, _MARKS, _QUOTE, _ESCAPE = " \t\n\r", "{}[],:", '"', "\\"
_NO_ARGUMENTS = {"type": "object", "maxProperties": 0}


@dataclass(frozen=True, slots=True)
class Tool:
    """What may be called.

    Attributes:
        name: of it.
        parameters: the JSON Schema of its arguments, an object, as plain data.
    """

    name: str
    parameters: dict[str, Any]


def rules_from_tools(
    tools: Iterable[Any] | str, *, choice: str = "auto", parallel: bool = False, **options: Any
) -> tuple[Rules, tuple[str, ...]]:
    """A grammar of the calls of some tools, and sentences about what was read past in their schemas.

    Args:
        tools: each `{"type": "function", "function": {"name": ..., "parameters": schema}}`, the inner object alone, or
            a class or function whose parameters pydantic knows; or the JSON text of such a list.
        choice: "auto": free text or a call; "required": a call; or the name of the tool to call.
        parallel: a list of one or more calls instead of one.
        options: as of `rules_and_notes`.

    Raises:
        GrammarError: no tools, two of one name, one that is not written like this, or a schema that is not supported,
            with the tool's name; or `choice` is none of these.
    """
    if not isinstance(parallel, bool):
        raise GrammarError(f"parallel={quoted(parallel)} must be True (a list of calls) or False (one call)")
    known = _read(tools)
    chosen = _chosen(known, choice)
    place = "#/items" if parallel else "#"
    calls = {"anyOf": [_call(tool, index) for index, tool in enumerate(chosen)]}
    document = {"type": "array", "minItems": 1, "items": calls} if parallel else calls
    for tool in chosen:  # by itself: places are those of its own schema, and one without arguments does not hide
        try:
            rules_and_notes(tool.parameters, **options)
        except GrammarError as error:
            raise GrammarError(f"tool {tool.name!r:.80}: its parameters: {error}") from None
    if choice == "auto" and options.get("whitespace", "any") != "any":
        raise GrammarError(
            f"whitespace={quoted(options['whitespace'])} is not supported beside free text; pass choice='required' or "
            "the name of a tool, or whitespace='any'"
        )
    around = partial(with_free_text, opening="[{" if parallel else "{") if choice == "auto" else None
    rules, notes = rules_and_notes(document, in_order=(place,), around=around, **options)
    for index, tool in enumerate(chosen):
        notes = tuple(note.replace(f"{place}/{_within(index)}", f"tool {tool.name!r}, #") for note in notes)
    return rules, notes


def call_in(text: str) -> Any:
    """The call that a text is, `{"name": ..., "arguments": ...}`; None for free text."""
    return json.loads(text) if text.lstrip(_SPACE).startswith("{") else None


def calls_in(text: str) -> Any:
    """The list of calls that a text is; None for free text."""
    return json.loads(text) if text.lstrip(_SPACE).startswith("[") else None


def with_free_text(rules: Rules, opening: str) -> Rules:
    """The same texts, and all that do not begin, past white space, with one of the marks `opening`.

    Args:
        rules: of JSON texts that begin so, with white space ignored.
    """
    marks = chars("".join(mark for mark in _MARKS if mark not in opening))
    word = plus(Chars(inverted(chars(_SPACE + _MARKS + _QUOTE).ranges)))
    inside = alt(Chars(inverted(chars(_QUOTE + _ESCAPE).ranges)), seq(literal(_ESCAPE), ANY))
    quotation = seq(literal(_QUOTE), repeat(inside), optional(chars(_QUOTE + _ESCAPE)))
    trees = {"WORD": word, "QUOTATION": quotation, "MARK": marks, "OPENING": chars(opening)}
    terminals = [Terminal(f"{name} of free text", tree) for name, tree in trees.items()]
    *beginning, last = (one.name for one in terminals)
    text, free, more = "text", "free text", "more free text"
    productions = {
        **rules.productions,
        text: ((rules.start,), (), (free,)),
        free: tuple(body for name in beginning for body in ((name,), (name, more))),
        more: tuple(body for name in (*beginning, last) for body in ((name,), (name, more))),
    }
    return replace(rules, start=text, productions=productions, terminals=(*rules.terminals, *terminals))


def _within(index: int) -> str:
    return f"anyOf/{index}/properties/arguments"


def _call(tool: Tool, index: int) -> dict[str, Any]:
    """The schema of a call. The parameters are a document of their own: references in them lead nowhere else."""
    parameters = tool.parameters
    old = "$schema" in parameters and draft_of(parameters["$schema"], "#") is Dialect.FOUR
    keyword = "id" if old else "$id"
    if isinstance(parameters.get(keyword, ""), str) and not parameters.get(keyword, "").partition("#")[0]:
        parameters = {**parameters, keyword: f"tool:{index}{parameters.get(keyword, '')}"}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _chosen(known: list[Tool], choice: Any) -> list[Tool]:
    """The tools that may be called."""
    if isinstance(choice, str) and choice in _WORDS:
        return known
    chosen = [tool for tool in known if tool.name == choice]
    if not chosen:
        names = [tool.name for tool in known]
        more = "; without any call there is no need for a grammar" if choice == "none" else ""
        raise GrammarError(
            f"choice={quoted(choice)} must be 'auto', 'required' or the name of a tool: {quoted(names)}{more}."
            + nearest(str(choice)[:60], (*_WORDS, *names))
        )
    return chosen


def _read(tools: Any) -> list[Tool]:
    """The tools as they are written."""
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError) as error:
            raise GrammarError(f"tools is a str but not JSON: {error}; pass its JSON text, or a list") from None
    if isinstance(tools, Mapping | str) or not isinstance(tools, Iterable):
        raise GrammarError(f"tools={quoted(tools)} must be a list of tools: write [tool]")
    found: dict[str, tuple[int, Tool]] = {}
    for index, given in enumerate(tools):
        tool = _tool(given, f"tools[{index}]")
        if tool.name in found:
            raise GrammarError(
                f"tools[{found[tool.name][0]}] and tools[{index}] both have the name {tool.name!r:.80}; rename one"
            )
        found[tool.name] = index, tool
    if not found:
        raise GrammarError("tools is empty, so nothing could be called; give at least one")
    return [tool for _, tool in found.values()]


def _tool(given: Any, where: str) -> Tool:
    if isinstance(given, type) or inspect.isroutine(given):
        return Tool(given.__name__, _parameters(schema_of(given), given.__name__))
    if isinstance(given, Mapping) and "function" in given:
        _known(given, ("type", "function"), where)
        given, where = given["function"], f"{where}['function']"
    if not isinstance(given, Mapping):
        raise GrammarError(
            f"{where}={quoted(given)} is no tool; write {{'type': 'function', 'function': {{'name': ..., "
            "'parameters': schema}}"
        )
    _known(given, ("type", *_KEYS), where)
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise GrammarError(f"{where}: name={quoted(name)} must be the tool's name, a str that is not empty")
    return Tool(name, _parameters(given.get("parameters"), name))


def _known(given: Mapping[Any, Any], legal: tuple[str, ...], where: str) -> None:
    """Raises a GrammarError for keys that a tool does not have, and a `type` that is no function."""
    unknown = [key for key in given if key not in legal]
    if unknown:
        schema = " A tool's schema is its 'parameters'." if "schema" in str(unknown[0]).lower() else ""
        raise GrammarError(
            f"{where}: the key {quoted(unknown[0])} is unknown; legal: {', '.join(legal)}.{schema}"
            + nearest(str(unknown[0]), legal)
        )
    if given.get("type", "function") != "function":
        raise GrammarError(f"{where}: type={quoted(given['type'])} must be 'function', the only kind of tool")


def _parameters(schema: Any, name: str) -> dict[str, Any]:
    """The schema of a tool's arguments as plain data; without one it has none."""
    try:
        found = as_document(_NO_ARGUMENTS if schema is None else schema)
        draft = draft_of(found["$schema"], "#") if isinstance(found, dict) and "$schema" in found else NEWEST
    except GrammarError as error:
        raise GrammarError(f"tool {name!r:.80}: its parameters: {error}") from None
    if not isinstance(found, dict):
        raise GrammarError(
            f"tool {name!r:.80}: parameters={quoted(schema)} must be an object, the JSON Schema of its arguments"
        )
    kinds = found.get("type", "object")
    if kinds != "object" and not (isinstance(kinds, list) and "object" in kinds):
        raise GrammarError(
            f"tool {name!r:.80}: its parameters have type={quoted(kinds)}, but arguments are an object; write "
            "{'type': 'object', 'properties': ...}"
        )
    if "$ref" in found and draft <= Dialect.SEVEN:
        # nothing beside it counts there, so it is put where other things may stand
        kept = {key: found[key] for key in ("$schema", *DEFINITIONS) if key in found}
        found = {**kept, "allOf": [{"$ref": found["$ref"]}]}
    return {**found, "type": "object"}
