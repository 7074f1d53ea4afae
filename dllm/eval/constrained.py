"""Tasks of the embedded model with and without a grammar: what it costs, and what it is good for.

Every item is decoded twice, alone and with the same noise: free, and held to a grammar that its question implies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any

from dllm.errors import ConfigError, GrammarError, nearest
from dllm.eval.items import Item
from dllm.eval.metrics import wilson
from dllm.eval.tables import markdown
from dllm.eval.tiny.items import tiny_task
from dllm.grammars.grammar import Grammar
from dllm.llm import LLM
from dllm.outputs import RequestOutput
from dllm.params import SamplingParams

HEADINGS = (
    *("task", "grammar", "valid %", "exact %", "tokens/fwd", "grammar ms/token", "witness %", "refused"),
    "preparation ms",
)
Valid = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """An item, what its answer is held to, and who says whether an answer is well formed."""

    item: Item
    grammar: Grammar
    valid: Valid


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer; `output` is None where the grammar refused to begin."""

    output: RequestOutput | None
    valid: bool
    exact: float
    preparation: float = 0.0

    @property
    def text(self) -> str:
        return "" if self.output is None else self.output.text


@dataclass(frozen=True, slots=True)
class PairedResult:
    """An item decoded free and held to its grammar."""

    task: str
    case: Case
    free: Judged
    held: Judged


def cases(task: str, count: int, seed: int) -> tuple[list[Case], int]:
    """The first `count` items of a task that a grammar is known for, and the masks behind their prompts.

    Raises:
        ConfigError: no grammar is known for the task.
    """
    if task not in GRAMMARS:
        raise ConfigError(f"task={task!r} has no grammar here{nearest(task, GRAMMARS)}: {', '.join(GRAMMARS)}")
    _builtin.cache_clear()  # each task prepares its own
    made = tiny_task(task, 4 * count, seed)  # of fill_code, some are Python
    found = [case for item in made.items if (case := GRAMMARS[task](item)) is not None]
    if len(found) < count:
        raise ConfigError(f"task={task!r}: of {4 * count} items only {len(found)} are for a grammar; ask for fewer")
    return found[:count], made.max_new_tokens


def measure_task(llm: LLM, task: str, count: int, params: SamplingParams) -> Iterator[PairedResult]:
    """Decode the items of a task both ways, one by one; `params.seed` chooses the items and the noise.

    The first item is decoded once more in front, unmeasured: first use compiles.
    """
    if params.seed is None:
        raise ConfigError("seed=None: give one, since both ways must see the same noise")
    found, room = cases(task, count, params.seed)
    first = found[0]
    unmeasured = replace(
        first, grammar=Grammar(first.grammar.rules)
    )  # a copy, so that the first is prepared in its turn
    for index, case in enumerate((unmeasured, *found)):
        own = replace(params, max_new_tokens=room, seed=params.seed + max(0, index - 1))
        pair = PairedResult(task, case, _decoded(llm, case, own), _held(llm, case, own))
        if index:
            yield pair


def _held(llm: LLM, case: Case, params: SamplingParams) -> Judged:
    vocabulary = llm.vocabulary
    began = time.perf_counter()
    case.grammar.compile(vocabulary)
    seconds = time.perf_counter() - began
    try:
        return _decoded(llm, case, replace(params, grammar=case.grammar), seconds)
    except GrammarError:
        return Judged(None, False, 0.0, seconds)


def _decoded(llm: LLM, case: Case, params: SamplingParams, preparation: float = 0.0) -> Judged:
    ask: Any = {"prompt": llm.generate, "chat": llm.chat, "document": llm.infill}[case.item.kind]
    output: RequestOutput = ask(case.item.question, params, progress=False)
    return Judged(output, case.valid(output.text), case.item.judge(output.text) or 0.0, preparation)


def paired_table(pairs: list[PairedResult], title: str) -> str:
    """A Markdown table: for each task, the free answers above the held ones."""
    rows = []
    for task in dict.fromkeys(pair.task for pair in pairs):
        own = [pair for pair in pairs if pair.task == task]
        names = list(dict.fromkeys(pair.case.grammar.name for pair in own))
        rows.append([task, "none", *_cells([pair.free for pair in own]), *[""] * 4])
        held = [pair.held for pair in own]
        rows.append([task, ", ".join(names), *_cells(held), *_costs(held), f"{1000 * _preparation(own):.0f}"])
    return markdown(title, HEADINGS, rows)


def _cells(results: list[Judged]) -> list[str]:
    exact = sum(one.exact for one in results) / len(results)
    low, high = wilson(exact, len(results))
    outputs = [one.output for one in results if one.output is not None]
    tokens, forwards = _total(outputs, "tokens"), _total(outputs, "forwards")
    return [
        f"{100 * sum(one.valid for one in results) / len(results):.1f}",
        f"{100 * exact:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
        f"{tokens / max(1, forwards):.2f}",
    ]


def _costs(results: list[Judged]) -> list[str]:
    outputs = [one.output for one in results if one.output is not None]
    tokens = max(1, _total(outputs, "tokens"))
    return [
        f"{1000 * _total(outputs, 'grammar_seconds') / tokens:.2f}",
        f"{100 * _total(outputs, 'witness_tokens') / tokens:.2f}",
        str(len(results) - len(outputs)),
    ]


def _total(outputs: list[RequestOutput], stat: str) -> float:
    return sum(float(getattr(one.stats, stat)) for one in outputs)


def _preparation(pairs: list[PairedResult]) -> float:
    """Mean seconds over the grammars, each of which is prepared once."""
    found: dict[Grammar, float] = {}
    for pair in pairs:
        found.setdefault(pair.case.grammar, pair.held.preparation)
    return sum(found.values()) / len(found)


def _record(item: Item) -> Case:
    """The keys that are asked for, in their order, strings and numbers where they belong."""
    answer = json.loads(item.answer)
    kinds = {key: {"type": "string" if isinstance(value, str) else "number"} for key, value in answer.items()}
    schema = {"type": "object", "properties": kinds, "required": list(kinds), "additionalProperties": False}
    return Case(item, Grammar.from_json_schema(schema, property_order="schema"), _json_judge(schema))


_builtin = cache(Grammar.builtin)


def _json(item: Item) -> Case:
    return Case(item, _builtin("json"), _json_judge(True))


def _cpp(item: Item) -> Case | None:
    if item.answer.startswith("def "):
        return None
    grammar = _builtin("cpp")
    return Case(item, grammar, _cpp_judge(grammar))


GRAMMARS: dict[str, Callable[[Item], Case | None]] = {
    "json": _record,
    "fill_record": _json,
    "cpp": _cpp,
    "fill_code": _cpp,
}
"""Task -> what its items are held to; None for an item that no grammar here is for."""


def judges() -> str:
    """Who says whether an answer is valid, for the line under a table."""
    schema = "json.loads and jsonschema" if _installed("jsonschema") else "json.loads alone (jsonschema is missing)"
    cpp = "tree-sitter-cpp" if _installed("tree_sitter_cpp") else "the grammar itself (tree-sitter-cpp is missing)"
    return f"Valid: JSON by {schema}, C++ by {cpp}. Exact: by the task's own judge."


def _installed(module: str) -> Any:
    """The module, or None."""
    try:
        return import_module(module)
    except ImportError:
        return None


def _json_judge(schema: Any) -> Valid:
    jsonschema = _installed("jsonschema")

    def valid(text: str) -> bool:
        try:
            value = json.loads(text)
        except ValueError:
            return False
        return jsonschema is None or jsonschema.Draft202012Validator(schema).is_valid(value)

    return valid


def _cpp_judge(grammar: Grammar) -> Valid:
    cpp, tree_sitter = _installed("tree_sitter_cpp"), _installed("tree_sitter")
    if cpp is None or tree_sitter is None:
        return grammar.accepts
    parser = tree_sitter.Parser(tree_sitter.Language(cpp.language()))
    return lambda text: not parser.parse(text.encode()).root_node.has_error
