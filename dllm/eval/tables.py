"""Reports of a comparison in Markdown, for a file and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from dllm.eval.summary import ALL, Area, Gain, SummaryRow

HEADINGS = ("scheduler", "accuracy %", "forwards", "tokens/fwd", "slots/fwd", "tokens/s", "p50 s", "p95 s")


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One table under its heading."""

    def line(cells: Sequence[str]) -> str:  # names may hold what would end a cell
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    head = [f"### {title}", "", line(columns), "|" + "---|" * len(columns)]
    return "\n".join([*head, *map(line, rows), ""])


def cells(row: SummaryRow, baselines: Sequence[str]) -> list[str]:
    """A row in the columns of `HEADINGS` and one for each baseline."""
    low, high = row.interval
    return [
        f"`{row.label}`",
        f"{100 * row.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
        f"{row.forwards:.1f}",
        f"{row.tokens_per_forward:.2f}",
        f"{row.slots_per_forward:.2f}",
        f"{row.tokens_per_second:.0f}",
        f"{row.p50:.3f}",
        f"{row.p95:.3f}",
        *(_gain(row.gains[name]) if name in row.gains else "" for name in baselines),
    ]


def _gain(gain: Gain) -> str:
    low, high = gain.fewer_forwards_interval
    worse, better = (100 * bound for bound in gain.accuracy_interval)
    accuracy = f"{100 * gain.accuracy:+.1f} [{worse:+.1f}, {better:+.1f}]"
    return f"{gain.fewer_forwards:.2f} [{low:.2f}, {high:.2f}] / {gain.faster:.2f} / {accuracy}"


def headings(baselines: Sequence[str]) -> list[str]:
    return [*HEADINGS, *(f"x fewer forwards / x faster / accuracy against `{name}`" for name in baselines)]


def overview(rows: Sequence[SummaryRow], model: str) -> tuple[list[str], list[list[str]]]:
    """Tasks down, variants across: accuracy in percent @ tokens a forward."""
    own = [row for row in rows if row.model == model]
    labels = list(dict.fromkeys(row.label for row in own))
    tasks = list(dict.fromkeys(row.task for row in own))
    found = {(row.task, row.label): row for row in own}
    table = [[task, *(_point(found.get((task, label))) for label in labels)] for task in tasks]
    return ["task", *(f"`{label}`" for label in labels)], table


def _point(row: SummaryRow | None) -> str:
    return "" if row is None else f"{100 * row.accuracy:.1f} @ {row.tokens_per_forward:.2f}"


def report_text(rows: Sequence[SummaryRow], found: Sequence[Area], about: str) -> str:
    """The whole report: overview, one table a task (all tasks first), AUP."""
    baselines = list(dict.fromkeys(name for row in rows for name in row.gains))
    parts = [about, ""]
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        tasks = list(dict.fromkeys(row.task for row in own))
        tasks = [task for task in tasks if task == ALL] + [task for task in tasks if task != ALL]
        if len(tasks) > 1:
            parts.append(markdown(f"{model}: accuracy % @ tokens per forward", *overview(rows, model)))
        for task in tasks:
            table = [row for row in own if row.task == task]
            title = f"{model}: {task} (n = {min(row.count for row in table)})"
            parts.append(markdown(title, headings(baselines), [cells(row, baselines) for row in table]))
        parts.append(_area_table(model, [area for area in found if area.model == model]))
    return "\n".join(parts)


def _area_table(model: str, found: Sequence[Area]) -> str:
    methods = list(dict.fromkeys(area.method for area in found))
    tasks = list(dict.fromkeys(area.task for area in found))
    values = {(area.task, area.method): area for area in found}
    table = []
    for task in tasks:
        best = max(area.best for area in found if area.task == task)
        points = [values[task, method] for method in methods]
        table.append([task, f"{best:.1f}", *("-" if area.aup is None else f"{area.aup:.0f}" for area in points)])
    title = f"{model}: AUP (alpha 3, cut 5 points below the first, y_max as listed; anchored at topk(1))"
    return markdown(title, ["task", "y_max", *(f"`{method}`" for method in methods)], table)
