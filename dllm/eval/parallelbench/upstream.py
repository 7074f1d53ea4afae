"""The benchmark's own data, version v2 (the leaderboard's), from a folder of the user's or from the Hub.

They have no licence, so dllm does not ship them. A row is a JSON object with `messages` (the conversation, with its
example), and `label`: the answer, or what the scorer needs. Files of the benchmark's own results, whose lines hold such
a row as `doc`, are read as well.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError
from dllm.eval.items import Item, Task
from dllm.eval.parallelbench import scorers
from dllm.eval.parallelbench.answers import lenient_list, strict_list
from dllm.eval.parallelbench.measures import bertscore, bleu, grammatical, missing, rouge
from dllm.eval.parallelbench.synthetic import list_item
from dllm.eval.parallelbench.tasks import TASKS

HUB = "furiosa-ai/ParallelBench"
FILES = {
    **{name: (f"waiting_line_{name}",) for name, spec in TASKS.items() if spec.group == "waiting_line"},
    "latin_square": ("latin_square_n4", "latin_square"),
    "sudoku": ("sudoku_n4", "sudoku"),
    **{f"words_{how}": (f"words_to_sentence_{how}",) for how in ("easy", "medium", "hard")},
    "paraphrase": ("paraphrasing", "chatgpt_paraphrases"),
    "summary": ("summarization", "samsum"),
}
"""How the file of a task may end, folders and dashes as underscores."""
_FETCH = f"get the data set {HUB} from the Hub and give its folder as data, or data='hf'"
_NAMED = ("insert_random", "replace_random")
_PART = re.compile(r"_[0-9]{5}_of_[0-9]{5}$")
UpstreamRow = Mapping[str, Any]


class MissingError(ConfigError):
    """There are data, but none of this task."""


def upstream(suite: str, data: str | None, name: str, count: int) -> Task:
    """The first `count` rows of a task.

    Raises:
        MissingError: no file of the task among the data.
        ConfigError: no data, or rows of another form (those of v1, for one).
    """
    if suite == "v1":
        raise ConfigError("suite='v1': its data are not read yet; use suite='v2' or suite='synthetic'")
    if data is None:
        raise ConfigError(f"suite={suite!r} needs the benchmark's own data, which dllm does not ship: {_FETCH}")
    path = _file(_folder(data), name)
    rows = [_row(path, number, value) for number, value in enumerate(_values(path), 1)]
    if not rows:
        raise ConfigError(f"{path} holds no row; fetch it again")
    digest = hashlib.sha256(json.dumps([dict(row) for row in rows], sort_keys=True).encode()).hexdigest()[:16]
    if all(isinstance(row.get("index"), int) for row in rows):  # results of several processes are interleaved
        rows.sort(key=lambda row: int(row["index"]))
    items = tuple(_item(path, number, name, row) for number, row in enumerate(rows[:count], 1))
    return Task(name=name, items=items, max_new_tokens=TASKS[name].canvas, source=f"parallelbench/{suite}/{digest}")


def _folder(data: str) -> Path:
    if data != "hf":
        folder = Path(data)
        if not data or not folder.is_dir():
            raise ConfigError(f"data={data!r} is no folder; {_FETCH}")
        return folder
    return _fetched()


@cache
def _fetched() -> Path:
    """The Hub is asked once, not for every task."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(HUB, repo_type="dataset", allow_patterns=["*.jsonl", "*.parquet"]))
    except Exception as error:  # whatever the network says
        raise ConfigError(f"data='hf': {HUB} could not be fetched ({str(error)[:200]}); {_FETCH}") from error


def _file(folder: Path, name: str) -> Path:
    def plain(path: Path) -> str:
        parts = path.relative_to(folder).with_suffix("").parts
        return _PART.sub("", "_".join(parts).replace("-", "_")).removesuffix("_test")

    paths = sorted([*folder.rglob("*.jsonl"), *folder.rglob("*.parquet")])
    for ending in FILES[name]:
        found = [path for path in paths if plain(path).endswith(ending)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"data={str(folder)!r}: both {found[0]} and {found[1]} look like task {name}; give one")
    raise MissingError(f"data={str(folder)!r} holds no *{FILES[name][0]}.jsonl for task {name}; {_FETCH}")


def _values(path: Path) -> list[Any]:
    """What each line of a file holds, or each row of a table."""
    if path.suffix == ".parquet":
        try:
            from pyarrow.parquet import read_table
        except ImportError:
            raise ConfigError(f"{path} needs pyarrow; `pip install dllm-engine[eval]` brings it") from None
        rows: list[Any] = read_table(path).to_pylist()
        return rows
    found = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text ({error}); fetch it again") from None
    for number, line in enumerate(text.split("\n"), 1):
        try:
            found += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} line {number} is no JSON ({error}); it may be cut: fetch it again") from None
    return found


def _row(path: Path, number: int, value: Any) -> UpstreamRow:
    row = value.get("doc", value) if isinstance(value, dict) else None
    asked = row.get("messages") if isinstance(row, dict) else None
    talk = (
        isinstance(asked, list) and asked and all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in asked)
    )
    if not isinstance(row, dict) or not talk or "label" not in row:
        raise ConfigError(f"{path} line {number} has no messages and label; these are no data of suite v2")
    return row


def _item(path: Path, number: int, name: str, row: UpstreamRow) -> Item:
    asked, label = row["messages"], row["label"]
    make = _MAKERS.get(TASKS[name].group if name not in _MAKERS else name)
    assert make is not None
    try:
        return make(name, asked, label)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} line {number}: label={str(label)[:60]!r} is none of {name} ({error})") from None


def until(text: str, stop: str) -> str:
    """What stands before the first `stop`."""
    return text.partition(stop)[0]


def _listed(name: str, asked: Any, label: Any) -> Item:
    if name in scorers.SEVERAL_RIGHT:
        given, new = _strings(label["input"]), str(label["word"]) if name in _NAMED else ""
        item = list_item(name, "chat", asked, given, new, lenient_list(str(label["example"])))
    else:
        right = strict_list(label) if isinstance(label, str) else None
        if right is None:
            raise ValueError("not a list of names")
        item = list_item(name, "chat", asked, right, "", right)
    return _cut(item, "\n\n")


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("not a list of names")
    return value


def _cut(item: Item, stop: str) -> Item:
    """The same item, judged up to where the benchmark stops reading."""
    judge, details = item.judge, item.details
    return Item(
        kind=item.kind,
        question=item.question,
        answer=item.answer,
        judge=lambda text: judge(until(text, stop)),
        details=lambda text: details(until(text, stop)),
    )


def _latin(name: str, asked: Any, label: Any) -> Item:
    symbols = _strings(label["symbols"])
    item = Item(
        kind="chat",
        question=asked,
        answer=label.get("example"),
        judge=lambda text: float(scorers.latin_square(symbols, text)),
    )
    return _cut(item, "\n\n\n")


def _sudoku(name: str, asked: Any, label: Any) -> Item:
    solution = str(label).split()
    if len(solution) < 2 or any(len(row) != len(solution) or not row.isdigit() for row in solution):
        raise ValueError("not a square of digits")
    item = Item(kind="chat", question=asked, answer=label, judge=lambda text: float(scorers.sudoku(solution, text)))
    return _cut(item, "\n\n\n")


def _text(asked: Any, answer: Any, submetrics: Callable[[str], dict[str, float | None]]) -> Item:
    """Scored by its grammar alone, as on the leaderboard; the rest is recorded."""
    item = Item(
        kind="chat",
        question=asked,
        answer=answer,
        judge=grammatical,
        details=lambda text: {
            "submetrics": {**submetrics(text), "grammar": grammatical(text)},
            "reason": missing("grammar"),
        },
    )
    return _cut(item, "\n\n")


def _words(name: str, asked: Any, label: Any) -> Item:
    words = _strings(label["words"])
    return _text(asked, words, lambda text: {"inclusion": float(scorers.holds_words(words, text))})


def _paraphrase(name: str, asked: Any, label: Any) -> Item:
    source = str(label["text"])

    def measured(text: str) -> dict[str, float | None]:
        same = bleu(text, source)
        return {"inverse_bleu": None if same is None else 1 - same, "bertscore": bertscore(text, source)}

    return _text(asked, source, measured)


def _summary(name: str, asked: Any, label: Any) -> Item:
    reference = str(label["summary"])
    return _text(asked, reference, lambda text: rouge(text, reference))


_MAKERS: dict[str, Callable[[str, Any, Any], Item]] = {
    "waiting_line": _listed,
    "latin_square": _latin,
    "sudoku": _sudoku,
    "words_to_sentence": _words,
    "paraphrase": _paraphrase,
    "summary": _summary,
}
