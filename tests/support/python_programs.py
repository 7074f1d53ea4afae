"""Python that people write, for the grammar `python` to accept, and what it must refuse; `ast.parse` says so, too.

Longer than other files, since it is all data. NEW is taken from Python 3.12 on.
"""

MODULES = [
    '''from typing import List


def has_close_elements(numbers: List[float], threshold: float) -> bool:
    """ Check if in given list of numbers, are any two numbers closer to each other than
    given threshold.
    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)
    False
    """
    for idx, elem in enumerate(numbers):
        for idx2, elem2 in enumerate(numbers):
            if idx != idx2:
                distance = abs(elem - elem2)
                if distance < threshold:
                    return True

    return False
''',
    """import os, sys as system
from . import (first,
               second as other,  # a comment in brackets
)
from ...pkg.mod import *

X: int = 1_000; Y = 0x_ff
PATHS = [p for p in os.environ.get("PATH", "").split(os.pathsep)
         if p
         and os.path.isdir(p)]


@decorated(
    with_arguments=True
)
@again
class Shape(Base, metaclass=Meta):
    __slots__ = ()

    # a comment at its own level
        # and one further in
    @property
    def area(self, /, *, unit="m", **more) -> "float": return self._area

    async def fetch(self):
        async with self.lock as lock, other() as (a, *b):
            async for row in self.rows(): yield row
            else:
                await lock.release()


if __name__ == "__main__":
    main()
""",
    """def parse(tokens):
    while (token := next(tokens, None)) is not None:
        match token:
            case {"kind": "op", "value": ("+" | "-") as sign, **rest} if rest:
                yield sign
            case Point(x=0, y=_) | [Point(), *_] | -1 | None:
                pass
            case str() as text: break
            case first, *others:
                raise ValueError(f"{first!r}: {len(others):>3} {', '.join(others)}") from None
            case _:
                continue
    try:
        value = lambda *a, k=1, **kw: (yield)
    except (A, B) as error:
        del error.args, value[0]
    except C: raise
    else:
        global count
        count += 1
    finally:
        assert not count, "no" "more" \\
            "of these"
""",
    """def group():
  try:
    x = y = *z, 1
  except* ValueError as e:
    print(e, file=sys.stderr)
  return x[1:, ::2, ...], {**a, "b": 2}, {*c, d}, (i for i in range(3) if i if not i)
""",
    "def f():\n\tif x:\n\t\treturn 1\n\telse:\n\t\treturn 2\n",
    "def f(x):\n    return '''\n  lines of any\nindentation\n''' + rb'\\d' # the end",
    "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\n'''A module.'''\n\n\n",
    "class A:\r\n    x = 1\r\n\r\n    y = 2\r\n",
    "if a:\n        b\nelif c:\n    d\nelse: e\n",
    "x = (\n# at the margin\n        a +\n  b\n    [0]\n)\n\f\ny = 2\n",
    "  # an indented comment first\nmatch = case[type] = _\nprint(match, case)\n",
]
"""Whole texts, in which most constructs occur."""

STATEMENTS = [
    *("", "\n", "   ", "  \n", "# c", "pass", "x = 1;", "x = 1; y = 2", "...", "x \\\n  = 1", "x=1\n    "),
    *("x: int", "x.y: int = 1", "(x): int", "x: int = yield", "x += yield y", "a = b = c", "*a, b = c", "[a, *b] = c"),
    *("(a, b), c = d", "() = x", "[] = x", "a.b[c].d = e", "f().x = 1", "(x) += 1", "x[1] **= 2", "x @= y", "*a"),
    *("return", "return *a, b", "yield", "yield from a", "raise", "raise a from b", "del a, (b, [c]), d.e", "del (a)"),
    *("global a, b", "nonlocal x", "assert a, b", "import a.b as c, d", "from . import a", "from .... import a"),
    *("from a import (b, c as d,)", "await x", "if x: pass", "while x := f(): y; z", "for x, in *a, b: pass"),
    *("with (a as b, c as d,): pass", "with (a, b): pass", "with (yield): pass", "with a, b as c.d: pass"),
    *("class A: pass", "class A(): x = 1; y = 2", "class A(B, *c, d=e, **f): ...", "@a.b(c)\ndef f(): pass"),
    *("@x := y\nclass A: pass", "async def f(): await x ** 2", "try: a\nfinally: b", "try: a\nexcept: b\nelse: c"),
    *("match x:\n  case 1: pass", "match a, *b:\n  case *_, c: pass", "match (x):\n  case (a): pass"),
    *("match x:\n  case a.b | 'c' 'd' | -1.5: pass", "match x:\n  case A(b, c=d,): pass", "match x:\n  case {}: pass"),
    *("match x:\n  case {a.b: c, 'd': e, **f}: pass", "match x:\n  case (): pass\n  case []: pass", "match[x]: int"),
    *("def f(a, b=1, /, c=2, *d, e, f=3, **g): pass", "def f(*, a): pass", "def f(a, /): pass", "def f(*a: *b): pass"),
    *("def f(a: int = 1, *, b: str, **c: d) -> e: pass", "def f(a,\n      b): pass", "lambda: 0", "lambda *a, b=1: 0"),
    *("lambda a, /, b, *, c: 0", "lambda: (yield)", "lambda x: lambda y: x", "a if b else c if d else e"),
    *(
        "not a in b",
        "a not in b is not c",
        "not not a",
        "-+~a ** -b",
        "a < b <= c != d",
        "a or b and not c",
        "a @ b // c",
    ),
    *("f(a, *b, c=d, *e, **f, g=h)", "f(x := 1, y)", "f(a for a in b)", "f(a)(b)[c].d", "f(*a or b)", "f(a, )"),
    *("[a for b in c for d in e if f if g]", "{a: b for c, *d in e}", "{a for b in c}", "(a async for b in c)"),
    *(
        "[x := 1, *y]",
        "{*a, b}",
        "{a: b, **c}",
        "(*a, b)",
        "(a,)",
        "()",
        "[]",
        "{}",
        "x[a:b, ::c, *d]",
        "x[a := 1]",
        "x[:]",
    ),
    *("x[lambda: 1:2]", "print >> f, x", "1_0.0e-5j + 0b1_1 + 0o17 + 0XfF + .5 + 5.", "x = 'a' \"b\" u'c' r'\\d'"),
    *("'\\x41\\u00e9\\U0001f600\\n\\'\\\n'", "b'\\xff' B\"a\" rb'\\x' Br''", '"""a"b""c\\""""', "''''a'''", "'é # \"'"),
    *("f'{a}'", "f'{{}}'", "f'{a.b[0][\"c\"](d)!r:>10}'", "rf'{a}\\d'"),
    *("f'{a:.2f}' 'b' f\"\"\"{c}\n{d['e']}\"\"\"", "f'{x[1:-1]}'"),
    *("f'{(a + b) * c}'", "f'{a == b}{a != b}'", "f'{len(a) - 1}'", "f'{a and b}'"),
    *("async def f():\n    return [x async for x in y]", "if a:\n  # c\n    b"),
]
"""Short ones, one construct each."""

NEW = [
    *(
        "type X = int",
        "type X[T: int, *Ts, **P] = dict[T]",
        "def f[T](x: T) -> T: pass",
        "class A[T, U: (int, str)](B): pass",
    ),
]

LEFT_OUT = [
    *("caf\u00e9 = 1", "'\\N{BULLET}'", "match x:\n  case 1 + 2j: pass", "1if x else y", "if a:\n    if b:\n       c"),
    *(
        'f"{x + 1 = }"',
        "F\"{', '.join(map(str, a))}\"",
        "f'{-x ** 2 if y else z}'",
        "f'{f(a, b=1)}'",
        "f'{a:{b}}'",
        "f'{not a}'",
        "f'{sum(x for x in y)}'",
        "f'{None}'",
    ),
]
"""Python that the grammar does not take."""

WRONG = [
    *(
        "x :=1",
        "  x",
        "x\n  y",
        "if x:\npass",
        "if x:\n  a\n b",
        "if x:\n    a\n  else:\n    b",
        "else: x",
        "x = 1 \\\n",
    ),
    *(
        "x = ",
        "= 1",
        "x y",
        "x ! y",
        "x = (",
        "x)",
        "(]",
        "x = y += 1",
        "x = y: int",
        "x, y: int",
        "f() = 1",
        "a + b = 1",
    ),
    *("(a, b) += 1", "x: int = y = 1", "1 = x", "None = x", "a if b else c = d", "lambda: x = 1", "'a' = 1", "*a += 1"),
    *("(*a) = x", "del f()", "del a + b", "del *a", "for f() in x: pass", "for x in y := z: pass", "with a as 1: pass"),
    *(
        "import a.b.",
        "import .a",
        "from a import",
        "from a import (*)",
        "from a import b,",
        "from a import ()",
        "global a.b",
    ),
    *("def f(a=1, b): pass", "def f(*): pass", "def f(*, **k): pass", "def f(**k, a): pass", "def f(*a, *b): pass"),
    *(
        "def f(/): pass",
        "def f(a, /, b, /): pass",
        "def f(a.b): pass",
        "def f(1): pass",
        "def f: pass",
        "def f()",
        "def f():",
    ),
    *(
        "lambda a=1, b: 0",
        "lambda *: 0",
        "lambda a: int: 0",
        "class A(x for x in y): pass",
        "class A[: pass",
        "@a\nx = 1",
    ),
    *(
        "f(a=1, b)",
        "f(**a, *b)",
        "f(**a, b)",
        "f(a.b=1)",
        "f(a for a in b, c)",
        "f(a for a in b,)",
        "f(a=b := 1)",
        "f(,)",
    ),
    *(
        "x[]",
        "x[a := 1:2]",
        "x[*a:b]",
        "[yield]",
        "[a, b for c in d]",
        "[*a for b in c]",
        "{**a for b in c}",
        "{a: b, c}",
    ),
    *(
        "{a, b: c}",
        "{*a or b}",
        "(*a)",
        "a not b",
        "a is is b",
        "not",
        "a < not b",
        "- not a",
        "await -x",
        "a ** not b",
    ),
    *("*a or b", "yield = 1", "x = yield = 1", "return x := 1", "assert x := 1", "print x", "exec 'x'", "raise a, b"),
    *("try: a", "try: a\nelse: b", "try: a\nexcept A: b\nexcept* C: d", "try: a\nexcept*: b", "try: a\nexcept A, B: c"),
    *(
        "try: a\nfinally: b\nexcept: c",
        "if a: if b: c",
        "if a: b else: c",
        "for x in y: class A: pass",
        "a; if b: c",
        ";",
        "a;;b",
    ),
    *("match x:\n  pass", "match *a:\n  case b: pass", "match x:\n  case *a: pass", "match x:\n  case (*a): pass"),
    *(
        "match x:\n  case _ as _: pass",
        "match x:\n  case {**_}: pass",
        "match x:\n  case A(b=c, d): pass",
        "case x: pass",
    ),
    *(
        "match x:\n  case _.a: pass",
        "match x:\n  case A(b, _=c): pass",
        "match x:\n  case a + b: pass",
        "match x:\n  case f(x)(y): pass",
        "match x: case y: pass",
    ),
    *(
        "async x",
        "async with a as b, c",
        "async lambda: x",
        "a.1",
        "a..b",
        "a.None",
        "1.a",
        "1a",
        "0123",
        "1__0",
        "0b2",
        "1_",
        "0x",
    ),
    *(
        "'a",
        "'a\nb'",
        "'''a",
        '""""',
        "'\\x4'",
        "'\\u12'",
        "'\\U00110000'",
        "b'é'",
        "b'\\xg'",
        "'a' b'b'",
        "ur'a'",
        "fb'a'",
    ),
    *(
        "f'{a'",
        "f'}'",
        "f'{}'",
        "f'{a b}'",
        "f'{if}'",
        "f'{a!x}'",
        "f'{a.in}'",
        "f'{ain b}'",
        "f'{a, b=}'.x y",
        "f'{lambda x: 1}'",
    ),
    *(
        "f'{1.a}'",
        "f'{(}'",
        "f'{a[}'",
        "f'{f(,)}'",
        "f'{a +}'",
        "f'{a!}'",
        "f'{notin b}'",
        "f'a' b'c'",
        "$",
        "a ? b",
        "\x00",
    ),
    *(
        "x = [\n",
        "if (a:\n  b",
        "def f():\n    '''doc''' x",
        "  '''doc'''\nx",
        "\\\nx y",
        "a \\ b",
        "x\n\\\n  y = 1",
        "if x:\n\ty\n        z",
    ),
]
