"""Tasks on a list of first names: copy, reverse, sort, shuffle, replace, insert, remove, repeat.

The prompt is the list as JSON, a newline, and an instruction. All but shuffle and replace-random have one right
answer; those two have many, and need every token to know what the others became.
"""

from __future__ import annotations

import json
import random
from collections import Counter

from dllm.eval.tiny.example import Example, pick
from dllm.eval.tiny.names import close_list, first_name, name_list

MIXED = 0.06
"""Share of the lists that hold rarer names, which the tokenizer spells in pieces."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
TIMES = {2: "two times", 3: "three times", 4: "four times"}

FORMS: dict[str, tuple[str, ...]] = {
    "copy": ("Copy the list.", "Repeat the list.", "Write the same list again."),
    "reverse": ("Reverse the list.", "Write the list backwards.", "Turn the list around."),
    "sort": ("Sort the list alphabetically.", "Sort the list.", "Put the names in alphabetical order."),
    "shuffle": ("Shuffle the list.", "Put the names in a random order.", "Write the list in another order."),
    "replace": (
        'Replace the {i} name with "{name}".',
        'Change the {i} name to "{name}".',
        'Write "{name}" instead of the {i} name.',
    ),
    "replace_random": (
        'Replace a random name with "{name}".',
        'Change any one name to "{name}".',
        'Write "{name}" instead of one of the names.',
    ),
    "insert": (
        'Insert "{name}" at the {i} place.',
        'Add "{name}" at the {i} place.',
        'Put "{name}" in the {i} place.',
    ),
    "remove": ("Remove the {i} name.", "Delete the {i} name.", "Write the list without the {i} name."),
    "repeat": ("Repeat the list {times}.", "Write the list {times}.", "Copy the list {times}."),
}


def parse(text: str) -> list[str] | None:
    """The names in ``text`` if it is exactly a JSON list of strings as these tasks write it, else None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return value if json.dumps(value, ensure_ascii=False) == text else None


def make(task: str, rng: random.Random, hard: float = 0.0) -> Example:
    """One random item of ``task`` (a key of ``FORMS``); the share ``hard`` of them is made of what is hardest.

    That is spelled names, in the list or as the new name, and for sort mostly names that are close in the alphabet.
    """
    low, high = {"sort": (2, 6), "repeat": (2, 7)}.get(task, (2, 8))
    mixed, rare = (MIXED / 2 if task == "sort" else MIXED), 0.05
    close = False
    if hard and rng.random() < hard:
        close = task == "sort" and rng.random() < 0.7
        mixed, rare = 0.6, 0.6
    names = close_list(rng, low, high) if close else name_list(rng, low, high, mixed)
    new = first_name(rng, rare)
    while new in names:
        new = first_name(rng, rare)
    place = rng.randrange(len(names) + (task == "insert"))
    times = rng.choice((2, 3, 4)) if len(names) <= 4 else rng.choice((2, 3))
    if task == "shuffle":
        answer = list(names)
        while answer == names:
            rng.shuffle(answer)
    else:
        answer = _edit(task, names, place, new)
    text = json.dumps(answer)
    if task == "repeat":
        text = "\n".join([text] * times)
    order = pick(rng, FORMS[task]).format(i=ORDINALS[place], name=new, times=TIMES[times])
    prompt = f"{json.dumps(names)}\n{order}"
    return Example(task, prompt, text, prompt, facts=(json.dumps(names), new))


def _edit(task: str, names: list[str], place: int, new: str) -> list[str]:
    if task == "reverse":
        return names[::-1]
    if task == "sort":
        return sorted(names)
    if task in ("replace", "replace_random"):
        return [*names[:place], new, *names[place + 1 :]]
    if task == "insert":
        return [*names[:place], new, *names[place:]]
    if task == "remove":
        return names[:place] + names[place + 1 :]
    return list(names)


def is_right(example: Example, text: str) -> bool:
    """Exact text, except where many answers are right: there, what makes an answer right."""
    if example.task not in ("shuffle", "replace_random"):
        return text == example.answer
    got, given = parse(text), json.loads(example.facts[0])
    if got is None or len(got) != len(given):
        return False
    if example.task == "shuffle":
        return got != given and Counter(got) == Counter(given)
    changed = [after for before, after in zip(given, got, strict=True) if before != after]
    return changed == [example.facts[1]]


def document(rng: random.Random, hard: float = 0.0) -> str:
    """A list on its own, for infilling; the share ``hard`` of them holds spelled names."""
    return json.dumps(name_list(rng, 2, 8, max(MIXED, hard)))


def is_well_formed(text: str) -> bool:
    """A filled list must still be a list, of non-empty names that do not repeat."""
    got = parse(text)
    return got is not None and all(got) and len(set(got)) == len(got)
