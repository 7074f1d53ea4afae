"""The options that name a grammar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from dllm.cli.inputs import read_argument, read_file
from dllm.cli.shell import UsageError

if TYPE_CHECKING:
    from dllm import Grammar

GRAMMAR = "Grammar (at most one)"
_SUFFIXES = (".lark", ".gbnf")


@dataclass(frozen=True, kw_only=True)
class GrammarOptions:
    """What a text is held to; none of them: free text."""

    grammar: Annotated[
        str | None,
        Option(
            "--grammar",
            "-g",
            metavar="NAME|FILE.lark|FILE.gbnf",
            help="A built-in grammar (see `dllm grammar explain`), or a file in Lark's or llama.cpp's notation.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    json_schema: Annotated[
        Path | None, Option(metavar="FILE", help="JSON that is valid under this schema.", rich_help_panel=GRAMMAR)
    ] = None
    property_order: Annotated[
        str | None,
        Option(
            metavar="auto|any|schema",
            help="Of --json-schema: keys in any order (default: if not over 64 are required), or the schema's.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    unknown_keywords: Annotated[
        str | None,
        Option(
            metavar="note|refuse",
            help="Of --json-schema: keywords of no draft and unknown formats are annotations (default), or refused.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    whitespace: Annotated[
        str | None,
        Option(
            metavar="any|compact|pretty",
            help="Of --json-schema: any white space (default), one space behind : and ,, or indented lines.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    integers: Annotated[
        str | None,
        Option(
            metavar="any|plain",
            help="Of --json-schema: 8.0 is an integer (default), or they are digits alone.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    tools: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Free text, or the JSON of a call of one of these tools: a JSON list, in OpenAI's form.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    tool_choice: Annotated[
        str | None,
        Option(
            metavar="auto|required|NAME",
            help="Of --tools: a call or free text (default), a call, or a call of that tool.",
            rich_help_panel=GRAMMAR,
        ),
    ] = None
    regex: Annotated[
        str | None,
        Option(metavar="PATTERN", help="What this Python pattern matches as a whole.", rich_help_panel=GRAMMAR),
    ] = None
    choice: Annotated[
        list[str] | None, Option(metavar="TEXT", help="One of these texts; repeatable.", rich_help_panel=GRAMMAR)
    ] = None

    def load(self, *, escape: bool = False, swallow: bool = False) -> Grammar | None:
        """The grammar that is named, if any.

        Args:
            escape: choices are unescaped as the prompt is.
            swallow: free text that a hole begins may go on over given text.

        Raises:
            UsageError: several are named, or the one that is cannot be read.
        """
        given = {
            "--grammar": self.grammar,
            "--json-schema": self.json_schema,
            "--tools": self.tools,
            "--regex": self.regex,
            "--choice": self.choice or None,
        }
        named = [option for option, value in given.items() if value is not None]
        if len(named) > 1:
            raise UsageError(f"{' and '.join(named)} each name a grammar; give one of them")
        of_schema = {
            "--property-order": self.property_order,
            "--unknown-keywords": self.unknown_keywords,
            "--whitespace": self.whitespace,
            "--integers": self.integers,
        }
        for option, value in of_schema.items():
            if value is not None and self.json_schema is None:
                raise UsageError(f"{option} {value} is read with --json-schema FILE only")
        if self.tool_choice is not None and self.tools is None:
            raise UsageError(f"--tool-choice {self.tool_choice} is read with --tools FILE only")
        if swallow and (self.grammar is None or self.grammar.endswith(".gbnf")):
            raise UsageError("--swallow is read with --grammar NAME or --grammar FILE.lark only")
        if not named:
            return None
        from dllm.errors import GrammarError

        try:
            return self._made(escape, swallow)
        except GrammarError as error:
            # the same error is failed work when a canvas has no room; here, what was written cannot be read
            raise UsageError(f"{self._source(named[0])}: {error}") from error

    def _source(self, option: str) -> str:
        """Where a mistake is: the file, or the option where its value stands in the message."""
        if self.json_schema is not None:
            return f"{option} {self.json_schema}"
        if self.tools is not None:
            return f"{option} {self.tools}"
        return f"{option} {self.grammar}" if self.grammar is not None and _is_file(self.grammar) else option

    def text(self) -> str | None:
        """What a grammar in Lark's or llama.cpp's notation is written as; None for the others."""
        return None if self.grammar is None else _text(self.grammar)

    def _made(self, escape: bool, swallow: bool) -> Grammar:
        from dllm import Grammar

        if self.grammar is not None:
            return _named(self.grammar, swallow)
        if self.json_schema is not None:
            text = read_file(self.json_schema, "--json-schema")
            return Grammar.from_json_schema(
                text,
                property_order=self.property_order or "auto",
                unknown=self.unknown_keywords or "note",
                whitespace=self.whitespace or "any",
                integers=self.integers or "any",
            )
        if self.tools is not None:
            return Grammar.from_tools(read_file(self.tools, "--tools"), choice=self.tool_choice or "auto")
        if self.regex is not None:
            return Grammar.from_regex(read_argument(self.regex, "--regex", escape=False, stdin=False))
        texts = [read_argument(text, "--choice", escape=escape, stdin=False) for text in self.choice or ()]
        return Grammar.from_choices(texts)


def _named(name: str, swallow: bool) -> Grammar:
    """A built-in grammar, or one from a file."""
    from dllm import Grammar

    if not _is_file(name):
        return Grammar.builtin(name, swallow=swallow)
    if name.endswith(".gbnf"):
        return Grammar.from_gbnf(_text(name))
    return Grammar.from_lark(_text(name), swallow=swallow)


def _text(name: str) -> str:
    from dllm.grammars.frontends.builtin import builtin_text

    return read_file(Path(name), "--grammar") if _is_file(name) else builtin_text(name)


def _is_file(name: str) -> bool:
    """What looks like a path is one; the names of built-in grammars do not."""
    return name.endswith(_SUFFIXES) or "/" in name
