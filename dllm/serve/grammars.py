"""What a body says of the form of an answer, as a grammar; those asked for lately are kept ready."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.frontends.builtin import builtin_names
from dllm.grammars.grammar import Grammar
from dllm.serve.async_llm import AsyncLLM
from dllm.serve.bodies import RequestBody
from dllm.serve.errors import Refusal

KEPT = 32
"""Grammars kept ready."""
AnswerForm = tuple[str, str]
"""A kind of `_KINDS`, and its text; JSON where that is a schema or a list."""


def form_of(body: RequestBody) -> AnswerForm | None:
    """What the answer is held to, None for free text.

    Raises:
        Refusal: two forms at once, or one that is not known.
    """
    found = [(name, form) for name, form in _forms(body) if form is not None]
    if len(found) > 1:
        names = [name for name, _ in found]
        raise Refusal(f"{' and '.join(names)} both say what form the answer has; give one of them", param=names[1])
    return found[0][1] if found else None


def tools_form(tools: list[dict[str, Any]], choice: str) -> AnswerForm:
    """Calls of tools; `choice` as `Grammar.from_tools` takes it."""
    return "tools", _json({"tools": tools, "choice": choice})


def arguments_form(tool: dict[str, Any]) -> AnswerForm:
    """The arguments of one tool."""
    return "arguments", _json(tool)


class ReadyGrammars:
    """Grammars made and compiled for a model, each once, off the thread that denoises."""

    def __init__(self, engine: AsyncLLM) -> None:
        self._engine = engine
        self._kept: OrderedDict[AnswerForm, asyncio.Task[Grammar]] = OrderedDict()

    async def get(self, form: AnswerForm | None) -> Grammar | None:
        """The grammar of a form.

        Raises:
            GrammarError: it is wrong, or too large.
        """
        if form is None:
            return None
        task = self._kept.get(form)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._kept[form] = asyncio.create_task(self._engine.ready(lambda: make(form)))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may have nobody to tell
        self._kept.move_to_end(form)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return await asyncio.shield(task)  # who gives up must not take it from the others


def make(form: AnswerForm) -> Grammar:
    """The grammar of a form. References to other documents are refused by the front ends: nothing is ever fetched."""
    kind, text = form
    try:
        return _KINDS[kind](text)
    except RecursionError:
        raise GrammarError(f"the {kind} is nested too deeply; make it flatter") from None


def _ebnf(text: str) -> Grammar:
    """GBNF, which is also what others call EBNF, or Lark's: they differ in how a rule is written."""
    return Grammar.from_gbnf(text) if "::=" in text else Grammar.from_lark(text)


def _tools(text: str) -> Grammar:
    given = json.loads(text)
    return Grammar.from_tools(given["tools"], choice=given["choice"])


def _arguments(text: str) -> Grammar:
    tool = json.loads(text)
    Grammar.from_tools([tool], choice="required")  # says what is wrong with it, by its name
    inner = tool.get("function", tool)
    parameters = inner.get("parameters")
    nothing = {"maxProperties": 0} if parameters is None else {}
    return Grammar.from_json_schema({**(parameters or {}), **nothing, "type": "object"})


_KINDS: dict[str, Callable[[str], Grammar]] = {
    "schema": Grammar.from_json_schema,
    "regex": Grammar.from_regex,
    "ebnf": _ebnf,
    "choice": lambda text: Grammar.from_choices(json.loads(text)),
    "builtin": Grammar.builtin,
    "tools": _tools,
    "arguments": _arguments,
}
_OBJECT: AnswerForm = ("schema", '{"type": "object"}')


def _forms(body: RequestBody) -> list[tuple[str, AnswerForm | None]]:
    """Every field that may say a form, and what it says."""
    forms = [("response_format", _response_format(body.response_format))]
    forms += [("structured_outputs", _structured(body.structured_outputs))]
    forms += [(name, _schema(getattr(body, name))) for name in ("json_schema", "guided_json")]
    forms += [(name, _text("regex", getattr(body, name))) for name in ("regex", "guided_regex")]
    forms += [(name, _text("ebnf", getattr(body, name))) for name in ("ebnf", "guided_grammar")]
    forms += [("guided_choice", _choices(body.guided_choice)), ("grammar", _builtin(body.grammar))]
    return forms


def _response_format(given: dict[str, Any] | None) -> AnswerForm | None:
    kind = None if given is None else given.get("type")
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return _OBJECT
    if kind == "json_schema":
        inner = given.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if not isinstance(schema, dict | bool):
            raise Refusal(
                "response_format: json_schema must be {'name': ..., 'schema': {...}}", param="response_format"
            )
        return _schema(schema)
    raise Refusal(
        f"response_format: type={str(kind)[:60]!r} must be one of: text, json_object, json_schema",
        param="response_format",
    )


def _structured(given: dict[str, Any] | None) -> AnswerForm | None:
    """vLLM's: one of its fields."""
    if given is None:
        return None
    kinds: dict[str, Callable[[Any], AnswerForm | None]] = {
        "json": _schema,
        "regex": lambda value: _text("regex", value),
        "choice": _choices,
        "grammar": lambda value: _text("ebnf", value),
        "json_object": lambda value: _OBJECT if value else None,
    }
    said = {name: value for name, value in given.items() if value is not None and value is not False}
    options = ("disable_any_whitespace", "disable_additional_properties", "whitespace_pattern", "disable_fallback")
    unknown = [name for name in said if name not in kinds and name not in options]
    found = [name for name in said if name in kinds]
    if unknown or len(found) != 1:
        what = f"{unknown[0][:60]!r} is not supported" if unknown else f"{found} were given"
        raise Refusal(f"structured_outputs: {what}; give one of: {', '.join(kinds)}", param="structured_outputs")
    return kinds[found[0]](said[found[0]])


def _schema(given: Any) -> AnswerForm | None:
    return None if given is None else ("schema", given if isinstance(given, str) else _json(given))


def _text(kind: str, given: Any) -> AnswerForm | None:
    if given is None or isinstance(given, str):
        return None if given is None else (kind, given)
    raise Refusal(f"{kind} must be a string", param=kind)


def _choices(given: Any) -> AnswerForm | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Refusal("choice must be a list of strings", param="structured_outputs")
    return "choice", _json(given)


def _builtin(name: str | None) -> AnswerForm | None:
    if name is None or name == "":
        return None
    if name not in builtin_names():
        raise Refusal(f"grammar={name[:60]!r} must be one of: {', '.join(builtin_names())}", param="grammar")
    return "builtin", name


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        raise Refusal("the body is nested too deeply; make it flatter") from None
