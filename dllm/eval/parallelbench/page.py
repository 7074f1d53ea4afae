"""A finished run as files: summary.json, report.md, plots, and page.html with all of it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dllm.eval.files import write_whole
from dllm.eval.parallelbench.curves import LEVELS, Headline, Point, complete, headlines, namer, oracle, points
from dllm.eval.parallelbench.reference import Curves
from dllm.eval.parallelbench.trial import Verdict
from dllm.eval.plots import MARKERS, as_png, available, panels, percent_by_speed
from dllm.eval.records import Line
from dllm.eval.reports import Titled
from dllm.eval.summary import ALL, Area, SummaryRow, areas, summarize
from dllm.eval.tables import cells, headings, markdown, overview, report_text

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem}
div{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;margin:1rem 0}
td,th{border:1px solid #ccc;padding:.2rem .35rem;text-align:left;vertical-align:top}
td:first-child,th:first-child{position:sticky;left:0;background:#fff}
img{max-width:100%}"""
ACROSS = 9
"""Most tasks of an overview side by side."""
_JOINTS, _BREAK = re.compile(r"[_+(=]"), r"\g<0><wbr>"
_HEAD = f"<!doctype html><meta charset=utf-8><title>ParallelBench</title><style>{_STYLE}</style><h1>ParallelBench</h1>"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything about a run, or about several read together.

    Attributes:
        about: header of the results (see `dllm.eval.compare.header`), one a session.
        lines: all samples.
        verdicts: of the theory's trials; empty where none were made.
        reference: published curves.
    """

    about: Sequence[dict[str, Any]]
    lines: Sequence[Line]
    rows: Sequence[SummaryRow]
    areas: Sequence[Area]
    points: Sequence[Point]
    headlines: Sequence[Headline]
    verdicts: Sequence[Verdict]
    reference: Curves

    @classmethod
    def make(
        cls,
        about: Sequence[dict[str, Any]],
        lines: Sequence[Line],
        verdicts: Sequence[Verdict] = (),
        reference: Curves | None = None,
    ) -> Page:
        scored = [line for line in lines if line["score"] is not None]
        curve_of = namer(scored)
        rows = summarize([{**line, "method": curve_of(line)} for line in scored])  # what AUP is of
        held, found, full = _withheld(lines), points(scored), complete(scored)
        rows = [row for row in rows if row.task != ALL or (not held and (row.model, row.identity) in full)]
        found = [point for point in found if point.task != ALL or not held]
        return cls(
            about=about,
            lines=lines,
            rows=rows,
            areas=areas(rows),
            points=found,
            headlines=headlines(found),
            verdicts=verdicts,
            reference=reference or {},
        )

    def summary(self) -> dict[str, Any]:
        """Everything but the samples, as plain JSON values."""
        found: dict[str, Any] = {
            "about": list(self.about),
            "rows": [row.to_dict() for row in self.rows],
            "points": [asdict(point) for point in self.points],
            "pbx": [headline.to_dict() for headline in self.headlines],
            "aup": [asdict(area) for area in self.areas],
            "oracle": self._oracles(),
            "withheld": _withheld(self.lines),
        }
        if self.verdicts:
            found["theory_ok"] = all(verdict.ok for verdict in self.verdicts)
            found["theory_worst_sigma"] = max(verdict.sigmas for verdict in self.verdicts)
            found["theory"] = [verdict.to_dict() for verdict in self.verdicts]
        return found

    def tables(self) -> list[Titled]:
        """For a terminal: overviews, headlines, the oracle, the theory."""
        found: list[Titled] = []
        for model in dict.fromkeys(row.model for row in self.rows):
            found.append((f"{model}: score % @ tokens per forward", *overview(self.rows, model)))
        if self.headlines:
            columns = ["model", "curve", *(f"PB{level}" for level in LEVELS)]
            cells_of = [[one.model, one.curve, *map(_number, one.levels.values())] for one in self.headlines]
            found.append(
                ("PBx: the most positions a step at which the mean score over tasks is at least x", columns, cells_of)
            )
        if any(area.aup is not None for area in self.areas):
            columns = ["model", "task", "method", "AUP", "y_max", "points"]
            cells_of = [
                [one.model, one.task, one.method, f"{one.aup:.1f}", f"{one.best:.1f}", str(one.points)]
                for one in self.areas
                if one.aup is not None
            ]
            found.append(("AUP (alpha 3, cut 5 points below the first, anchored at topk(1))", columns, cells_of))
        if oracles := self._oracles():
            columns = ["task", *oracles]
            tasks = list(dict.fromkeys(task for own in oracles.values() for task in own))
            body = [[task, *(_pair(own.get(task)) for own in oracles.values())] for task in tasks]
            found.append(
                ("oracle: score % @ positions a step, the best variant of a curve for each sample", columns, body)
            )
        if self.verdicts:
            found.append(("theory: the ideal model against closed forms", *_theory(self.verdicts)))
        return found

    def save(self, folder: Path) -> list[Path]:
        """Write all files; plots only where matplotlib is installed."""
        folder.mkdir(parents=True, exist_ok=True)
        values, text, page = folder / "summary.json", folder / "report.md", folder / "page.html"
        write_whole(values, json.dumps(self.summary(), indent=1) + "\n")
        parts = [self._preface(), *(markdown(*one) for one in self.tables()[len(self._models()) :])]
        write_whole(text, "\n\n".join([*parts, report_text(self.rows, self.areas, "")]))
        pictures = self._pictures(folder) if available() else []
        write_whole(page, self._html(pictures))
        return [values, text, *pictures, page]

    def _models(self) -> list[str]:
        return list(dict.fromkeys(row.model for row in self.rows))

    def _oracles(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Of every adaptive curve with several points, by model and curve."""
        many: dict[tuple[str, str], set[str]] = {}
        for point in self.points:
            many.setdefault((point.model, point.curve), set()).add(point.label)
        several = [
            key for key, labels in many.items() if len(labels) > 1 and key[1].startswith(("threshold", "factor"))
        ]
        alone = len({model for model, _ in several}) == 1
        scored = [line for line in self.lines if line["score"] is not None]  # as the points are named
        return {(curve if alone else f"{model}, {curve}"): oracle(scored, model, curve) for model, curve in several}

    def _preface(self) -> str:
        told = "; ".join(dict.fromkeys(_told(header) for header in self.about))
        held = _withheld(self.lines)
        return f"# ParallelBench\n\n{told}." + (f"\n\nThe mean over tasks is withheld: {held}." if held else "")

    def _pictures(self, folder: Path) -> list[Path]:
        tasks = list(dict.fromkeys(point.task for point in self.points))
        written: list[Path] = []
        for model in dict.fromkeys(point.model for point in self.points):
            draw = partial(
                _draw, own=[point for point in self.points if point.model == model], reference=self.reference
            )
            figure = panels(tasks, draw, f"{model}: score against positions a step")
            written.append(folder / f"curves_{len(written)}.png")
            write_whole(written[-1], as_png(figure, 100))
        return written

    def _html(self, pictures: Iterable[Path]) -> str:
        body = [f"<p>{html.escape(self._preface().removeprefix('# ParallelBench').strip())}</p>"]
        for path in pictures:
            data = base64.b64encode(path.read_bytes()).decode()
            body.append(f'<img alt="score against positions a step" src="data:image/png;base64,{data}">')
        tables, overviews = self.tables(), len(self._models())
        body += [_html_table(part) for one in tables[:overviews] for part in narrow(one)]
        body += [_html_table(one) for one in tables[overviews:]]
        for row_task in dict.fromkeys((row.model, row.task) for row in self.rows):
            own = [row for row in self.rows if (row.model, row.task) == row_task]
            title = f"{row_task[0]}: {row_task[1]} (n = {min(row.count for row in own)})"
            body.append(_html_table((title, headings([]), [cells(row, []) for row in own])))
        return "\n".join([_HEAD, *body, ""])


def _withheld(lines: Sequence[Line]) -> str:
    """Why there is no mean over tasks: tasks without a score, or nothing."""
    found: dict[str, str] = {}
    for line in lines:
        if line["score"] is None:
            found.setdefault(line["task"], str(line.get("reason") or "no score"))
    return "; ".join(f"{task}: {why}" for task, why in found.items())


def _told(header: dict[str, Any]) -> str:
    settings, environment = header["settings"], header["environment"]
    machine = ", ".join(f"{key} {value}" for key, value in environment.items() if value is not None)
    return f"Suite {settings.get('suite')}, seed {settings['seed']}, batches of {settings['batch_size']}; {machine}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _pair(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{value[1]:.1f} @ {value[0]:.2f}"


def _theory(verdicts: Sequence[Verdict]) -> tuple[list[str], list[list[str]]]:
    columns = ["operation", "scheduler", "temperature", "right %", "expected %", "off by", "forwards", "expected", "ok"]
    body = []
    for one in verdicts:
        trial, expected = one.trial, one.trial.forwards
        numbers = [
            f"{100 * one.measured:.1f}",
            f"{100 * trial.accuracy:.2f}",
            f"{one.sigmas:.1f} sigma",
            f"{one.forwards:.2f}",
        ]
        told = [trial.task, f"`{trial.scheduler}`", f"{trial.temperature:g}", *numbers]
        body.append([*told, "" if expected is None else str(expected), "yes" if one.ok else "NO"])
    return columns, body


def narrow(overview: Titled) -> Iterator[Titled]:
    """An overview as tables that a page is wide enough for: schedulers down, and no more than `ACROSS` tasks across."""
    title, (_, *schedulers), body = overview
    for start in range(0, len(body), ACROSS):
        tasks, *cells_of = zip(*body[start : start + ACROSS], strict=True)
        rows = [[name, *own] for name, own in zip(schedulers, cells_of, strict=True)]
        yield title + (", further tasks" if start else ""), ["scheduler", *tasks], rows


def _html_table(table: Titled) -> str:
    """In a frame of its own, which scrolls where the page is narrower; long names in its head may be broken."""
    title, columns, body = table

    def cell(text: str, tag: str) -> str:
        shown = html.escape(text.strip("`"))
        shown = shown.replace(" @ ", " @&nbsp;") if tag == "td" else _JOINTS.sub(_BREAK, shown)
        return f"<{tag}>{shown}</{tag}>"

    rows = "\n".join(f"<tr>{''.join(cell(text, 'td') for text in one)}</tr>" for one in body)
    head = "".join(cell(text, "th") for text in columns)
    return f"<h2>{html.escape(title)}</h2>\n<div><table><tr>{head}</tr>\n{rows}</table></div>"


def _draw(axes: Any, task: str, own: Sequence[Point], reference: Curves) -> None:
    for number, curve in enumerate(dict.fromkeys(point.curve for point in own)):
        line = sorted((p.slots_per_step, p.score) for p in own if p.curve == curve and p.task == task)
        color, marker = f"C{number % 10}", MARKERS[number // 10 % len(MARKERS)]
        if line:
            axes.plot(*zip(*line, strict=True), color=color, marker=marker, markersize=4, linewidth=1, label=curve)
    for name, curve_points in reference.get(task, {}).items():
        x, y = zip(*sorted(curve_points), strict=True)
        axes.plot(x, y, linewidth=1, linestyle=":", alpha=0.7, label=f"{name} (published)")
    percent_by_speed(axes, "positions a step", "score %")
