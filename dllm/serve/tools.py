"""Tools: what a body offers, and the call that an answer is.

A call is `{"name": NAME, "arguments": {...}}`, held to that by a grammar (`Grammar.from_tools`), so the text of its
arguments is a part of the answer's text, which a stream can tell as it grows.
"""

from __future__ import annotations

import json
import re
from typing import Any

from dllm.serve.bodies import ChatBody
from dllm.serve.errors import Refusal
from dllm.serve.grammars import Form, form_of, tools_form
from dllm.serve.service import new_id

_OPENING = re.compile(r'[ \t\n\r]*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')
_CLOSING = " \t\n\r}"


def offered(body: ChatBody) -> tuple[Form | None, str | None]:
    """The form of the answer, and which tools it may call: None, "auto", "required" or a tool's name.

    Raises:
        Refusal: a choice that is none, or a form beside free calls.
    """
    for name in ("functions", "function_call"):
        if getattr(body, name) is not None:
            raise Refusal(f"{name} is not supported; use tools and tool_choice", param=name)
    form, choice = form_of(body), _choice(body)
    if choice is None:
        return form, None
    if form is not None and choice == "auto":
        raise Refusal(
            "a form of the answer and tools that may be called or not do not go together; set tool_choice to "
            "'required' or 'none'",
            param="tool_choice",
        )
    assert body.tools is not None, "there is a choice"
    return tools_form([_plain(tool) for tool in body.tools], choice), choice


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


def calls(text: str, choice: str | None) -> bool:
    """Whether a text, or its beginning, is a call: under "auto" that is told by its first mark."""
    return choice is not None and (choice != "auto" or text.lstrip(" \t\n\r").startswith("{"))


class Calling:
    """One call, told piece by piece."""

    def __init__(self) -> None:
        self.id = new_id("call")
        self._name: str | None = None
        self._said = ""

    def grown(self, text: str, *, ended: bool) -> list[dict[str, Any]]:
        """What is new of the call's text up to now, as entries of `delta.tool_calls`."""
        opening = _OPENING.match(text)
        if opening is None:
            return []
        found = list[dict[str, Any]]()
        if self._name is None:
            self._name = json.loads(opening[1])
            function = {"name": self._name, "arguments": ""}
            found.append({"index": 0, "id": self.id, "type": "function", "function": function})
        rest = text[opening.end() :]
        # the brace that closes the call is told apart from those before it at the end only
        rest = rest.rstrip(_CLOSING[:-1]).removesuffix("}").rstrip(_CLOSING[:-1]) if ended else rest.rstrip(_CLOSING)
        if rest.startswith(self._said) and rest != self._said:
            found.append({"index": 0, "function": {"arguments": rest[len(self._said) :]}})
            self._said = rest
        return found


def call_of(text: str) -> dict[str, Any]:
    """A whole call, as an entry of `message.tool_calls`."""
    opened, *more = Calling().grown(text, ended=True)
    arguments = "".join(one["function"]["arguments"] for one in more)
    function = {"name": opened["function"]["name"], "arguments": arguments}
    return {"id": opened["id"], "type": "function", "function": function}
