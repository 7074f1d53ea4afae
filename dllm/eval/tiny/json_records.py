"""Records and JSON: extract the asked keys from a line of text; JSON documents for infilling."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from dllm.eval.tiny.example import Example, listing, pick
from dllm.eval.tiny.names import first_name, invented_name

Value = str | int | float
_CITIES = listing(
    "Rome Paris London Berlin Madrid Vienna Oslo Tokyo Cairo Lima Delhi Dublin Prague Athens Boston Chicago Denver "
    "Dallas Seoul Sydney Toronto Lisbon Warsaw Geneva Milan"
)
_COLORS = listing("red blue green black white yellow brown gray pink orange")
_JOBS = listing("teacher doctor farmer pilot baker singer nurse driver writer lawyer cook student")
_GOODS = listing("lamp chair table clock cup coat hat ring book box bicycle ball car boat phone desk")
_PETS = listing("dog cat horse bird fox rabbit mouse duck frog sheep")
_MONTHS = listing("January February March April May June July August September October November December")
_EVENTS = listing("Concert Party Meeting Wedding Dinner Festival Lecture Picnic Race Auction")
_TITLES = listing("River Garden Forest Bridge Tower King Queen Story Song Stone Winter Summer Night House Road Letter")
_SUBJECTS = listing("math music history art physics biology geography chemistry")


def _person(rng: random.Random) -> str:
    return first_name(rng, 0.05)


def _city(rng: random.Random) -> str:
    return invented_name(rng) if rng.random() < 0.03 else rng.choice(_CITIES)


def _title(rng: random.Random) -> str:
    return " ".join(rng.sample(_TITLES, rng.choice((1, 1, 2))))


def _of(values: tuple[str, ...]) -> Callable[[random.Random], Value]:
    return lambda rng: rng.choice(values)


def _number(low: int, high: int) -> Callable[[random.Random], Value]:
    return lambda rng: rng.randint(low, high)


def _price(rng: random.Random) -> Value:
    return rng.randint(1, 999) if rng.random() < 0.7 else rng.randint(10, 999) / 10 + 0.0


_seats = _number(10, 900)
SHAPES: dict[str, dict[str, Callable[[random.Random], Value]]] = {
    "person": {"name": _person, "age": _number(1, 99), "city": _city, "job": _of(_JOBS)},
    "product": {"product": _of(_GOODS), "price": _price, "color": _of(_COLORS), "stock": _number(0, 500)},
    "book": {"title": _title, "author": _person, "year": _number(1900, 2029), "pages": _number(40, 900)},
    "event": {"event": _of(_EVENTS), "city": _city, "month": _of(_MONTHS), "day": _number(1, 28), "seats": _seats},
    "pet": {"pet": _of(_PETS), "name": _person, "age": _number(1, 20), "color": _of(_COLORS), "owner": _person},
    "student": {"name": _person, "grade": _number(1, 12), "subject": _of(_SUBJECTS), "score": _number(0, 100)},
    "order": {"order": _number(1, 9999), "customer": _person, "product": _of(_GOODS), "price": _price},
}
FORMS = (
    "Write JSON with keys: {keys}",
    "Write a JSON object with keys: {keys}",
    "Extract as JSON: {keys}",
    "Give me JSON with the keys {keys}.",
)
Record = dict[str, Value]


def record(rng: random.Random, shape: str | None = None) -> Record:
    """A record of 2 to all of the shape's keys, in random order half of the time."""
    fields = SHAPES[shape or rng.choice(list(SHAPES))]
    keys = list(fields)
    kept = rng.sample(keys, rng.randint(2, len(keys)))
    keys = [key for key in keys if key in kept]
    if rng.random() < 0.5:
        rng.shuffle(keys)
    return {key: fields[key](rng) for key in keys}


def as_text(data: Record, style: int) -> str:
    """The record in words: 0 ``Name: Ana, Age: 31``, 1 ``name = Ana; age = 31``, 2 lines, 3 a sentence."""
    if style == 1:
        return "; ".join(f"{key} = {value}" for key, value in data.items())
    if style == 2:
        return "\n".join(f"{key.capitalize()}: {value}" for key, value in data.items())
    if style == 3:
        items = [f"the {key} is {value}" for key, value in data.items()]
        text = ", ".join(items[:-1]) + " and " + items[-1] + "."
        return text[0].upper() + text[1:]
    return ", ".join(f"{key.capitalize()}: {value}" for key, value in data.items())


def _style(rng: random.Random) -> int:
    return 0 if rng.random() < 0.55 else rng.randint(1, 3)


def make(rng: random.Random) -> Example:
    """One record, any of its keys in any order."""
    data = record(rng)
    keys = rng.sample(list(data), rng.randint(1, len(data)))
    prompt = f"{as_text(data, _style(rng))}\n{pick(rng, FORMS).format(keys=', '.join(keys))}"
    answer = json.dumps({key: data[key] for key in keys})
    return Example("json", prompt, answer, prompt)


def is_right(example: Example, text: str) -> bool:
    """Exactly the asked keys in the asked order, numbers as numbers: one right text."""
    return text == example.answer


def document(rng: random.Random) -> str:
    """A JSON record on its own."""
    return json.dumps(record(rng))


_KINDS: dict[str, type] = {
    key: str if isinstance(make(random.Random(0)), str) else float
    for fields in SHAPES.values()
    for key, make in fields.items()
}


def is_well_formed(text: str) -> bool:
    """JSON: one record or a list of them, of keys the recipe knows, with strings and numbers where they belong."""
    try:
        got = json.loads(text, object_pairs_hook=list)
    except ValueError:
        return False
    if not isinstance(got, list) or not got:
        return False
    rows = [got] if isinstance(got[0], tuple) else got
    return all(isinstance(row, list) and row and _plausible(row) for row in rows)


def _plausible(pairs: list[tuple[str, object]]) -> bool:
    keys = [pair[0] for pair in pairs if isinstance(pair, tuple)]
    if len(keys) != len(pairs) or len(set(keys)) != len(keys) or not set(keys) <= set(_KINDS):
        return False
    strings = all(isinstance(value, str) == (_KINDS[key] is str) for key, value in pairs)
    return strings and all(value != "" and not isinstance(value, (bool, list)) for _, value in pairs)
