"""A sentence that holds four given words; the words are our own."""

from __future__ import annotations

import random
from typing import Any

from dllm.eval.items import Item
from dllm.eval.parallelbench import scorers
from dllm.eval.parallelbench.measures import grammatical, missing

SCENES = """
garden flower water spring; kitchen soup table spoon; school teacher book lesson; beach sand wave sun;
forest tree bird path; office desk letter phone; farm cow milk barn; music piano song concert;
train station ticket window; snow winter coat glove; market apple seller basket; doctor patient nurse bed;
ship captain storm harbor; bread baker oven flour; mountain lake tent camp; movie actor screen story
"""
THINGS = """
lantern bucket violin carpet hammer pillow turtle engine mirror candle saddle rocket basket helmet puzzle teapot
ladder magnet blanket compass feather cactus trumpet wallet anchor button camel dragon faucet goblet
"""
IDEAS = """
entropy mercy tariff paradox glacier nostalgia theorem custody rhythm asphalt ballot enzyme irony plateau quorum
sediment treason velocity waiver zenith dogma embargo fresco hierarchy inertia jargon kernel lattice membrane
"""


def words_item(how: str, rng: random.Random) -> Item:
    """Four words: of one scene (easy), things (medium), or ideas that have nothing to do with each other (hard).

    The score is whether the sentence is grammatical, as on the benchmark's leaderboard; whether all words are in it is
    recorded beside it.
    """
    if how == "easy":
        words = rng.choice([scene.split() for scene in SCENES.split(";")])
    else:
        words = (THINGS if how == "medium" else IDEAS).split()
    chosen = rng.sample(words, 4)
    asked = (
        f"Write one sentence with the words {', '.join(chosen[:3])} and {chosen[3]}. Answer with the sentence alone."
    )

    def details(text: str) -> dict[str, Any]:
        inclusion = float(scorers.holds_words(chosen, text))
        return {"submetrics": {"inclusion": inclusion, "grammar": grammatical(text)}, "reason": missing("grammar")}

    return Item(
        kind="chat",
        question=[{"role": "user", "content": asked}],
        answer=chosen,
        judge=grammatical,
        details=details,
    )
