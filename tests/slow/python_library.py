"""The grammar `python` on all functions and modules of the standard library: how many it accepts, and why not others.

Run by hand: `python -m tests.slow.python_library [--every N] [--folder FOLDER]`. Modules of its tests are left out, and
what `ast.parse` does not take. Functions are those of modules, dedented. It fails under 98 % of the functions, or 95 %
of the modules.
"""

import argparse
import ast
import sys
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dllm import Grammar

GRAMMAR = Grammar.builtin("python")
SHARES = {"functions": 0.98, "modules": 0.95}


def parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def functions(text: str, module: ast.Module) -> Iterator[str]:
    """The source of each, decorators included, if it parses once it is dedented."""
    lines = text.split("\n")
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found = textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno])) + "\n"
            if parsed(found) is not None:
                yield found


def modules(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        if not {"test", "tests", "site-packages"} & set(path.relative_to(folder).parts):
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            module = parsed(text)
            if module is not None:
                yield text, module


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(ast.__file__).parent)
    parser.add_argument("--every", type=int, default=1, help="take one of so many modules")
    given = parser.parse_args()
    read, accepted, reasons = Counter[str](), Counter[str](), Counter[str]()
    for number, (text, module) in enumerate(modules(given.folder)):
        if number % given.every:
            continue
        for kind, one in [("modules", text), *(("functions", found) for found in functions(text, module))]:
            read[kind] += 1
            failure = GRAMMAR.failure(one.encode())
            if failure is None:
                accepted[kind] += 1
            else:
                reasons[f"{kind}: {one.encode()[failure.start :].splitlines()[:1]}"[:100]] += 1
    for reason, count in reasons.most_common(40):
        print(f"{count:6} {reason}")
    for kind, count in read.items():
        print(f"{kind}: {accepted[kind]} of {count}, {100 * accepted[kind] / count:.2f} %")
    return int(any(accepted[kind] < share * read[kind] for kind, share in SHARES.items()))


if __name__ == "__main__":
    sys.exit(main())
