"""What is asked, and how an answer is judged: items from a JSONL file of the user's.

One JSON object a line. Exactly one of `prompt` (continued verbatim), `chat` (a user's message, or a list of messages)
and `document` (text with `<mask:N>` holes) is the question; `answer` is whatever the judge compares with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from dllm.errors import ConfigError
from dllm.eval.judges import JudgeMaker

Kind = Literal["prompt", "chat", "document"]
KINDS: tuple[str, ...] = get_args(Kind)


MOST_ITEMS = 100_000
"""Of a task that a program makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question.

    Attributes:
        kind: how it is asked: `LLM.generate`, `LLM.chat` or `LLM.infill`.
        question: the prompt, the messages or the document.
        answer: the reference, for the record; None where the judge needs none.
        judge: text of the answer (for a document, all of it) -> score in 0...1; None where what scores it is missing.
        details: text of the answer -> what else is recorded of it.
    """

    kind: Kind
    question: Any
    answer: Any
    judge: Callable[[str], float | None]
    details: Callable[[str], Mapping[str, Any]] = field(default=lambda text: {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Items that are reported together.

    Attributes:
        max_new_tokens: masks behind each prompt.
        source: tells one set of items from another of the same name when a run is resumed.
    """

    name: str
    items: Sequence[Item]
    max_new_tokens: int
    source: str


def read_task(path: Path, data: str, make_judge: JudgeMaker, max_new_tokens: int, limit: int | None = None) -> Task:
    """The task of a JSONL file whose text is `data`, named after the file.

    Args:
        make_judge: what `dllm.eval.judges.judge_maker` returns.
        limit: the first so many items; None = all.

    Raises:
        ConfigError: the line that is not an item.
    """
    items: list[Item] = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip() and (limit is None or len(items) < limit):
            items.append(_item(line, f"data={str(path)!r} line {number}", make_judge))
    if not items:
        raise ConfigError(f"data={str(path)!r} holds no line; give JSONL such as {_EXAMPLE}")
    digest = hashlib.sha256(data.encode()).hexdigest()[:16]
    return Task(name=path.stem, items=tuple(items), max_new_tokens=max_new_tokens, source=digest)


_EXAMPLE = '{"prompt": "1+1=", "answer": "2"}'


def _item(line: str, where: str, make_judge: JudgeMaker) -> Item:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON ({error}); give objects such as {_EXAMPLE}") from None
    named = [key for key in KINDS if isinstance(record, dict) and key in record]
    if len(named) != 1:
        raise ConfigError(f"{where}: needs exactly one of {', '.join(KINDS)}, found {named or 'none'}; e.g. {_EXAMPLE}")
    kind: Any = named[0]
    question = record[kind]
    if kind == "chat" and isinstance(question, str):
        question = [{"role": "user", "content": question}]
    if not question or not isinstance(question, list if kind == "chat" else str):
        raise ConfigError(f"{where}: {kind}={question!r} must be a non-empty {'message' if kind == 'chat' else 'text'}")
    return Item(kind=kind, question=question, answer=record.get("answer"), judge=make_judge(record, where))
