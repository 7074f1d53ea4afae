"""Conversations: what a message may hold, and the text that a chat template makes of them.

Nothing is left out in silence: what this template has no place for is refused. A role or a key that its text names is
its own affair and goes through.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dllm.errors import ModelError, PromptError, nearest

Message = Mapping[str, Any]
Turn = dict[str, Any]
Render = Callable[[list[Turn], bool], str]
"""Turns, and whether to open the assistant's next one -> text."""

ROLES = ("system", "developer", "user", "assistant", "tool")
OWNERS = {
    "name": ROLES,
    "tool_calls": ("assistant",),
    "tool_call_id": ("tool",),
    "reasoning_content": ("assistant",),
    "thinking": ("assistant",),
    "reasoning": ("assistant",),
}
"""What a message may hold beside role and content -> whose messages."""
REASONING = ("reasoning_content", "thinking", "reasoning")
"""The names of one thing; templates ask for the first or the second."""

_FORM = "chat takes a list like [{'role': 'user', 'content': 'Hello'}]"
_SPACE = "\t \t"
"""White space that no template writes of its own."""


def checked(messages: Sequence[Message], template: str | None) -> list[Turn]:
    """The messages as a template reads them: content as one string, nothing that is None.

    Args:
        messages: oldest first; docs/chat.md has what they may hold.
        template: Jinja source; None: it is not known, and whoever has it says what it cannot do.

    Raises:
        PromptError: no list of messages, or a message with something that is unknown, of another type, or that this
            template does not render; it names the message by its index.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise PromptError(f"{_FORM}, not {messages!r:.80}")
    return [_turn(message, f"message {index}", template) for index, message in enumerate(messages)]


def rendered(turns: list[Turn], render: Render, template: str | None, *, add_generation_prompt: bool = True) -> str:
    """A conversation as the text of a prompt.

    Args:
        turns: as `checked` returns them.
        template: as for `checked`.
        add_generation_prompt: end where the assistant is to write: behind what it has already said in the last turn, or
            behind the opening of a new one. Else every turn is closed.

    Raises:
        PromptError: of `render`; or the template leaves a turn out; or it changes the one to be continued.
    """
    last = turns[-1]
    if add_generation_prompt and last["role"] == "assistant":
        text = _continued(turns, render)
    else:
        text = render(turns, add_generation_prompt)
    for index, turn in enumerate(turns):
        _check_kept(turn, f"message {index}", text, template)
    return text


def template_of(value: Any, where: str) -> str | None:
    """The chat template of a `chat_template` entry: a string, or of several with names the one called `default`.

    Args:
        value: a string, `[{"name": ..., "template": ...}, ...]`, name -> template, or None.
        where: names the entry in errors.

    Raises:
        ModelError: anything else, or several without a `default`.
    """
    if value is None or isinstance(value, str):
        return value
    named = value if isinstance(value, Mapping) else _by_name(value)
    if named is None or not all(isinstance(one, str) for item in named.items() for one in item):
        raise ModelError(
            f"{where} is {value!r:.80}; it must be a string, or a list like "
            "[{'name': 'default', 'template': '...'}] of strings"
        )
    if "default" not in named:
        raise ModelError(f"{where} names the templates {sorted(named)!r:.80}, and no 'default'")
    return str(named["default"])


def _by_name(value: Any) -> dict[str, Any] | None:
    """Name -> template of a list of both; None where it is something else."""
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        return None
    names = [entry.get("name") for entry in value]
    if not all(isinstance(name, str) for name in names):
        return None
    return {str(entry["name"]): entry.get("template") for entry in value}


def _turn(message: Any, where: str, template: str | None) -> Turn:
    if not isinstance(message, Mapping):
        raise PromptError(f"{_FORM}; {where} is {message!r:.80}")
    said = {key: value for key, value in message.items() if not (value is None or _is_empty_list(value))}
    role = _role(said.get("role"), where, template)
    for key, value in said.items():
        if key not in ("role", "content"):
            _check_key(key, value, role, where, template)
    if "content" in said or "tool_calls" not in said:
        said["content"] = _content(message.get("content"), where)
    reasoning = next((said[key] for key in REASONING if key in said), None)
    if reasoning is not None:
        said = {"thinking": reasoning, **said, "reasoning_content": reasoning}
    return said


def _is_empty_list(value: Any) -> bool:
    """As clients send `tool_calls` where there are none."""
    return isinstance(value, list) and not value


def _role(role: Any, where: str, template: str | None) -> str:
    if not isinstance(role, str):
        raise PromptError(f"{_FORM}; {where} has role={role!r:.80}, which must be a string")
    if role not in ROLES and not _quotes(template, role):
        raise PromptError(
            f"{where} has role={role!r:.80}, which this chat template does not name.{nearest(role, ROLES)} "
            f"Known roles: {', '.join(ROLES)}"
        )
    if role == "tool" and template is not None and not _quotes(template, "tool"):
        raise PromptError(
            f"{where} has role='tool', which this chat template cannot render; put the result into a user's message"
        )
    return role


def _content(content: Any, where: str) -> str:
    """The text of a content: a string, or parts of type text, which are joined without anything between them."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple) or not content:
        raise PromptError(
            f"{_FORM}; {where} has content={content!r:.80}, which must be a string or a list of "
            "{'type': 'text', 'text': '...'}"
        )
    return "".join(_part(part, f"{where} has content[{index}]") for index, part in enumerate(content))


def _part(part: Any, where: str) -> str:
    form = "{'type': 'text', 'text': '...'}"
    if not isinstance(part, Mapping) or "type" not in part:
        raise PromptError(f"{where}={part!r:.80}, which must be {form}")
    if not isinstance(part["type"], str) or part["type"] != "text":
        raise PromptError(f"{where} of type {part['type']!r:.40}; only parts of type 'text' can be read: {form}")
    unknown = [key for key, value in part.items() if key not in ("type", "text") and value is not None]
    if unknown:
        raise PromptError(f"{where} with the key {unknown[0]!r:.40}, which is unknown; a part is {form}")
    if not isinstance(part.get("text"), str):
        raise PromptError(f"{where} with text={part.get('text')!r:.80}, which must be a string")
    return str(part["text"])


def _check_key(key: Any, value: Any, role: str, where: str, template: str | None) -> None:
    if key not in OWNERS:
        if isinstance(key, str) and template is not None and re.search(rf"\b{re.escape(key)}\b", template):
            return
        legal = ("role", "content", *OWNERS)
        raise PromptError(
            f"{where} has the key {key!r:.40}, which this chat template does not name.{nearest(str(key), legal)} "
            f"Known keys: {', '.join(legal)}"
        )
    if role not in OWNERS[key] and role in ROLES:
        raise PromptError(
            f"{where} has {key}, which belongs to a message of role {OWNERS[key][0]!r}, and its role is {role!r}"
        )
    if key == "tool_calls":
        _check_calls(value, where, template)
    elif not isinstance(value, str):
        raise PromptError(f"{where} has {key}={value!r:.80}, which must be a string")


def _check_calls(calls: Any, where: str, template: str | None) -> None:
    if template is not None and "tool_calls" not in template:
        raise PromptError(f"{where} has tool_calls, which this chat template cannot render; put them into its content")
    if not isinstance(calls, list | tuple) or not all(isinstance(call, Mapping) for call in calls):
        raise PromptError(
            f"{where} has tool_calls={calls!r:.80}, which must be a list like "
            "[{'type': 'function', 'function': {'name': 'f', 'arguments': {}}}]"
        )
    try:
        json.dumps(calls)
    except (TypeError, ValueError, RecursionError) as error:
        raise PromptError(f"{where} has tool_calls that JSON cannot hold: {error}") from error


def _quotes(template: str | None, word: str) -> bool:
    """Whether a template compares something with the word."""
    return template is not None and (f"'{word}'" in template or f'"{word}"' in template)


def _continued(turns: list[Turn], render: Render) -> str:
    """The text up to the end of the last turn's content, found by a mark behind it.

    Looking for the content itself would find a short one in the token that ends the turn.
    """
    where, last = f"message {len(turns) - 1}", turns[-1]
    if "tool_calls" in last:
        raise PromptError(f"{where} ends the conversation with tool_calls; give what the tool said, with role 'tool'")
    content: str = last["content"]
    mark = secrets.token_hex(8)
    marked = render([*turns[:-1], {**last, "content": content + mark + _SPACE}], False)
    text, found, after = marked.rpartition(mark)
    if not found or not text.rstrip().endswith(content.strip()):
        raise PromptError(
            f"{where} is to be continued, and the chat template leaves out or changes its content {content!r:.60}; end "
            "with a user's message"
        )
    if content.strip() and not after.startswith(_SPACE):  # the template trims
        return text.removesuffix(content[len(content.rstrip()) :])
    return text


def _check_kept(turn: Turn, where: str, text: str, template: str | None) -> None:
    """What a system or developer says is in the text, and roles that few templates know are said to be what they are.

    Users' and assistants' turns are not looked at: templates shorten these on purpose, as by what was thought.
    """
    role = turn["role"]
    if role in ("user", "assistant", "tool"):
        return
    known = role == "system" or _quotes(template, role) or role.casefold() in text.casefold()
    if not known or turn["content"].strip() not in text:
        other = "'user'" if role == "system" else "'system' or 'user'"
        raise PromptError(f"{where} has role={role!r}, which this chat template does not render; use the role {other}")
