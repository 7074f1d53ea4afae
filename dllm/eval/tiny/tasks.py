"""The registry of tasks: ``sample(name, rng)`` makes an item, ``is_right(example, text)`` judges an answer.

Tasks named ``fill_*`` are documents with holes, everything else is a prompt with an answer. ``fill_answer`` and
``fill_json`` cut the answer of another task, so their holes are determined and must match; the other documents are
free text of a kind, and any content that is well formed counts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from dllm.eval.tiny import code, json_records, latin, lists, words
from dllm.eval.tiny.example import Example, held_out

WEIGHTS: dict[str, float] = {
    "copy": 3.0,
    "reverse": 4.0,
    "sort": 18.0,
    "shuffle": 7.0,
    "replace": 6.0,
    "replace_random": 7.0,
    "insert": 5.0,
    "remove": 4.0,
    "repeat": 4.0,
    "latin": 6.0,
    "words": 5.0,
    "json": 10.0,
    "python": 8.0,
    "cpp": 9.0,
    "fill_answer": 4.0,
    "fill_json": 5.0,
    "fill_record": 3.0,
    "fill_names": 4.0,
    "fill_code": 13.0,
}
TASKS = tuple(WEIGHTS)
_LINKED = ("copy", "reverse", "sort", "replace", "insert", "remove")


def sample(task: str, rng: random.Random, test: bool = False, hard: float = 0.0) -> Example:
    """A random item of ``task`` from the training keys, or from the held-out ones with ``test``.

    ``hard`` is the share of a list task's items that are made of what is hardest in it (``lists.make``).
    """
    while True:
        example = _make(task, rng, hard)
        if held_out(example.key) == test:
            return example


def sample_any(rng: random.Random, hard: float = 0.0) -> Example:
    """A training item of a random task, by the weights of the mix."""
    return sample(rng.choices(TASKS, weights=list(WEIGHTS.values()))[0], rng, hard=hard)


def is_right(example: Example, text: str) -> bool:
    """Whether ``text`` (the answer; for a document the whole text) is right."""
    task = example.task
    if task in ("fill_answer", "fill_json"):
        return text == example.answer
    if task.startswith("fill_"):
        return _DOCUMENTS[task][1](text)
    if task in lists.FORMS:
        return lists.is_right(example, text)
    if task == "latin":
        return latin.is_right(example, text)
    if task == "words":
        return words.is_right(example, text)
    if task == "json":
        return json_records.is_right(example, text)
    return code.is_right(example, text)


_DOCUMENTS: dict[str, tuple[Callable[[random.Random, float], str], Callable[[str], bool]]] = {
    "fill_record": (lambda rng, _: json_records.document(rng), json_records.is_well_formed),
    "fill_names": (lists.document, lists.is_well_formed),
    "fill_code": (lambda rng, _: code.document(rng), code.is_well_formed),
}


def _make(task: str, rng: random.Random, hard: float) -> Example:
    if task in ("fill_answer", "fill_json"):
        base = json_records.make(rng) if task == "fill_json" else lists.make(rng.choice(_LINKED), rng, hard)
        parts = cut_holes(base.answer, rng)
        parts = (f"{base.prompt}\n{parts[0]}", *parts[1:])
        return Example(task, "", f"{base.prompt}\n{base.answer}", base.key, parts)
    if task.startswith("fill_"):
        text = _DOCUMENTS[task][0](rng, hard)
        return Example(task, "", text, text, cut_holes(text, rng))
    if task in lists.FORMS:
        return lists.make(task, rng, hard)
    if task == "latin":
        return latin.make(rng)
    if task == "words":
        return words.make(rng)
    if task == "json":
        return json_records.make(rng)
    return code.make(task, rng)


_VALUE = re.compile(r'(?<=")[^"]+(?=")|"[^"]*"|(?<=: )[\d.]+|(?<=return )[^;\n]+|(?<=\()[^()\n]+(?=\))')
_WORD = re.compile(r"[A-Za-z_]+|\d+|\s+|[^\w\s]")
_LINE = re.compile(r"(?<=\n)[^\n]+|(?<=\{ ).+(?= \})|(?<=\{\n)[^}]+(?=\n\})|[^;\n{}]+;")


def cut_holes(text: str, rng: random.Random) -> tuple[str, ...]:
    """Split ``text`` into fixed text, hole, ..., fixed text.

    One to three holes: mostly whole values, words or lines, some anywhere, some very wide.
    """
    spans: list[tuple[int, int]] = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        spans.append(_span(text, rng))
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if start < at or (start == at and pieces):
            continue
        pieces += [text[at:start], text[start:end]]
        at = end
    return (*pieces, text[at:])


def _span(text: str, rng: random.Random) -> tuple[int, int]:
    mode = rng.random()
    if mode < 0.4 or 0.6 <= mode < 0.75:
        found = list((_VALUE if mode < 0.4 else _LINE).finditer(text))
        if found:
            return rng.choice(found).span()
    if mode < 0.88:
        ends = [match.end() for match in _WORD.finditer(text)]
        first = rng.randrange(len(ends))
        last = min(len(ends) - 1, first + rng.choice((0, 1, 2, 3, 5, 8, 12)))
        return (ends[first - 1] if first else 0), ends[last]
    start = rng.randrange(len(text))
    return start, min(len(text), start + rng.randint(1, 40))
