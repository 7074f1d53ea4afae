"""Slow, obvious readings of `dllm.grammars.regex` trees, for tests to compare with."""

from functools import cache

from dllm.grammars.regex import Alt, And, Chars, Minus, Regex, Repeat, Seq


def matches(tree: Regex, text: str) -> bool:
    """Whether `text` is one of the texts of `tree`."""
    return len(text) in ends(tree, text, 0)


def longest(tree: Regex, text: str, start: int = 0) -> int | None:
    """The end of the longest text of `tree` that begins at `start`, or None."""
    return max(ends(tree, text, start), default=None)


def ends(tree: Regex, text: str, start: int) -> frozenset[int]:
    """Where the texts of `tree` that begin at `start` may end."""

    @cache
    def reach(node: Regex, at: int) -> frozenset[int]:
        if isinstance(node, Chars):
            if at < len(text) and any(low <= ord(text[at]) <= high for low, high in node.ranges):
                return frozenset({at + 1})
            return frozenset()
        if isinstance(node, Seq):
            places = frozenset({at})
            for part in node.parts:
                places = after(part, places)
            return places
        if isinstance(node, Alt):
            return frozenset().union(*(reach(option, at) for option in node.options))
        if isinstance(node, And):
            return reach(node.left, at) & reach(node.right, at)
        if isinstance(node, Minus):
            return reach(node.left, at) - reach(node.right, at)
        assert isinstance(node, Repeat)
        places = frozenset({at})
        for _ in range(node.low):
            places = after(node.body, places)
        found, fresh, count = set(places), places, node.low
        while fresh and (node.high is None or count < node.high):
            fresh = after(node.body, fresh) - found
            found |= fresh
            count += 1
        return frozenset(found)

    def after(node: Regex, places: frozenset[int]) -> frozenset[int]:
        return frozenset().union(*(reach(node, place) for place in places))

    return reach(tree, start)
