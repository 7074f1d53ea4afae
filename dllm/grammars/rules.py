"""What every front end produces: terminals, and productions over them. Everything behind it knows only this.

A text is read in two stages, as a compiler does. A scanner splits its UTF-8 bytes into lexemes by maximal munch: each
lexeme is the longest text from there that any terminal matches, whether or not the grammar can use it (`a--b` is never
`a - -b`). Of the terminals that match that same text, those of the highest priority stand; they may be several, and the
grammar decides which is meant. Ignored terminals are then dropped, and the rest must be a sentence of the productions.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from dllm.grammars.regex import Regex

Body = tuple[str, ...]
"""The right side of a production: names of terminals and nonterminals; the empty tuple is the empty text."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A kind of lexeme.

    Attributes:
        name: unique among the terminals of a grammar; used in messages (`NAME`, or a text in quotes).
        pattern: the texts; none of them may be empty.
        priority: of the terminals that match one lexeme, only those of the highest priority stand.
        asked: what of the user's it says (a keyword and its place), for errors about its size; by default its name.
    """

    name: str
    pattern: Regex
    priority: int = 0
    asked: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AnyOrder:
    """Members in any order: each of `required`, at least one, just once, and others any number of times between them.

    Attributes:
        required, others: nonterminals.
        comma: the terminal between two of them.
    """

    required: tuple[str, ...]
    others: tuple[str, ...]
    comma: str


@dataclass(frozen=True, slots=True)
class Members:
    """Lists whose members come in any order, which productions can only say with a nonterminal a set of members.

    A list stands between braces. A member is a key, a colon and what belongs to the key: its nonterminal has one
    production, which begins with the terminals of key and colon. In no other place does a colon stand behind a key.

    Attributes:
        opening, closing, colons: names of terminals.
        lists: nonterminal, which has no productions -> its members.
    """

    opening: Set[str]
    closing: Set[str]
    colons: Set[str]
    lists: Mapping[str, AnyOrder]


@dataclass(frozen=True, slots=True)
class Tally:
    """Which lexemes are counted by characters (`dllm.grammars.tables.tally`), so that productions may bound them.

    Such a lexeme is read as some marks, one behind each `every` characters, and then by its own name. So are all
    lexemes that begin like one, as long as it can become one that is counted.

    Attributes:
        quote: one character; these lexemes begin and end with it.
        unit: a character between, as it is spelled: no spelling begins another, and none begins with `quote`.
        every: characters to a mark.
        mark: the terminal that stands for one. Its pattern, so many units, matches nothing by itself.
        rests: terminals that are counted -> how many characters are behind the last mark, the least and the most.
        loose: the grammar without counts, which has all its texts and more.
    """

    quote: Regex
    unit: Regex
    every: int
    mark: str
    rests: Mapping[str, tuple[int, int]]
    loose: Rules


@dataclass(frozen=True, slots=True)
class Rules:
    """A context-free grammar over terminals.

    Attributes:
        start: the nonterminal a whole text must be.
        productions: nonterminal -> alternatives, each a `Body`. Every name used is a key here, or the name
            of a terminal, or of a list of `members`, and only one of these.
        terminals: in any order.
        ignored: names of terminals that may stand anywhere between others and mean nothing (white space, comments).
        counted: a regular expression that says just what the productions do, or None; in it, character i is terminal i.
            It is quicker to read by.
        outline: a regular expression that matches the text of every sentence, or None. What is outside of it is no way
            on even where the next lexemes alone could not tell.
        members: nonterminals whose members come in any order.
        tally: which lexemes are counted, or None.
        text: names of terminals that hold free text (strings, characters, comments), ignored ones too: no lexeme of
            theirs that a token of a hole begins may go on over a given token, which would no longer mean what it says.
            White space at the front that would be ignored by itself is not what begins one.
    """

    start: str
    productions: Mapping[str, tuple[Body, ...]]
    terminals: tuple[Terminal, ...]
    ignored: frozenset[str] = frozenset()
    counted: Regex | None = None
    outline: Regex | None = None
    members: Members | None = None
    tally: Tally | None = None
    text: frozenset[str] = frozenset()
