"""Making a grammar small without changing its language: what a compiler would call dead code and inlining."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from dllm.grammars.rules import AnyOrder, Body, Members, Rules
from dllm.grammars.tables.useful import Bodies, productive, reached


def tidied(rules: Rules) -> Rules:
    """The same language without useless symbols, doubles and single-use names; no productions if it is empty."""
    bodies = productive({name: tuple(dict.fromkeys(found)) for name, found in _with_lists(rules).items()})
    if rules.start not in bodies:
        return Rules(rules.start, {}, rules.terminals, rules.ignored)
    bodies = _merged(rules.start, _without_renaming(bodies))
    while True:
        smaller = _inlined(rules.start, _without_renaming(reached(rules.start, bodies)))
        if smaller == bodies:
            break
        bodies = smaller
    bodies = reached(rules.start, _merged(rules.start, bodies))
    used = {symbol for found in bodies.values() for body in found for symbol in body} | rules.ignored
    members = _members(rules, bodies)
    if members is not None:
        used |= {*members.opening, *members.closing, *members.colons, *(own.comma for own in members.lists.values())}
    used |= {rules.tally.mark} if rules.tally else set()
    terminals = tuple(one for one in rules.terminals if one.name in used)
    apart = {*_others(bodies), *(() if members is None else members.lists)}
    productions = {name: found for name, found in bodies.items() if name not in apart}
    return replace(rules, productions=productions, terminals=terminals, members=members)


_REQUIRED, _OTHERS = "<required>", "<others>"
"""Signs in what stands for a list of members, so that all that is done here to bodies is done to lists too."""


def _with_lists(rules: Rules) -> dict[str, tuple[Body, ...]]:
    """The productions, and for each list one body: its required members, and a nonterminal for the others."""
    found = dict(rules.productions)
    for name, own in ({} if rules.members is None else rules.members.lists).items():
        others = f"{name}{_OTHERS}"
        found[name] = ((_REQUIRED, own.comma, *own.required, _OTHERS, others),)
        found[others] = ((), *((one,) for one in own.others))
    return found


def _is_list(found: tuple[Body, ...]) -> bool:
    return len(found) == 1 and found[0][:1] == (_REQUIRED,)


def _others(bodies: Bodies) -> set[str]:
    return {found[0][-1] for found in bodies.values() if _is_list(found)}


def _members(rules: Rules, bodies: Bodies) -> Members | None:
    """The lists that are left."""
    lists = {}
    for name, found in bodies.items():
        if _is_list(found):
            split = found[0].index(_OTHERS)
            others = tuple(one for body in bodies[found[0][-1]] for one in body)
            lists[name] = AnyOrder(found[0][2:split], others, found[0][1])
    if not lists or rules.members is None:
        return None
    used = {symbol for found in bodies.values() for body in found for symbol in body}
    told = rules.members
    return Members(used & told.opening, used & told.closing, used & told.colons, lists)


def _renamed(bodies: Bodies, names: dict[str, str]) -> Bodies:
    return {name: _once(tuple(names.get(s, s) for s in body) for body in found) for name, found in bodies.items()}


def _once(found: Iterable[Body]) -> tuple[Body, ...]:
    return tuple(dict.fromkeys(found))


def _without_renaming(bodies: Bodies) -> Bodies:
    """What is only another name of one symbol is replaced by it."""
    other = {name: found[0][0] for name, found in bodies.items() if len(found) == 1 and len(found[0]) == 1}
    names: dict[str, str] = {}
    for name in other:
        at, seen = name, {name}
        while at in other and other[at] not in seen:
            at = other[at]
            seen.add(at)
        names[name] = at
    return _renamed(bodies, names)


def _merged(start: str, bodies: Bodies) -> Bodies:
    """One name for all that have the same bodies, up to such names."""
    number = {name: index for index, name in enumerate(bodies)}
    for found in bodies.values():
        for body in found:
            for symbol in body:
                number.setdefault(symbol, len(number))
    coded = [[tuple(number[symbol] for symbol in body) for body in found] for found in bodies.values()]
    users: list[set[int]] = [set() for _ in number]
    for at, codes in enumerate(coded):
        for code in codes:
            for one in code:
                users[one].add(at)
    own = list(range(len(number)))  # of each symbol, the group it is in; terminals are groups of their own
    own[: len(bodies)] = [0] * len(bodies)
    members = {0: set(range(len(bodies)))}
    of = own.__getitem__
    asked = members[0]
    while asked:  # names whose bodies have changed since they were last held against the rest of their group
        by_group: dict[int, set[int]] = {}
        for at in asked:
            by_group.setdefault(own[at], set()).add(at)
        asked = set()
        for group, some in by_group.items():
            parts: dict[object, set[int]] = {}
            rest = next((at for at in members[group] if at not in some), None)
            for at in some if rest is None else (rest, *some):
                parts.setdefault(frozenset(tuple(map(of, code)) for code in coded[at]), set()).add(at)
            stays = max(parts.values(), key=len) if rest is None else next(iter(parts.values()))
            for part in parts.values():
                if part is not stays:
                    new = len(number) + len(members)
                    members[new] = part
                    members[group] -= part
                    for at in part:
                        own[at] = new
                        asked |= users[at]
    groups = dict(zip(bodies, own, strict=False))
    first: dict[int, str] = {groups[start]: start}
    for name, group in groups.items():
        first.setdefault(group, name)
    names = {name: first[group] for name, group in groups.items()}
    return {name: found for name, found in _renamed(bodies, names).items() if names[name] == name}


def _inlined(start: str, bodies: Bodies) -> Bodies:
    """Names used once are replaced by what they stand for, where that is one body, or where they stand alone."""
    uses = Counter(symbol for found in bodies.values() for body in found for symbol in body)
    lists = [name for name, found in bodies.items() if _is_list(found)]
    parts = {symbol for name in (*lists, *_others(bodies)) for body in bodies[name] for symbol in body}
    once = {name for name in bodies if uses[name] == 1} - {start, *lists, *parts}
    changed = dict(bodies)
    for name in bodies:
        if name not in changed:
            continue
        fresh: list[Body] = []
        for body in changed[name]:
            if len(body) == 1 and body[0] in once and body[0] != name and body[0] in changed:
                fresh += changed.pop(body[0])
                continue
            wide: list[str] = []
            for symbol in body:
                if symbol in once and symbol != name and symbol in changed and len(changed[symbol]) == 1:
                    wide += changed.pop(symbol)[0]
                else:
                    wide.append(symbol)
            fresh.append(tuple(wide))
        changed[name] = _once(fresh)
    return changed
