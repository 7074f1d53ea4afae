"""Members in any order as plain productions: a nonterminal for each set of required members that is still to come."""

from __future__ import annotations

from dataclasses import replace

from dllm.grammars.rules import Body, Rules


def spelled_out(rules: Rules) -> Rules:
    """The same language without `members`."""
    if rules.members is None:
        return rules
    productions = dict(rules.productions)
    for name, own in rules.members.lists.items():
        for missing in range(1 << len(own.required)):
            bodies: list[Body] = []
            for index, member in enumerate(own.required):
                if missing >> index & 1:
                    left = missing & ~(1 << index)
                    bodies.append((member, own.comma, f"{name}<{left}>"))
                    bodies += [(member,)] if not left else []
            for member in own.others:
                bodies.append((member, own.comma, f"{name}<{missing}>"))
                bodies += [(member,)] if not missing else []
            productions[f"{name}<{missing}>"] = tuple(bodies)
        productions[name] = ((f"{name}<{(1 << len(own.required)) - 1}>",),)
    return replace(rules, productions=productions, members=None)
