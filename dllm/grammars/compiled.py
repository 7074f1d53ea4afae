"""A grammar and a vocabulary, made ready for canvases."""

from __future__ import annotations

from dataclasses import dataclass

from dllm.grammars.cfg import Cfg, cfg
from dllm.grammars.chart import Tables
from dllm.grammars.reach import Reach
from dllm.grammars.rules import Rules
from dllm.grammars.scanner import Scanner, scanner
from dllm.grammars.table import TokenTable
from dllm.grammars.vocabulary import Vocabulary


@dataclass(frozen=True)
class Compiled:
    """Everything that depends on the grammar and the tokenizer, and on no canvas."""

    vocabulary: Vocabulary
    grammar: Cfg
    scanner: Scanner
    table: TokenTable
    tables: Tables
    reach: Reach

    @classmethod
    def make(cls, rules: Rules, vocabulary: Vocabulary) -> Compiled:
        grammar = cfg(rules)
        found = scanner(rules, grammar.symbol_of)
        table = TokenTable.make(found, vocabulary)
        return cls(vocabulary, grammar, found, table, Tables.make(grammar, found.labels), Reach(found))
