"""A grammar as users hold it: made from text, a schema, a pattern or choices, and asked about texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from dllm.errors import GrammarError
from dllm.grammars.explain.caret import pointed
from dllm.grammars.explain.recogniser import Failure, Lexeme, Recogniser
from dllm.grammars.rules import Rules
from dllm.grammars.tables.limits import limited, naming

if TYPE_CHECKING:
    from dllm.grammars.tables.compiled import CompiledGrammar
    from dllm.grammars.tables.vocabulary import Vocabulary


KEPT = 64
"""Grammars for texts that were given, of one that depends on them; the last ones."""


class Grammar:
    """A set of texts that a canvas is held to. Equal grammars compare equal.

    Args:
        rules: terminals and productions; usually from one of the class methods.
        name: for messages.
        notes: what was read as an annotation, a sentence each; no part of what is compared.
        parser: what a text stands for, for `RequestOutput.parsed`; it may raise ValueErrors. No part of it either.
        fit: of a grammar that depends on the text that is given: that text -> the rules for it, which are `rules` for
            the empty text. It returns the same object for equal rules.
    """

    def __init__(
        self,
        rules: Rules,
        name: str = "grammar",
        notes: Sequence[str] = (),
        parser: Callable[[str], Any] | None = None,
        fit: Callable[[str], Rules] | None = None,
    ) -> None:
        if not isinstance(rules, Rules):
            raise GrammarError(
                f"Grammar takes Rules, not {rules!r:.60}; of a text, a schema or a pattern make one with "
                "Grammar.from_lark, from_json_schema, from_regex, from_choices or builtin"
            )
        self.rules, self.name, self.notes, self.parser = rules, name, tuple(notes), parser
        self._fit = fit
        self._fitted: list[Grammar] = []
        self._compiled: dict[str, CompiledGrammar] = {}

    @classmethod
    def from_lark(cls, text: str, *, start: str = "start", swallow: bool = False) -> Grammar:
        """A grammar in Lark's EBNF. Lexemes are found by maximal munch (`dllm.grammars.rules`).

        Args:
            start: the rule that a whole text must be.
            swallow: whether a lexeme of free text (a string, a comment) that a hole begins may go on over given text.
                What is free text is said by lines `// %text NAME NAME`, with names of terminals; without any, all may.

        Raises:
            GrammarError: a mistake in the text, or something that cannot be honoured, by name.
        """
        from dllm.grammars.frontends.lark import rules_from_lark

        return cls(rules_from_lark(text, start=start, swallow=swallow), "lark grammar")

    @classmethod
    def from_gbnf(cls, text: str) -> Grammar:
        """A grammar in GBNF, the notation of llama.cpp's grammar files; a whole text is its rule `root`.

        Raises:
            GrammarError: a mistake in the text, with its place.
        """
        from dllm.grammars.frontends.gbnf import rules_from_gbnf

        return cls(rules_from_gbnf(text), "gbnf grammar")

    @classmethod
    def from_json_schema(
        cls,
        schema: Any,
        *,
        property_order: str = "auto",
        unknown: str = "note",
        formats: str = "assert",
        whitespace: str = "any",
        integers: str = "any",
    ) -> Grammar:
        """JSON texts whose value is valid, by the draft that `$schema` names (2020-12 without it).

        What asserts nothing is listed in `notes`; those that begin with "warning: " are about what may have been meant
        to assert.

        Args:
            schema: a dict, a bool, JSON text; or a pydantic model, dataclass, TypedDict, or any other type of which
                pydantic 2, which must be installed then, has a schema (`list[int]`): `RequestOutput.parsed` is a value
                of that type.
            property_order: "auto": keys in any order, but in that of the schema in objects with over 64 required ones,
                which is noted; "any", or "schema", for all objects.
            unknown: "note" for keywords of no draft and unknown formats as annotations, as JSON Schema has it; or
                "refuse".
            formats: "assert", or "note" for all formats as annotations.
            whitespace: between lexemes: "any"; "compact" for one space behind `:` and `,`, as `json.dumps(value)` has
                it; or "pretty" for lines indented by two spaces a level, as `json.dumps(value, indent=2)` has them,
                up to 16 levels. Behind the value any may stand, which fills a canvas that is wider.
            integers: "any", or "plain" for digits alone, without `.0`.

        Raises:
            GrammarError: a keyword that is not supported, by name.
        """
        from dllm.grammars.frontends.json_schema.schema import rules_and_notes
        from dllm.grammars.frontends.pydantic_types import Validated, is_type

        rules, notes = rules_and_notes(
            schema,
            property_order=property_order,
            unknown=unknown,
            formats=formats,
            whitespace=whitespace,
            integers=integers,
        )
        return cls(rules, "JSON schema", notes, Validated(schema) if is_type(schema) else json.loads)

    @classmethod
    def from_tools(
        cls,
        tools: Iterable[Any] | str,
        *,
        choice: str = "auto",
        parallel: bool = False,
        property_order: str = "auto",
        unknown: str = "note",
        formats: str = "assert",
        whitespace: str = "any",
        integers: str = "any",
    ) -> Grammar:
        """Calls of tools: JSON texts `{"name": NAME, "arguments": {...}}`, arguments valid under the tool's schema.

        Under "auto" a text that begins with `{`, past white space, is a call, and any other is free text.
        `RequestOutput.parsed` is the call as a dict, None for free text.

        Args:
            tools: as OpenAI's interface has them, `{"type": "function", "function": {"name": ..., "parameters":
                schema}}`; or the inner object alone, or a class or function whose parameters pydantic 2 knows; or the
                JSON text of such a list.
            choice: "auto": free text or a call; "required": a call; or the name of the tool to call.
            parallel: a list of one or more calls (`[...]`) instead of one.
            property_order, unknown, formats, integers: of the arguments, as in `from_json_schema`.
            whitespace: the same; under "auto" only "any".

        Raises:
            GrammarError: a mistake in a tool, by its name; or a choice that is none.
        """
        from dllm.grammars.frontends.tools import call_in, calls_in, rules_from_tools

        rules, notes = rules_from_tools(
            tools,
            choice=choice,
            parallel=parallel,
            property_order=property_order,
            unknown=unknown,
            formats=formats,
            whitespace=whitespace,
            integers=integers,
        )
        return cls(rules, "tools", notes, calls_in if parallel else call_in)

    @classmethod
    def from_regex(cls, pattern: str) -> Grammar:
        """Texts that a Python regular expression matches as a whole."""
        from dllm.grammars.frontends.choices import rules_from_regex

        return cls(rules_from_regex(pattern), f"regex {pattern!r:.40}")

    @classmethod
    def from_choices(cls, choices: Sequence[str]) -> Grammar:
        """One of these texts."""
        from dllm.grammars.frontends.choices import rules_from_choices

        return cls(rules_from_choices(choices), "choices")

    @classmethod
    def builtin(cls, name: str, *, indent: int | str | None = None, swallow: bool = False) -> Grammar:
        """One that comes with the package: `dllm.grammars.frontends.builtin.builtin_names()`.

        Args:
            indent: of `python`, by what the lines of a block are indented: a number of spaces, or "\\t". None: as those
                of the text that is given (of a document, what is not in holes), or by 4 spaces where it has no block.
            swallow: of code, whether a string or a comment that a hole begins may go on over given text.

        Raises:
            GrammarError: there is none of that name; or an `indent` that is none.
        """
        from dllm.grammars.frontends import smiles
        from dllm.grammars.frontends.builtin import PYTHON, SMILES, builtin_rules

        rules = builtin_rules(name, swallow=swallow)
        if name != PYTHON:
            if indent is not None:
                raise GrammarError(f"indent={indent!r:.60} is for the grammar {PYTHON!r}, and this one is {name!r}")
            if name == SMILES:
                return cls(rules, name, fit=smiles.rules_like)
            return cls(rules, name, parser=json.loads if name == "json" else None)
        from dllm.grammars.frontends.python import checked_unit, rules_for, rules_like

        if indent is not None:
            return cls(rules_for(checked_unit(indent), swallow), name)
        return cls(rules, name, fit=partial(rules_like, swallow=swallow))

    def fitted(self, text: str) -> Grammar:
        """The grammar for a text that is given, or that is asked about: most grammars are the same for all texts."""
        if self._fit is None:
            return self
        rules = self._fit(text)
        found = next((one for one in self._fitted if one.rules is rules), None)
        if found is None:
            found = Grammar(rules, self.name, self.notes, self.parser)
        self._fitted = [*(one for one in self._fitted if one is not found), found][-KEPT:]
        return found

    @cached_property
    def digest(self) -> str:
        """Of everything that the grammar means, to name files by."""
        told = _told(self.rules) if self._fit is None else (*_told(self.rules), "fitted")
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grammar) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Grammar {self.name}>"

    @cached_property
    def _recogniser(self) -> Recogniser:
        return Recogniser(self.rules, self.name)

    def accepts(self, text: str) -> bool:
        """Whether a whole text belongs to the grammar."""
        return self.failure(_encoded(text)) is None

    def explain(self, text: str) -> str:
        """`ok`, or where and why the text does not belong: line, column, a caret, and what could have stood there."""
        data = _encoded(text)
        failure = self.failure(data)
        if failure is None:
            return "ok"
        before, found = data[: failure.start].decode(), data[failure.start : failure.end].decode()
        return pointed(text, len(before), len(found), failure.told(data))

    def failure(self, data: bytes) -> Failure | None:
        """The first thing wrong with a text, or None if it belongs to the grammar."""
        if self._fit is not None:
            return self.fitted(data.decode(errors="replace")).failure(data)
        return self._recogniser.failure(data)

    def lexemes(self, data: bytes) -> Iterator[Lexeme]:
        """The lexemes of a text, as far as there are some (`Recogniser.lexemes`)."""
        return self._recogniser.lexemes(data)

    def compile(self, vocabulary: Vocabulary, *, limit: int | None = None) -> CompiledGrammar:
        """The grammar made ready for a vocabulary; kept for the next time.

        Args:
            limit: scanner states that it may take, which bounds time and memory; by default `$DLLM_GRAMMAR_LIMIT`, else
                20,000 (`dllm.grammars.tables.limits`).

        Raises:
            GrammarError: it would take more; the message names the part and its size. Or what is no vocabulary.
        """
        if self._fit is not None:
            return self.fitted("").compile(vocabulary, limit=limit)
        digest = getattr(vocabulary, "digest", None)
        if digest is None:
            raise GrammarError(f"compile takes a vocabulary, not {vocabulary!r:.60}; write compile(llm.vocabulary)")
        found = self._compiled.get(digest)
        if found is None:
            from dllm.grammars.tables.compiled import CompiledGrammar

            with limited(limit), naming(self.name):
                found = CompiledGrammar.make(self.rules, vocabulary, self.digest)
            self._compiled[digest] = found
        return found


def _told(rules: Rules) -> tuple[object, ...]:
    """All that rules say, in an order that no hash has a part in."""
    lists, tally = rules.members, rules.tally
    marks = () if lists is None else [*map(sorted, (lists.opening, lists.closing, lists.colons))]
    members = (marks, () if lists is None else sorted(lists.lists.items(), key=itemgetter(0)))
    parts: tuple[object, ...] = (rules.start, sorted(rules.productions.items()), rules.terminals, sorted(rules.ignored))
    parts += (members, sorted(rules.text))
    if tally is None:
        return parts
    counts = (tally.quote, tally.unit, tally.every, tally.mark, sorted(tally.rests.items()))
    return (*parts, counts, _told(tally.loose))


def _encoded(text: str) -> bytes:
    if not isinstance(text, str):
        hint = "; decode it first" if isinstance(text, bytes) else ""
        raise GrammarError(f"a grammar is about texts, not {type(text).__name__} ({text!r:.40}){hint}")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise GrammarError(f"the text holds a lone surrogate at {error.start}; remove it") from error
