"""What the programs in this folder ask, and what an answer must say. They run where the clients are installed, which
is not where dllm is: nothing of it is imported here.

A program has a function a capability. It is told the server's address and key by the environment, and the capabilities
as arguments; it prints a line of JSON for each that the client has.
"""

import json
import os
import sys
import time
import traceback
from contextlib import contextmanager

import pydantic

URL, KEY = os.environ["SERVER_URL"], os.environ["SERVER_KEY"]
TALK = "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"
CHAT = [{"role": "user", "content": TALK}]
ANA = '{"age": 31, "name": "Ana"}'
REVERSE = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
REVERSED = '["Susan", "Linda", "Mary"]'
FRONT, BACK, MIDDLE = REVERSE + '["Susan", "', '", "Mary"]', "Linda"
SLOWLY = {"scheduler": "topk(1, by=left_to_right)"}
"""A field of ours, for streams of many pieces."""


class Person(pydantic.BaseModel):
    """A person."""

    age: int
    name: str


PERSON = Person(age=31, name="Ana")
SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["age", "name"],
}
TOOL = {"type": "function", "function": {"name": "save", "description": "Save a person.", "parameters": SCHEMA}}


def same(found, wanted):
    """An answer says what it should."""
    assert found == wanted, f"{found!r}, not {wanted!r}"


def whole(pieces, wanted, least=5):
    """A stream came in several pieces, which are the answer together."""
    pieces = [piece for piece in pieces if piece]
    same("".join(pieces), wanted)
    assert len(pieces) >= least, f"{len(pieces)} pieces only: {pieces}"


@contextmanager
def refused(kind, *words):
    """What is asked inside is refused with an error of this kind, which says these words."""
    try:
        yield
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{type(error).__name__} does not say {missing}: {error}"
    else:
        raise AssertionError(f"no {kind} was raised")


def run(functions):
    """Call them; `functions` is the namespace of a program."""
    for capability in sys.argv[1:]:
        if capability not in functions:
            continue
        began, wrong = time.monotonic(), None
        try:
            functions[capability]()
        except Exception:
            wrong = traceback.format_exc()
        seconds = round(time.monotonic() - began, 2)
        print(json.dumps({"capability": capability, "seconds": seconds, "wrong": wrong}), flush=True)
