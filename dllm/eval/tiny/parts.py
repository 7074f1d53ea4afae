"""What the functions of ``code.py`` do: operations with their wording, Python body and C++ body.

In bodies ``@`` stands for the function's own name (recursion); nested lines carry their extra indentation.
"""

from __future__ import annotations

import random

from dllm.eval.tiny import loops
from dllm.eval.tiny.operation import INTS, Operation, integers, names


def _two(rng: random.Random, py: bool, a: str, b: str) -> tuple[str, str, str]:
    """An expression over two numbers: wording before "of two ints", text, title."""
    maximum, minimum = ("max", "min") if py else ("std::max", "std::min")
    return rng.choice(
        [
            ("sum", f"{a} + {b}", "add"),
            ("difference", f"{a} - {b}", "subtract"),
            ("product", f"{a} * {b}", "multiply"),
            ("larger", f"{maximum}({a}, {b})", "larger"),
            ("smaller", f"{minimum}({a}, {b})", "smaller"),
        ]
    )


def _binary(rng: random.Random, py: bool) -> Operation:
    a, b = names(rng, 2)
    word, text, title = _two(rng, py, a, b)
    kind = "double" if rng.random() < 0.25 else "int"
    if kind == "int" and rng.random() < 0.25:
        word, text, title = rng.choice(
            [
                ("quotient", f"{a} // {b}" if py else f"{a} / {b}", "divide"),
                ("remainder", f"{a} % {b}", "remainder"),
                ("average", f"({a} + {b}) // 2" if py else f"({a} + {b}) / 2", "average"),
            ]
        )
    elif kind == "int" and rng.random() < 0.4:
        number = rng.randint(2, 20)
        tail, sign = rng.choice([("plus", "+"), ("minus", "-"), ("times", "*")])
        inner = f"({text})" if sign == "*" and word in ("sum", "difference") else text
        return Operation(
            f"returns the {word} of two ints {tail} {number}",
            integers(a, b),
            "int",
            (f"return {inner} {sign} {number}" + ("" if py else ";"),),
        )
    what = f"returns the {word} of two {'float' if py and kind == 'double' else kind}s"
    return Operation(what, integers(a, b, kind=kind), kind, (f"return {text}" + ("" if py else ";"),), title)


def _ternary(rng: random.Random, py: bool) -> Operation:
    a, b, c = names(rng, 3)
    word, text = rng.choice(
        [
            ("sum", f"{a} + {b} + {c}"),
            ("product", f"{a} * {b} * {c}"),
            ("largest", f"max({a}, {b}, {c})" if py else f"std::max({{{a}, {b}, {c}}})"),
            ("smallest", f"min({a}, {b}, {c})" if py else f"std::min({{{a}, {b}, {c}}})"),
        ]
    )
    return Operation(
        f"returns the {word} of three ints", integers(a, b, c), "int", (f"return {text}" + ("" if py else ";"),)
    )


def _unary(rng: random.Random, py: bool) -> Operation:
    a, k = rng.choice(INTS), rng.randint(2, 20)
    half, absolute = ("//", "abs") if py else ("/", "std::abs")
    what, text, title = rng.choice(
        [
            ("the square of an int", f"{a} * {a}", "square"),
            ("the cube of an int", f"{a} * {a} * {a}", "cube"),
            ("the double of an int", f"2 * {a}", "twice"),
            ("half of an int", f"{a} {half} 2", "half"),
            ("the negative of an int", f"-{a}", "negate"),
            ("the absolute value of an int", f"{absolute}({a})", "absolute"),
            ("the last digit of an int", f"{a} % 10", "last_digit"),
            (f"an int plus {k}", f"{a} + {k}", ""),
            (f"an int minus {k}", f"{a} - {k}", ""),
            (f"an int times {k}", f"{a} * {k}", ""),
            (f"an int divided by {k}", f"{a} {half} {k}", ""),
            (f"an int modulo {k}", f"{a} % {k}", ""),
            (f"the square of an int plus {k}", f"{a} * {a} + {k}", ""),
            (f"the larger of an int and {k}", f"{'' if py else 'std::'}max({a}, {k})", ""),
            (f"the smaller of an int and {k}", f"{'' if py else 'std::'}min({a}, {k})", ""),
        ]
    )
    return Operation(f"returns {what}", integers(a), "int", (f"return {text}" + ("" if py else ";"),), title)


def _test(rng: random.Random, a: str, b: str) -> tuple[str, str]:
    """A condition on two ints: wording, text (the same in both languages)."""
    return rng.choice(
        [
            ("the first is larger", f"{a} > {b}"),
            ("the first is smaller", f"{a} < {b}"),
            ("they are equal", f"{a} == {b}"),
            ("the first is even", f"{a} % 2 == 0"),
            ("the second is even", f"{b} % 2 == 0"),
            ("the first is positive", f"{a} > 0"),
            ("the second is positive", f"{b} > 0"),
            ("the first is zero", f"{a} == 0"),
            ("the second is zero", f"{b} == 0"),
        ]
    )


def _conditional(rng: random.Random, py: bool) -> Operation:
    a, b = names(rng, 2)
    said, test = _test(rng, a, b)
    yes, no = _two(rng, py, a, b), _two(rng, py, a, b)
    while no[0] == yes[0]:
        no = _two(rng, py, a, b)
    what = f"returns the {yes[0]} of two ints if {said}, else the {no[0]}"
    if py:
        body: tuple[str, ...] = (f"if {test}:", f"    return {yes[1]}", f"return {no[1]}")
    else:
        body = (f"if ({test}) return {yes[1]};", f"return {no[1]};")
    return Operation(what, integers(a, b), "int", body)


def _predicate(rng: random.Random, py: bool) -> Operation:
    a, k = rng.choice(INTS), rng.randint(2, 20)
    high = k + rng.randint(2, 20)
    both = "and" if py else "&&"
    what, text, title = rng.choice(
        [
            ("is even", f"{a} % 2 == 0", "is_even"),
            ("is odd", f"{a} % 2 != 0", "is_odd"),
            ("is positive", f"{a} > 0", "is_positive"),
            ("is negative", f"{a} < 0", "is_negative"),
            ("is zero", f"{a} == 0", "is_zero"),
            (f"is divisible by {k}", f"{a} % {k} == 0", ""),
            (f"is greater than {k}", f"{a} > {k}", ""),
            (f"is less than {k}", f"{a} < {k}", ""),
            (f"is between {k} and {high}", f"{a} >= {k} {both} {a} <= {high}", ""),
        ]
    )
    return Operation(f"checks if an int {what}", integers(a), "bool", (f"return {text}" + ("" if py else ";"),), title)


def _clamp(rng: random.Random, py: bool) -> Operation:
    a, low = rng.choice(INTS), rng.randint(0, 10)
    high = low + rng.randint(2, 90)
    what = f"clamps an int between {low} and {high}"
    inner = f"max({low}, min({a}, {high}))" if py else f"std::max({low}, std::min({a}, {high}))"
    return Operation(what, integers(a), "int", (f"return {inner}" + ("" if py else ";"),), "clamp")


def _constant(rng: random.Random, py: bool) -> Operation:
    k = rng.randint(0, 99)
    return Operation(f"returns the number {k}", (), "int", (f"return {k}" + ("" if py else ";"),))


_MAKERS = [_binary] * 5 + [_unary] * 4 + [_predicate] * 3 + [_conditional] * 3 + [loops.accumulate] * 4
_MAKERS += [_ternary, loops.recursion, loops.recursion, loops.string, loops.string, loops.sequence, _clamp, _constant]


def operation(rng: random.Random, language: str) -> Operation:
    """A random operation written for ``language`` ("python" or "cpp")."""
    return rng.choice(_MAKERS)(rng, language == "python")
