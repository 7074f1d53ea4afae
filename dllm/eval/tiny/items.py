"""The tasks of the embedded model as items: held-out prompts, bare and in the chat template in turn.

And prompts of its training split, for what needs prompts and judges no answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tokenizers import Tokenizer

from dllm.engine.document import Hole
from dllm.errors import ConfigError, nearest
from dllm.eval.items import Item, Task
from dllm.eval.judges import Judge
from dllm.eval.tiny import tasks
from dllm.eval.tiny.example import Example
from dllm.hub import TINY, resolve_folder

CANVAS_LENGTHS = {"latin": 32, "words": 32, "repeat": 128, "python": 128, "cpp": 128}
"""Masks behind a prompt, where 64 do not fit; a task has one canvas, so that it tells nothing of the answer."""


def tiny_task(name: str, count: int, seed: int) -> Task:
    """`count` items of a task of `dllm.eval.tiny.tasks`; a function of its arguments, the first items of a longer one.

    Raises:
        ConfigError: no such task.
    """
    if name not in tasks.TASKS:
        raise ConfigError(f"task={name!r} is not one of tiny's{nearest(name, tasks.TASKS)}: {', '.join(tasks.TASKS)}")
    tokenizer: Tokenizer = Tokenizer.from_file(str(resolve_folder(TINY) / "tokenizer.json"))

    def length(text: str) -> int:
        return len(tokenizer.encode(text))

    rng = random.Random(f"compare/{seed}/{name}")
    room = CANVAS_LENGTHS.get(name, 64)
    items: list[Item] = []
    while len(items) < count:
        example = tasks.sample(name, rng, test=True)
        if example.parts:
            if any(map(length, example.parts[1::2])):  # a document without a hole asks nothing
                items.append(_document(example, length))
        elif length(example.answer) < room:
            items.append(_question(example, chat=bool(len(items) % 2)))
    return Task(name=name, items=tuple(items), max_new_tokens=room, source=f"tiny/{seed}")


def tiny_prompts(count: int, seed: int) -> list[str]:
    """`count` questions of the embedded model's training split, of all tasks that have an answer."""
    rng = random.Random(f"filter/{seed}")
    names = [name for name in tasks.TASKS if not name.startswith("fill_")]
    return [tasks.sample(rng.choice(names), rng).prompt + "\n" for _ in range(count)]


def _judge(example: Example) -> Judge:
    return lambda text: float(tasks.is_right(example, text))


def _question(example: Example, chat: bool) -> Item:
    if chat:
        asked = [{"role": "user", "content": example.prompt}]
        return Item(kind="chat", question=asked, answer=example.answer, judge=_judge(example))
    return Item(kind="prompt", question=example.prompt + "\n", answer=example.answer, judge=_judge(example))


def _document(example: Example, length: Callable[[str], int]) -> Item:
    # as parts: in a text, a `<` in front of a hole would read as the escape `<<mask:`
    pieces = [Hole(length(part)) if i % 2 else part for i, part in enumerate(example.parts) if part]
    return Item(kind="document", question=pieces, answer=example.answer, judge=_judge(example))
