"""What lark would multiply out is given rules of its own first: the same language, in a grammar that does not explode.

Lark turns each way through the groups and optionals of a rule into an alternative: twenty optionals are a million. And
it expands templates for as long as they use themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from lark import Tree
from lark.grammar import NonTerminal

from dllm.errors import GrammarError

ALTERNATIVES = 64
"""Ways through one sequence; where there are more, its groups become rules."""
TEMPLATES = 2_000
"""Uses of templates with other arguments."""
NAME = 10_000
"""Characters of the name that lark gives to one, which spells out all arguments."""
COUNT_DIGITS = 6
_REPEATS_IN_PARTS = 50
"""From this count on, lark splits a repetition into rules itself."""


def rewrite_groups(definitions: list[Any]) -> None:
    """Give rules to groups and optionals, in place.

    Args:
        definitions: of lark's `Grammar.rule_defs`: (name, parameters, tree, options).
    """
    for name, parameters, tree, options in list(definitions):
        _Groups(definitions, str(name), parameters, options).ways(tree)


@dataclass
class _Groups:
    """Those of one rule."""

    definitions: list[Any]
    rule: str
    parameters: Sequence[str]
    options: Any
    known: dict[Any, Any] = field(default_factory=dict)

    def ways(self, tree: Any) -> int:
        """The alternatives that lark makes of it; groups that would make too many are replaced."""
        if not isinstance(tree, Tree):
            return 1
        if tree.data == "expansion":
            found = [self.ways(child) for child in tree.children]
            if prod(found) <= ALTERNATIVES:
                return prod(found)
            for at, count in enumerate(found):
                if count > 1:
                    tree.children[at] = self._rule(tree.children[at])
            return 1
        if tree.data == "expansions":
            return sum(map(self.ways, tree.children))
        if tree.data == "maybe":
            return 1 + self.ways(tree.children[0])
        if tree.data == "alias":
            return self.ways(tree.children[0])
        return self._repeated(tree) if tree.data == "expr" else 1

    def _repeated(self, tree: Any) -> int:
        body, sign, *counts = tree.children
        ways = self.ways(body)
        if sign.value == "?":
            return 1 + ways
        if sign.value != "~":
            return 2 if sign.value == "*" else 1
        if any(len(count) > COUNT_DIGITS for count in counts):
            raise GrammarError(f"the rule {self.rule!r} has a count of over {COUNT_DIGITS} digits; use * or + instead")
        low, high = int(counts[0]), int(counts[-1])
        if (ways > 1 and high * (ways - 1) >= ALTERNATIVES) or ways ** min(high, ALTERNATIVES) > ALTERNATIVES:
            tree.children[0], ways = self._rule(body), 1
        if high >= _REPEATS_IN_PARTS:
            return 1
        return sum(ways**count for count in range(low, high + 1))

    def _rule(self, tree: Any) -> Any:
        """What stands for a group, which becomes a rule; equal ones become one."""
        if tree not in self.known:
            name = f"__{self.rule.strip('_')}_group_{len(self.definitions)}"
            whole = tree if tree.data == "expansions" else Tree("expansions", [Tree("expansion", [tree])])
            self.definitions.append((name, self.parameters, whole, self.options))
            symbol: Any = NonTerminal(name)
            if self.parameters:
                given = [Tree("value", [NonTerminal(one)]) for one in self.parameters]
                symbol = Tree("template_usage", [symbol, *given])
            self.known[tree] = Tree("value", [symbol])
        return self.known[tree].copy()


def check_templates(definitions: Sequence[Any]) -> None:
    """Refuse templates whose expansion would not end, or not soon, by expanding only their names.

    Raises:
        GrammarError: naming the template.
    """
    templates = {str(name): (parameters, tree) for name, parameters, tree, _ in definitions if parameters}
    names: dict[tuple[str, ...], str] = {}  # (template, arguments) -> a short name
    sizes: dict[str, int] = {}  # short name -> characters of the name that lark gives it
    queue: list[tuple[Any, dict[str, str]]] = [(tree, {}) for _, parameters, tree, _ in definitions if not parameters]

    def name_of(tree: Any, given: dict[str, str]) -> str:
        """A short name for a symbol or a use of a template."""
        if not isinstance(tree, Tree):
            name = str(getattr(tree, "name", tree))
            return given.get(name, name)
        if tree.data != "template_usage":
            return name_of(tree.children[0], given) if len(tree.children) == 1 else str(tree)
        key = tuple(name_of(child, given) for child in tree.children)
        if key not in names:
            names[key] = f"<{len(names)}>"
            sizes[names[key]] = sum(sizes.get(one, len(one)) for one in key) + len(key) + 1
            if len(names) > TEMPLATES or sizes[names[key]] > NAME:
                raise GrammarError(
                    f"the template {key[0]!r} is used with other arguments over and over: more than {TEMPLATES} uses, "
                    f"or arguments of more than {NAME} characters; do not let a template pass on arguments that grow"
                )
            if key[0] in templates:
                parameters, body = templates[key[0]]
                queue.append((body, dict(zip(map(str, parameters), key[1:], strict=False))))
        return names[key]

    for tree, given in queue:  # grows
        for use in tree.find_data("template_usage"):
            name_of(use, given)
