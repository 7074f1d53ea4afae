"""A finished comparison as a folder of files: report.md, summary.json, plots beside results.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError
from dllm.eval.compare import Plan, header
from dllm.eval.files import write_whole
from dllm.eval.plots import available, save_plots
from dllm.eval.records import Identity, Line
from dllm.eval.summary import ALL, Area, SummaryRow, areas, summarize
from dllm.eval.tables import cells, headings, overview, report_text
from dllm.eval.variants import Variant

Titled = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, columns and cells of a table for a terminal."""


def _identity(plan: Plan, spec: str) -> Identity:
    key = Variant.make(spec).key
    found = next((variant.identity for variant in plan.variants if variant.key == key), None)
    if found is None:
        raise ConfigError(f"baseline={spec!r} is none of the schedulers compared; add it to them")
    return found


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows and areas of a comparison, with what made them."""

    about: dict[str, Any]
    lines: Sequence[Line]
    rows: Sequence[SummaryRow]
    areas: Sequence[Area]

    @classmethod
    def make(cls, plan: Plan, lines: Sequence[Line], baselines: Sequence[str] = ()) -> Report:
        """Summarize what `compare(plan)` returned.

        Args:
            baselines: specs that gains refer to, among the plan's (at its first block length and cache).

        Raises:
            ConfigError: a baseline that was not run.
        """
        rows = summarize(lines, [_identity(plan, spec) for spec in baselines])
        return cls(about=header(plan), lines=lines, rows=rows, areas=areas(rows))

    def summary(self) -> dict[str, Any]:
        """Everything but the samples, as plain JSON values."""
        rows = [row.to_dict() for row in self.rows]
        return {**self.about, "rows": rows, "aup": [asdict(area) for area in self.areas]}

    def save(self, folder: Path) -> list[Path]:
        """Write all files; plots only where matplotlib is installed."""
        folder.mkdir(parents=True, exist_ok=True)
        text, values = folder / "report.md", folder / "summary.json"
        write_whole(text, report_text(self.rows, self.areas, self._preface()))
        write_whole(values, json.dumps(self.summary(), indent=1) + "\n")
        return [text, values, *(save_plots(self.rows, self.lines, folder) if available() else ())]

    def overviews(self) -> list[Titled]:
        """A table a model with more than one task: tasks down, variants across."""
        several = {row.model for row in self.rows if row.task == ALL}
        models = [model for model in self._models() if model in several]
        return [(f"{model}: accuracy % @ tokens per forward", *overview(self.rows, model)) for model in models]

    def headlines(self) -> list[Titled]:
        """A table a model: its variants over all tasks, or on the only one."""
        found: list[Titled] = []
        baselines = list(dict.fromkeys(name for row in self.rows for name in row.gains))
        for model in self._models():
            own = [row for row in self.rows if row.model == model]
            last = [row for row in own if row.task == own[-1].task]  # all tasks come last
            title = f"{model}: {last[0].task}, n = {last[0].count}"
            found.append((title, headings(baselines), [cells(row, baselines) for row in last]))
        return found

    def _models(self) -> list[str]:
        return list(dict.fromkeys(row.model for row in self.rows))

    def _preface(self) -> str:
        environment, settings = self.about["environment"], self.about["settings"]
        told = ", ".join(f"{key} {value}" for key, value in environment.items() if value is not None)
        return (
            "# Comparison of schedulers\n\n"
            f"Made with {told}; seed {settings['seed']}, batches of {settings['batch_size']}. "
            "Brackets are 95 % intervals: Wilson's for accuracy, paired bootstrap for gains and over all tasks."
        )
