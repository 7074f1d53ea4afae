"""Words to a sentence: three or four nouns, and a sentence that uses each once.

Grammar (``the`` is ``The`` at the start; every ``noun`` is one of the given ones, in any order)::

    three:  NP verb NP place NP .
    four:   NP and NP verb NP place NP .   |   NP verb NP and NP place NP .
    NP:     the [adjective] noun

The order of nouns, the verb, the place word and the adjectives are free, so each commit must see the others.
"""

from __future__ import annotations

import json
import random
import re

from dllm.eval.tiny.example import Example, listing, pick

FORMS = (
    "Write a sentence with all the words.",
    "Make a sentence from the words.",
    "Use each word once in a sentence.",
)
NOUNS = listing("""
    dog cat horse bird fox bear mouse lion rabbit sheep duck frog teacher doctor farmer pilot baker king queen child
    friend neighbor student singer house garden river forest school market bridge tower boat train car bicycle road
    table chair window door lamp book letter picture song story apple cake bread flower tree stone ball hat coat ring
    cup box key map clock
    """)
VERBS = listing("sees finds likes takes hides paints follows watches keeps moves wants meets")
PLACES = listing("near behind beside under with by")
ADJECTIVES = listing("big small old new red blue green happy quiet little tall young")


def make(rng: random.Random) -> Example:
    """Three (six times in ten) or four nouns in random order."""
    nouns = rng.sample(NOUNS, 3 if rng.random() < 0.6 else 4)
    given = list(nouns)
    rng.shuffle(nouns)
    phrases = [f"the {rng.choice(ADJECTIVES)} {n}" if rng.random() < 0.3 else f"the {n}" for n in nouns]
    if len(phrases) == 4:
        joined = rng.randrange(2)
        phrases[joined : joined + 2] = [f"{phrases[joined]} and {phrases[joined + 1]}"]
    subject, thing, place = phrases
    sentence = f"{subject} {rng.choice(VERBS)} {thing} {rng.choice(PLACES)} {place}."
    prompt = f"{json.dumps(given)}\n{pick(rng, FORMS)}"
    return Example("words", prompt, sentence[0].upper() + sentence[1:], prompt, facts=tuple(given))


_NP = rf"the (?:(?:{'|'.join(ADJECTIVES)}) )?({'|'.join(NOUNS)})"
_VERB, _PLACE = f"(?:{'|'.join(VERBS)})", f"(?:{'|'.join(PLACES)})"
_SENTENCES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_NP} {_VERB} {_NP} {_PLACE} {_NP}\.",
        rf"{_NP} and {_NP} {_VERB} {_NP} {_PLACE} {_NP}\.",
        rf"{_NP} {_VERB} {_NP} and {_NP} {_PLACE} {_NP}\.",
    )
)


def is_right(example: Example, text: str) -> bool:
    """In the grammar, and every given noun exactly once."""
    if not text.startswith("The "):
        return False
    for pattern in _SENTENCES:
        match = pattern.fullmatch("t" + text[1:])
        if match:
            return sorted(match.groups()) == sorted(example.facts)
    return False
