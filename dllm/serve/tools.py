"""Tools: what a body offers, and the call that an answer is.

Where it is open whether or what is called, a call is `{"name": NAME, "arguments": {...}}`, held to that by a grammar
(`Grammar.from_tools`). Where one tool will be called for sure, the answer is its arguments alone. Either way the
arguments' text is a part of the answer's, so a stream can tell it as it grows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from dllm.serve.bodies import ChatBody
from dllm.serve.errors import Refusal
from dllm.serve.grammars import AnswerForm, arguments_form, form_of, tools_form
from dllm.serve.service import new_id

_OPENING = re.compile(r'[ \t\n\r]*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')
_SPACE = " \t\n\r"
_CLOSING = _SPACE + "}"


@dataclass(frozen=True)
class Offer:
    """The form that an answer has.

    Attributes:
        form: None for free text.
        tools: that may be called, as the body has them.
        free: whether the answer may be text instead.
        only: the name of the tool that is called for sure.
    """

    form: AnswerForm | None
    tools: tuple[dict[str, Any], ...] = ()
    free: bool = False
    only: str | None = None

    def is_call(self, text: str) -> bool:
        """Whether a text, or its beginning, is a call; where text is free that is told by its first mark."""
        return bool(self.tools) and (not self.free or text.lstrip(_SPACE).startswith("{"))


def offer_of(body: ChatBody) -> Offer:
    """What a body says of the form of its answer.

    Raises:
        Refusal: a choice that is none, or a form beside free calls.
    """
    for name in ("functions", "function_call"):
        if getattr(body, name) is not None:
            raise Refusal(f"{name} is not supported; use tools and tool_choice", param=name)
    form, choice = form_of(body), _choice(body)
    if choice is None or not body.tools:
        return Offer(form)
    if form is not None and choice == "auto":
        raise Refusal(
            "a form of the answer and tools that may be called or not do not go together; set tool_choice to "
            "'required' or 'none'",
            param="tool_choice",
        )
    plain = [_plain(tool) for tool in body.tools]
    named = [tool for tool in plain if _name(tool) == choice] or (plain if choice == "required" else [])
    if len(named) == 1:
        return Offer(arguments_form(named[0]), tuple(body.tools), only=_name(named[0]))
    return Offer(tools_form(plain, choice), tuple(body.tools), free=choice == "auto")


def _name(tool: dict[str, Any]) -> str | None:
    """Its name, where it has one; what is wrong with a tool is told when its grammar is made."""
    inner = tool.get("function")
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else None


def _plain(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool without what says nothing of its calls, as `cache_control`."""
    inner = tool.get("function")
    if not isinstance(inner, dict):
        return tool
    kept = ("name", "description", "parameters", "strict")
    return {"type": tool.get("type", "function"), "function": {k: inner[k] for k in kept if k in inner}}


def _choice(body: ChatBody) -> str | None:
    given = body.tool_choice
    if not body.tools:
        if given not in (None, "none", "auto"):
            raise Refusal("tool_choice without tools; give tools, or leave it out", param="tool_choice")
        return None
    if given is None or isinstance(given, str):
        found = {None: "auto", "auto": "auto", "required": "required", "any": "required", "none": None}
        if given in found:
            return found[given]
    elif given.get("type", "function") == "function" and isinstance(given.get("function"), dict):
        name = given["function"].get("name")
        if isinstance(name, str) and name:
            return name
    raise Refusal(
        f"tool_choice={str(given)[:80]!r} must be 'none', 'auto', 'required', or {{'type': 'function', 'function': "
        "{'name': ...}}",
        param="tool_choice",
    )


class Calling:
    """One call, told piece by piece."""

    def __init__(self, offer: Offer) -> None:
        self.id = new_id("call")
        self._only, self._named, self._said = offer.only, False, ""

    def grown(self, text: str, *, ended: bool) -> list[dict[str, Any]]:
        """What is new of the call's text up to now, as entries of `delta.tool_calls`."""
        name, rest = self._parts(text, ended)
        if name is None:
            return []
        found = list[dict[str, Any]]()
        if not self._named:
            self._named = True
            function = {"name": name, "arguments": ""}
            found.append({"index": 0, "id": self.id, "type": "function", "function": function})
        if rest.startswith(self._said) and rest != self._said:
            found.append({"index": 0, "function": {"arguments": rest[len(self._said) :]}})
            self._said = rest
        return found

    def _parts(self, text: str, ended: bool) -> tuple[str | None, str]:
        """The name, once it is known, and what is known of the arguments."""
        if self._only is not None:
            return self._only, text.strip(_SPACE)
        opening = _OPENING.match(text)
        if opening is None:
            return None, ""
        rest = text[opening.end() :]
        if not ended:  # the brace that closes the call is told apart from those before it at the end only
            return json.loads(opening[1]), rest.rstrip(_CLOSING)
        return json.loads(opening[1]), rest.rstrip(_SPACE).removesuffix("}").rstrip(_SPACE)


def call_of(text: str, offer: Offer) -> dict[str, Any]:
    """A whole call, as an entry of `message.tool_calls`."""
    opened, *more = Calling(offer).grown(text, ended=True)
    arguments = "".join(one["function"]["arguments"] for one in more)
    function = {"name": opened["function"]["name"], "arguments": arguments}
    return {"id": opened["id"], "type": "function", "function": function}
