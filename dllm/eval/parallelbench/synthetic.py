"""A suite of our own: the tasks that can be made by a program, in any number, from a seed.

Its questions are worded for the model that is asked: for any chat model in words of our own, with one example as a
turn; for `tiny` as it was trained to read them; for `ideal` as in `dllm.eval.parallelbench.ideal`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Literal

from dllm.arguments import whole
from dllm.errors import ConfigError
from dllm.eval.items import MOST_ITEMS, Item, Task
from dllm.eval.parallelbench import scorers
from dllm.eval.parallelbench.answers import lenient_list, strict_list
from dllm.eval.parallelbench.ideal import NAMES, OPERATIONS, question
from dllm.eval.parallelbench.puzzles import latin_item, sudoku_item
from dllm.eval.parallelbench.sentences import words_item
from dllm.eval.parallelbench.tasks import LISTS, TASKS
from dllm.eval.tiny.example import listing
from dllm.eval.tiny.items import tiny_task

Wording = Literal["chat", "tiny", "ideal"]
LIST_LENGTHS = (3, 4, 5, 6)
"""Names of a list, in turn."""
IDEAL_LENGTH = 10
TINY_NAMES = {
    **{name: name for name in ("copy", "reverse", "sort", "shuffle", "replace_random")},
    **{"insert_index": "insert", "remove_index": "remove", "replace_index": "replace"},
    **{"latin_square": "latin", "words_easy": "words"},
}
"""Tasks that `tiny` knows, and what it calls them."""
FIRST = listing("""
    Amy Bruno Clara David Elena Felix Grace Hugo Irene Jonas Karla Leo Maria Nadia Oscar Paula Quentin Rosa Simon Tara
    Ulrich Vera Walter Xenia Yusuf Zoe
    """)
LAST = listing("""
    Adler Brandt Costa Doyle Evans Fischer Garcia Hansen Ito Jansen Keller Lopez Moreno Novak Olsen Petrov Quinn Rossi
    Sato Torres Unger Vidal Weber Xu Young Ziegler
    """)
WISHES = {
    "copy": "Write the list again as it is.",
    "reverse": "Write the list from its end to its beginning.",
    "sort": "Sort the list alphabetically by the full names.",
    "shuffle": "Write the names in any other order than the one they are in.",
    "insert_index": 'Insert "{name}" so that it is number {place} of the list, counting from 1.',
    "remove_index": "Remove number {place} of the list, counting from 1.",
    "replace_index": 'Replace number {place} of the list, counting from 1, with "{name}".',
    "insert_random": 'Insert "{name}" at any place you like.',
    "remove_random": "Remove any one of the names.",
    "replace_random": 'Replace any one of the names with "{name}".',
}
_END = "Keep the other names in their order. Answer with the list alone."


def known(form: Wording) -> tuple[str, ...]:
    """Tasks of the suite in this form."""
    if form == "tiny":
        return tuple(TINY_NAMES)
    made = tuple(name for name, spec in TASKS.items() if spec.group != "text")
    return LISTS if form == "ideal" else made


def synthetic(form: Wording, name: str, count: int, seed: int) -> Task:
    """`count` items of a task; a function of its arguments, the first items of a longer one.

    Raises:
        ConfigError: the suite does not have the task in this form, or more items than can be wanted.
    """
    if name not in known(form):
        raise ConfigError(f"task={name!r}: the synthetic suite has none for {form}; it has {', '.join(known(form))}")
    whole("count", count, 0, MOST_ITEMS)
    source = f"parallelbench/synthetic/{form}/{seed}"
    if form == "tiny":
        task = tiny_task(TINY_NAMES[name], count, seed)
        return Task(name=name, items=task.items, max_new_tokens=task.max_new_tokens, source=source)
    rng = random.Random(f"{source}/{name}")
    make = _makers(form, name)
    items = tuple(make(rng, index) for index in range(count))
    canvas = len(items[0].answer) if form == "ideal" and items else TASKS[name].canvas
    return Task(name=name, items=items, max_new_tokens=canvas, source=source)


def _makers(form: Wording, name: str) -> Callable[[random.Random, int], Item]:
    if form == "ideal":
        return lambda rng, index: _ideal(name, rng)
    if name == "latin_square":
        return latin_item
    if name == "sudoku":
        return sudoku_item
    if name.startswith("words_"):
        return lambda rng, index: words_item(name.removeprefix("words_"), rng)
    return lambda rng, index: _chat(name, rng, LIST_LENGTHS[index % len(LIST_LENGTHS)])


def judged(name: str, given: Sequence[str], new: str, label: Sequence[str], read: Any) -> Callable[[str], bool]:
    """Whether a text is right, read as `read` reads it."""

    def right(text: str) -> bool:
        answer = read(text)
        if answer is None:
            return False
        scorer = scorers.SEVERAL_RIGHT.get(name)
        return scorers.as_labelled(label, answer) if scorer is None else scorer(given, answer, new)

    return right


def list_item(name: str, kind: Any, asked: Any, given: Sequence[str], new: str, label: Sequence[str]) -> Item:
    """An item of a task on lists, scored leniently and, for the record, strictly."""
    lenient, strict = (judged(name, given, new, label, read) for read in (lenient_list, strict_list))
    return Item(
        kind=kind,
        question=asked,
        answer=list(label),
        judge=lambda text: float(lenient(text)),
        details=lambda text: {"score_strict": float(strict(text)), "n": len(given)},
    )


def _ideal(name: str, rng: random.Random) -> Item:
    names, new, place = rng.sample(NAMES[:-1], IDEAL_LENGTH), NAMES[-1], rng.randint(1, IDEAL_LENGTH)
    label = _label(name, names, place, new, rng)
    right = judged(name, names, new, label, str.split)
    return Item(
        kind="prompt",
        question=question(name, names, place, new),
        answer=label,
        judge=lambda text: float(right(text)),
        details=lambda text: {"score_strict": float(right(text)), "n": len(names)},
    )


def _chat(name: str, rng: random.Random, length: int) -> Item:
    firsts, lasts = rng.sample(FIRST, length + 1), rng.sample(LAST, length + 1)
    *names, new = (f"{first} {last}" for first, last in zip(firsts, lasts, strict=True))
    place = rng.randint(1, length)
    shown, other = ["Ida Lund", "Max Berg", "Eva Dahl"], "Tom Falk"
    asked = [
        {"role": "user", "content": _wish(name, shown, 2, other)},
        {"role": "assistant", "content": json.dumps(_example(name, shown, other))},
        {"role": "user", "content": _wish(name, names, place, new)},
    ]
    return list_item(name, "chat", asked, names, new, _label(name, names, place, new, rng))


def _wish(name: str, names: Sequence[str], place: int, new: str) -> str:
    wish = WISHES[name].format(place=place, name=new)
    return f"People wait in a line:\n{json.dumps(list(names))}\n{wish} {_END}"


def _example(name: str, names: Sequence[str], new: str) -> list[str]:
    answers = OPERATIONS[name].answers
    return [names[1], names[2], names[0]] if answers is None else list(answers(names, 2, new)[-1])


def _label(name: str, names: Sequence[str], place: int, new: str, rng: random.Random) -> list[str]:
    """One right answer."""
    answers = OPERATIONS[name].answers
    if answers is not None:
        return list(rng.choice(answers(names, place, new)))
    label = list(names)
    while label == list(names):
        rng.shuffle(label)
    return label
