"""Grammars in Lark's notation: lark reads and expands them, this turns what it makes into `Rules`.

What shapes lark's trees (aliases, `?rule`, `!rule`, `_rule`) says nothing about which texts are sentences and falls
away. As in lark, a text between quotes beats a regular expression of the same priority, so keywords beat names; unlike
in lark, a lexeme is the longest text that any terminal matches, and a regular expression prefers no alternative.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

from dllm.errors import GrammarError, nearest
from dllm.grammars.frontends.pattern import parse_pattern
from dllm.grammars.regex import nullable
from dllm.grammars.rules import Rules, Terminal
from dllm.grammars.tables.useful import derived

# the inside of lark's `common.ESCAPED_STRING`, the one look-behind everybody uses, and the same without it
_LOOK_BEHIND = r".*?(?<!\\)(\\\\)*?"
_ESCAPES = r"(?:[^\\\n]|\\.)*?"
# to lark a comment
_TEXT = re.compile(r"^//[ \t]*%text\b(.*)$", re.MULTILINE)


def rules_from_lark(text: str, *, start: str = "start", swallow: bool = False) -> Rules:
    """The grammar that `text` describes.

    A terminal of priority p becomes one of priority 2p, or 2p + 1 if it is a text in quotes. Lazy repetitions in
    terminals mean the shortest text. Terminals that no rule uses are not there, so they do not take part in scanning.

    Args:
        text: rules, terminals, `%ignore`, templates, and `%import` from the libraries lark comes with.
            Lines `// %text NAME NAME` name terminals that hold free text (`Rules.text`).
        start: the rule that a whole text must be.
        swallow: nothing is taken to be free text.

    Raises:
        GrammarError: a syntax error or an undefined name; no text is a sentence; rule priorities, `%declare`, imports
            of files, rules that use what `%ignore` drops, terminals that match the empty text, and what
            `parse_pattern` refuses in a terminal.
    """
    if not isinstance(text, str):
        raise GrammarError(f"a Lark grammar must be a str, but it is {type(text).__name__} {text!r:.60}")
    defined, terminals, rules, ignored = _compiled(text, start)
    names = {terminal.name: _name(terminal, defined) for terminal in terminals}
    productions: dict[str, list[tuple[str, ...]]] = {}
    for rule in rules:
        origin = str(rule.origin.name)
        if rule.options is not None and rule.options.priority:
            raise GrammarError(
                f"the rule {origin!r}{_place(text, origin)} has the priority {rule.options.priority}, which cannot be "
                "honoured: a text is a sentence or it is not. Remove it; terminals may have priorities"
            )
        parts = tuple(names[one.name] if one.is_term else str(one.name) for one in rule.expansion)
        clash = next((one.name for one in rule.expansion if one.is_term and one.name in ignored), None)
        if clash is not None:
            raise GrammarError(
                f"the rule {origin!r}{_place(text, origin)} uses {names[clash]}, which %ignore drops before rules are "
                "read; remove it from the rule, or from %ignore"
            )
        alternatives = productions.setdefault(origin, [])
        if parts not in alternatives:
            alternatives.append(parts)
    made = Rules(
        start,
        {origin: tuple(alternatives) for origin, alternatives in productions.items()},
        tuple(_terminal(terminal, names[terminal.name], text) for terminal in terminals),
        frozenset(names[name] for name in ignored),
        text=frozenset() if swallow else _free_text(text, defined) & {*names.values()},
    )
    _check_productive(made, text)
    return made


def _compiled(text: str, start: str) -> tuple[set[str], list[Any], list[Any], set[str]]:
    """What lark makes of `text`: the names of its terminals, and its compiled terminals, rules and ignored names."""
    try:
        from lark.exceptions import LarkError, UnexpectedInput

        from dllm.grammars.frontends.lark_groups import check_templates, rewrite_groups

        load_grammar: Any = import_module("lark.load_grammar").load_grammar  # lark gives it no types
    except ImportError as error:
        raise GrammarError(f"reading a Lark grammar needs the package lark ({error}); pip install lark") from None
    place = ""
    try:
        grammar, files = load_grammar(text, "the grammar", [], False)
        for name, (tree, _priority) in grammar.term_defs:
            if tree is None:
                raise _declared("terminal", name, text)
        for name, _params, tree, _options in grammar.rule_defs:
            if tree is None:
                raise _declared("rule", name, text)
        for file in files:
            if isinstance(file, str):
                raise GrammarError(f"%import of the file {file!r} is not supported; put its rules into the grammar")
        defined = {str(name) for name, *_ in grammar.rule_defs}
        if start not in defined:
            raise GrammarError(
                f"the start rule {start!r} is not defined; the rules are {sorted(defined)}.{nearest(start, defined)}"
            )
        check_templates(grammar.rule_defs)
        rewrite_groups(grammar.rule_defs)
        terminals, rules, ignored = grammar.compile([start], set())
    except RecursionError:
        raise GrammarError("the Lark grammar is nested too deeply; give rules to its inner groups") from None
    except LarkError as error:
        raise GrammarError(f"the Lark grammar cannot be read: {str(error).strip()}") from None
    except OSError as error:
        raise GrammarError(
            f"the Lark grammar imports {error.filename!r}, which is not one of the libraries of lark "
            "(common, python, unicode, lark); put its rules into the grammar"
        ) from None
    except GrammarError:
        raise
    except Exception as error:  # a fault of lark's: it has some where it tells of a mistake
        found: BaseException | None = error
        while found is not None and found.__context__ is not None:  # the last is what lark was to tell of
            found = found.__context__
            if isinstance(found, UnexpectedInput):
                place = f" at line {found.line}, column {found.column}"
        raise GrammarError(
            f"the Lark grammar cannot be read: lark fails{place or ' without saying where'} "
            f"({type(error).__name__}: {error!s:.200}); look for a mistake there"
        ) from None
    return {str(name) for name, _ in grammar.term_defs}, terminals, rules, {str(name) for name in ignored}


def _free_text(text: str, defined: set[str]) -> frozenset[str]:
    """The terminals that lines `// %text` name."""
    found = [name for line in _TEXT.finditer(text) for name in line[1].split()]
    for name in found:
        if name not in defined:
            raise GrammarError(
                f"// %text names {name}, which is no terminal of the grammar; the terminals are "
                f"{', '.join(sorted(defined))}.{nearest(name, defined)}"
            )
    return frozenset(found)


def _declared(kind: str, name: str, text: str) -> GrammarError:
    return GrammarError(f"%declare {name} promises a {kind} that nothing defines{_place(text, name)}; define it")


def _name(terminal: Any, defined: set[str]) -> str:
    """The terminal's own name, or what stands for it in the rules: a text in quotes, or a regular expression."""
    name = str(terminal.name)
    if name in defined and not name.startswith("__"):
        return name
    flags = "".join(sorted(terminal.pattern.flags))
    if terminal.pattern.type == "str":
        return json.dumps(terminal.pattern.value, ensure_ascii=False) + flags
    return f"/{terminal.pattern.value}/{flags}"


def _terminal(terminal: Any, name: str, text: str) -> Terminal:
    what = f"terminal {name}{_place(text, str(terminal.name))}, the regular expression"
    tree = parse_pattern(terminal.pattern.to_regexp().replace(_LOOK_BEHIND, _ESCAPES), lexeme=True, what=what)
    if nullable(tree):
        raise GrammarError(
            f"terminal {name}{_place(text, str(terminal.name))} matches the empty text, which no lexeme may be; "
            "let it match at least one character, and use ? or * in the rules"
        )
    return Terminal(name, tree, 2 * int(terminal.priority) + (terminal.pattern.type == "str"))


def _place(text: str, name: str) -> str:
    """Where a rule or terminal is defined or declared, as ` (line 3, column 1)`; nothing if it is not found."""
    quoted = re.escape(name)
    found = re.search(rf"^[?!]*{quoted}(?=[.\s{{]*[^\n]*:)|^%declare\b.*?\b(?={quoted}\b)", text, re.MULTILINE)
    if found is None:
        return ""
    at = found.end() if found[0].startswith("%") else found.start()
    line = text.count("\n", 0, at) + 1
    return f" (line {line}, column {at - text.rfind(chr(10), 0, at)})"


def _check_productive(rules: Rules, text: str) -> None:
    """Refuse a grammar without sentences."""
    each = ((origin, parts) for origin, alternatives in rules.productions.items() for parts in alternatives)
    if rules.start not in derived(each, (terminal.name for terminal in rules.terminals)):
        raise GrammarError(
            f"no text is a sentence of the rule {rules.start!r}{_place(text, rules.start)}: each of its alternatives "
            "needs itself without end; give it, or a rule it uses, an alternative that ends"
        )
