"""One training or test item, and the split between the two."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

HELD_OUT = 1 / 16


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with an answer, or (``parts`` not empty) a document with holes.

    Attributes:
        task: name in the registry of ``tasks.py``.
        prompt: what the user writes, without the newline that follows it; "" for a document.
        answer: one right answer; for a document the whole text.
        parts: fixed text, hole, fixed text, ..., fixed text: holes have odd indices, their concatenation is ``answer``.
        key: the text that decides whether this is a training or a test item.
        facts: what the checker needs besides prompt and answer (the given names, clues, keys, ...).
    """

    task: str
    prompt: str
    answer: str
    key: str
    parts: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def held_out(key: str) -> bool:
    """True for the sixteenth of all keys that training never sees: a function of the text alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < HELD_OUT * 2**32


def listing(text: str) -> tuple[str, ...]:
    """The words of ``text``: long lists read better without quotes and commas."""
    return tuple(text.split())


def pick(rng: random.Random, forms: tuple[str, ...]) -> str:
    """The first form six times in ten, else any of the paraphrases."""
    return forms[0] if len(forms) == 1 or rng.random() < 0.6 else rng.choice(forms[1:])
