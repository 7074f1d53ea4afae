"""Short Python and C++ functions from a written request, composed from parts.

A function is an operation (expressions, conditions, loops, strings, recursion: ``parts.py``) with free names. Given
the request and the function's name, the text is determined up to the names of parameters and locals.
"""

from __future__ import annotations

import ast
import random
import re
from dataclasses import dataclass

from dllm.eval.tiny import loops, parts
from dllm.eval.tiny.example import Example, listing, pick

_KEEP = frozenset(
    listing("""
    int double bool char void const auto return if else for while true false std vector string size max min abs swap
    empty front back push_back begin end to_string reverse sort def and or not in is None True False range len sum
    upper lower strip startswith endswith count append sorted reversed str pass elif
    """)
)
_TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|\d+|\s+|[^\w\s]')
_BASE = listing("""
    add compute solve total calc check get find apply run test value result foo bar helper process scale mix combine
    evaluate measure pick choose work update step score make build
    """)
FORMS = {
    "python": (
        "Write a Python function {name} that {what}.",
        "Write Python code for a function {name} that {what}.",
        "Python: a function {name} that {what}.",
    ),
    "cpp": (
        "Write a C++ function {name} that {what}.",
        "Write C++ code for a function {name} that {what}.",
        "C++: a function {name} that {what}.",
    ),
}


@dataclass(frozen=True, slots=True)
class Function:
    """A named function: what the request says of it and its source lines."""

    name: str
    what: str
    head: str
    body: tuple[str, ...]
    language: str

    def source(self, one_line: bool = False, brace: str = " {") -> str:
        """The text; ``one_line`` is for C++ only, ``brace`` is how its opening brace is attached."""
        if self.language == "python":
            return "\n".join([self.head + ":", *("    " + line for line in self.body)])
        if one_line:
            return f"{self.head}{brace} {' '.join(line.strip() for line in self.body)} }}"
        return "\n".join([self.head + " {", *("    " + line for line in self.body), "}"])


def function(rng: random.Random, language: str) -> Function:
    """A random operation under a random name."""
    op = parts.operation(rng, language)
    if rng.random() < 0.3 and op.title:
        name = op.title
    elif rng.random() < 0.6:
        name = rng.choice(_BASE)
    else:
        name = "_".join(rng.sample(_BASE, 2))
    body = tuple(line.replace("@", name) for line in op.body)
    if language == "python":
        head = f"def {name}({', '.join(param for _, param in op.params)})"
    else:
        head = f"{op.returns} {name}({', '.join(f'{kind} {param}' for kind, param in op.params)})"
    return Function(name, op.what, head, body, language)


def make(language: str, rng: random.Random) -> Example:
    """A request for one function in ``language`` ("python" or "cpp", also the task's name)."""
    made = function(rng, language)
    prompt = pick(rng, FORMS[language]).format(name=made.name, what=made.what)
    return Example(language, prompt, made.source(), prompt, facts=(made.name,))


def canonical(text: str, fixed: tuple[str, ...] = ()) -> str:
    """``text`` with identifiers numbered in order of appearance: equal for two functions that differ in names only.

    Scopes are per function (a blank line starts a new one); ``fixed`` names and library words keep theirs.
    """
    blocks = []
    for block in text.split("\n\n"):
        names: dict[str, str] = {}
        out = []
        for token in _TOKEN.findall(block):
            if (token[0].isalpha() or token[0] == "_") and token not in _KEEP and token not in fixed:
                token = names.setdefault(token, f"v{len(names)}")
            out.append(token)
        blocks.append("".join(out))
    return "\n\n".join(blocks)


def is_right(example: Example, text: str) -> bool:
    """Equal to the reference up to the names of parameters and locals; Python must parse as well."""
    if example.task.startswith("python"):
        try:
            ast.parse(text)
        except (SyntaxError, ValueError):
            return False
    return canonical(text, example.facts) == canonical(example.answer, example.facts)


def document(rng: random.Random) -> str:
    """One function on its own; C++ half of the time on one line."""
    language = "python" if rng.random() < 0.4 else "cpp"
    if rng.random() < 0.2:
        return loops.statements(rng, language)
    one_line = rng.random() < 0.6
    return function(rng, language).source(one_line, "{" if rng.random() < 0.2 else " {")


def is_well_formed(text: str) -> bool:
    """Python: parses. C++: brackets balance, statements end, and every identifier is declared before use."""
    if text.startswith("def "):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return False
        return _known_names(tree)
    return _well_formed_cpp(text)


def _known_names(tree: ast.Module) -> bool:
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return all(node.id in bound or node.id in _KEEP for node in names)


_DECLARED = re.compile(r"(?:int|double|bool|char|auto|std::string|std::vector<int>)\s*&?\s+&?([A-Za-z_]\w*)")


def _well_formed_cpp(text: str) -> bool:
    stack: list[str] = []
    for char in re.sub(r'"[^"\n]*"|\'[^\'\n]*\'', "0", text):
        if char in "([{":
            stack.append(char)
        elif char in ")]}" and (not stack or "([{".index(stack.pop()) != ")]}".index(char)):
            return False
    body = text[text.find("{") + 1 : text.rfind("}")].strip()
    if stack or not text.rstrip().endswith("}") or not body.endswith((";", "}")):
        return False
    known = set(_DECLARED.findall(text))
    used = {t for t in _TOKEN.findall(re.sub(r"'[^'\n]*'", "0", text)) if t[0].isalpha() or t[0] == "_"}
    return all(name in known or name in _KEEP for name in used)
