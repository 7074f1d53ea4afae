"""Operations of several lines or on strings and lists: loops, recursion, strings, sequences; free statements."""

from __future__ import annotations

import random

from dllm.eval.tiny.example import listing
from dllm.eval.tiny.operation import CPP_STRING, CPP_VECTOR, INTS, LOCALS, Operation, Param, integers, names

LOOPS = listing("i j")
LIST_NAMES = listing("v xs items values data nums")
STRING_NAMES = tuple(map(listing, ("s t", "text word", "line rest", "a b")))


_FILTERS = (("even", "{e} % 2 == 0"), ("odd", "{e} % 2 != 0"))


def _filter(rng: random.Random, element: str, signed: bool) -> tuple[str, str]:
    """An adjective with its condition, or ("", "")."""
    k = rng.randint(2, 9)
    choices = [("", ""), *_FILTERS, (f"multiples of {k}", f"{{e}} % {k} == 0")]
    if signed:
        choices += [("positive", "{e} > 0"), ("negative", "{e} < 0")]
    word, text = rng.choice(choices)
    return word, text.format(e=element)


def accumulate(rng: random.Random, py: bool) -> Operation:
    """A loop over 1..n or over a list with an accumulator, a filter and a term."""
    over_list = rng.random() < 0.5
    acc, i = rng.choice(LOCALS), rng.choice(LOOPS)
    source = rng.choice(LIST_NAMES if over_list else listing("n m k"))
    word, test = _filter(rng, i, over_list)
    kind = rng.choice(["sum", "sum", "count", "product"])
    if kind == "count" and not word:
        kind = "sum"
    square = kind == "sum" and not word and rng.random() < 0.5
    noun = "squares" if square else "numbers" if not word or not word.startswith("mult") else word
    adjective = f"{word} " if word and noun != word else ""
    where = ("in a list" if py else "in a vector") if over_list else "from 1 to n"
    verb = {"sum": "returns the sum of the", "product": "returns the product of the", "count": "counts the"}[kind]
    term = {"sum": f"{acc} += {i}" + (f" * {i}" if square else ""), "product": f"{acc} *= {i}", "count": f"{acc} += 1"}
    start = 1 if kind == "product" else 0
    end = "" if py else ";"
    if py:
        loop = f"for {i} in {source}:" if over_list else f"for {i} in range(1, {source} + 1):"
        inner = [f"    if {test}:", f"        {term[kind]}"] if test else [f"    {term[kind]}"]
        body = [f"{acc} = {start}", loop, *inner, f"return {acc}"]
    else:
        loop = f"for (int {i} : {source})" if over_list else f"for (int {i} = 1; {i} <= {source}; {i}++)"
        inner = [f"    if ({test}) {term[kind]};"] if test else [f"    {term[kind]};"]
        body = [f"int {acc} = {start};", loop + " {", *inner, "}", f"return {acc}{end}"]
    params: tuple[Param, ...] = ((CPP_VECTOR, source),) if over_list else integers(source)
    return Operation(f"{verb} {adjective}{noun} {where}", params, "int", tuple(body))


def recursion(rng: random.Random, py: bool) -> Operation:
    n, b = names(rng, 2)
    what, test, base, step, title = rng.choice(
        [
            ("the factorial of n", f"{n} <= 1", "1", f"{n} * @({n} - 1)", "factorial"),
            ("the n-th Fibonacci number", f"{n} < 2", n, f"@({n} - 1) + @({n} - 2)", "fib"),
            ("the sum from 1 to n", f"{n} <= 0", "0", f"{n} + @({n} - 1)", "sum_to"),
            ("the greatest common divisor of two ints", f"{b} == 0", n, f"@({b}, {n} % {b})", "gcd"),
            ("the first int to the power of the second", f"{b} == 0", "1", f"{n} * @({n}, {b} - 1)", "power"),
        ]
    )
    params = integers(n, b) if b in test else integers(n)
    if py:
        body: tuple[str, ...] = (f"if {test}:", f"    return {base}", f"return {step}")
    else:
        body = (f"if ({test}) return {base};", f"return {step};")
    return Operation(f"returns {what} by recursion", params, "int", body, title)


def string(rng: random.Random, py: bool) -> Operation:
    s, other = rng.choice(STRING_NAMES)
    letter, k = rng.choice("abcdefgh"), rng.randint(2, 9)
    if rng.random() < 0.25:
        word, sep = rng.choice([("", ""), ("a space", " "), ("a dash", "-"), ("a comma", ",")])
        text = f'{s} + "{sep}" + {other}' if sep else f"{s} + {other}"
        what = "joins two strings" + (f" with {word}" if word else "")
        kinds = ((CPP_STRING, s), (CPP_STRING, other))
        return Operation(what, kinds, "std::string", (f"return {text}" + ("" if py else ";"),), "join")
    python = [
        ("returns the length of a string", f"len({s})", "length"),
        ("returns the first letter of a string", f"{s}[0]", "first"),
        ("returns the last letter of a string", f"{s}[-1]", "last"),
        ("checks if a string is empty", f'{s} == ""', "is_empty"),
        (f"checks if a string starts with {letter}", f'{s}.startswith("{letter}")', ""),
        (f"counts the letter {letter} in a string", f'{s}.count("{letter}")', ""),
        (f"checks if a string is longer than {k}", f"len({s}) > {k}", ""),
        (f"repeats a string {k} times", f"{s} * {k}", ""),
        ("returns a string in upper case", f"{s}.upper()", "upper_case"),
        ("returns a string in lower case", f"{s}.lower()", "lower_case"),
        ("reverses a string", f"{s}[::-1]", "reverse_text"),
        ("checks if a string is a palindrome", f"{s} == {s}[::-1]", "is_palindrome"),
    ]
    cpp = [
        ("returns the length of a string", f"{s}.size()", "length", "int"),
        ("returns the first letter of a string", f"{s}.front()", "first", "char"),
        ("returns the last letter of a string", f"{s}.back()", "last", "char"),
        ("checks if a string is empty", f"{s}.empty()", "is_empty", "bool"),
        (f"checks if a string starts with {letter}", f"{s}[0] == '{letter}'", "", "bool"),
        (f"checks if a string ends with {letter}", f"{s}.back() == '{letter}'", "", "bool"),
        (f"checks if a string is longer than {k}", f"{s}.size() > {k}", "", "bool"),
    ]
    if py:
        what, text, title = rng.choice(python)
        return Operation(what, ((CPP_STRING, s),), "", (f"return {text}",), title)
    what, text, title, kind = rng.choice(cpp)
    return Operation(what, ((CPP_STRING, s),), kind, (f"return {text};",), title)


def sequence(rng: random.Random, py: bool) -> Operation:
    v = rng.choice(LIST_NAMES)
    noun = "list" if py else "vector"
    what, py_text, cpp_text, kind, title = rng.choice(
        [
            ("returns the length of a {}", f"len({v})", f"{v}.size()", "int", "length"),
            ("returns the first element of a {}", f"{v}[0]", f"{v}.front()", "int", "first"),
            ("returns the last element of a {}", f"{v}[-1]", f"{v}.back()", "int", "last"),
            ("checks if a {} is empty", f"len({v}) == 0", f"{v}.empty()", "bool", "is_empty"),
        ]
    )
    text = py_text if py else cpp_text + ";"
    return Operation(what.format(noun), ((CPP_VECTOR, v),), kind, (f"return {text}",), title)


def statements(rng: random.Random, language: str) -> str:
    """A function of a few simple statements on one variable, for holes in which anything plausible will do."""
    py, x, name = language == "python", rng.choice(INTS + LOCALS), rng.choice(listing("f g h foo run main test"))
    param = rng.random() < 0.4
    lines = [f"{x} = {rng.randint(0, 20)}" if py else f"int {x} = {rng.randint(0, 20)};"] if not param else []
    for _ in range(rng.randint(0 if lines or param else 1, 3)):
        lines.append(f"{x} {rng.choice(['+=', '-=', '*='])} {rng.randint(1, 20)}" + ("" if py else ";"))
    tail = rng.choice([x, f"{x} + {rng.randint(1, 9)}", f"{x} * {rng.randint(2, 9)}", f"{x} - {rng.randint(1, 9)}"])
    lines.append(f"return {tail}" + ("" if py else ";"))
    if py:
        return "\n".join([f"def {name}({x if param else ''}):", *("    " + line for line in lines)])
    head = f"int {name}({'int ' + x if param else ''}){rng.choice([' ', ''])}{{"
    if rng.random() < 0.8:
        return f"{head} {' '.join(lines)} }}"
    return "\n".join([head, *("    " + line for line in lines), "}"])
