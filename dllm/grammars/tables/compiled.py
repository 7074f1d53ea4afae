"""A grammar and a vocabulary, made ready for canvases."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from dllm.grammars.rules import Rules
from dllm.grammars.tables.cfg import Cfg, cfg, shortest
from dllm.grammars.tables.flat import Ints, ragged, unragged
from dllm.grammars.tables.limits import LENGTH, limit, too_large
from dllm.grammars.tables.orders import Arrangement, Counted, Ordered, arranged
from dllm.grammars.tables.production_table import ProductionTable
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.scanner import Scanner, scanner
from dllm.grammars.tables.store import Arrays, kept
from dllm.grammars.tables.token_table import TokenTable
from dllm.grammars.tables.vocabulary import Vocabulary
from dllm.grammars.tables.weights import weights

ARRANGEMENTS = 100
"""Of one grammar, kept at most."""


@dataclass(frozen=True, eq=False, repr=False)  # it holds arrays
class CompiledGrammar:
    """Everything that depends on the grammar and the tokenizer, and on no canvas.

    Attributes:
        grammar: without productions for members in any order.
        productions: with them, as they are arranged.
        shortest: bytes of every text, at least.
        weights: `[labels]`, see `dllm.grammars.tables.weights`.
        loose: the grammar without its counts, if lexemes are counted (`dllm.grammars.tables.tally`).
    """

    vocabulary: Vocabulary
    grammar: Cfg
    scanner: Scanner
    table: TokenTable
    productions: ProductionTable
    reach: Reach
    shortest: int
    weights: Ints
    loose: CompiledGrammar | None = None

    @classmethod
    def make(cls, rules: Rules, vocabulary: Vocabulary, name: str | None = None) -> CompiledGrammar:
        """The tables come from disk if they were made before; `name` tells grammars apart, None keeps nothing."""
        grammar = cfg(rules)
        least = shortest(rules, arranged(grammar, Ordered()))
        if least > LENGTH * limit():
            raise too_large("the shortest text", f"{least:.3g} bytes", "Ask for fewer items inside items")

        def arrays() -> Arrays:
            with _uncollected():
                found = scanner(rules, grammar.symbol_of)
                return _arrays(found, TokenTable.make(found, vocabulary), Reach.make(found))

        made = arrays() if name is None else kept((name, vocabulary.digest), arrays)
        found = Scanner(
            next=made["next"],
            emits=made["emits"],
            final=made["final"],
            emissions=unragged(made["emissions"], made["emissions_at"]),
            labels=unragged(made["terminals"], made["terminals_at"]),
            before_given=made["before_given"],
            behind_given=made["behind_given"],
        )
        table = TokenTable(found, vocabulary, **{name: made[name] for name in TABLE})
        reach = Reach(**{name: made[f"reach_{name}"] for name in Reach.names()})
        productions = ProductionTable.make(arranged(grammar, Counted()), found.labels)
        loose = None
        if rules.tally is not None:
            loose = cls.make(rules.tally.loose, vocabulary, name and f"{name} without counts")
        return cls(vocabulary, grammar, found, table, productions, reach, least, weights(table), loose)

    def arranged(self, arrangement: Arrangement) -> CompiledGrammar:
        """With its members arranged so; as it is made, they are `Counted()`."""
        if self.grammar.members is None or arrangement == Counted():
            return self
        made = self._arranged
        if arrangement not in made:
            if len(made) >= ARRANGEMENTS:
                del made[next(iter(made))]
            productions = ProductionTable.make(arranged(self.grammar, arrangement), self.scanner.labels)
            made[arrangement] = replace(self, productions=productions)
        return made[arrangement]

    @cached_property
    def _arranged(self) -> dict[Arrangement, CompiledGrammar]:
        return {}


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: it finds none here, and looks through all lists for a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


TABLE = ("group_of", "class_of", "at", "emitted", "state", "first", "labels", "labels_at", "parent", "effort")


def _arrays(found: Scanner, table: TokenTable, reach: Reach) -> Arrays:
    emissions_at, emissions = ragged(found.emissions)
    terminals_at, terminals = ragged(found.labels)
    return {
        "next": found.next,
        "emits": found.emits,
        "final": found.final,
        "emissions": emissions,
        "emissions_at": emissions_at,
        "terminals": terminals,
        "terminals_at": terminals_at,
        "before_given": found.before_given,
        "behind_given": found.behind_given,
        **{name: getattr(table, name) for name in TABLE},
        **{f"reach_{name}": getattr(reach, name) for name in Reach.names()},
    }
