"""docs/performance.md, written from the JSON files of the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dllm.bench.against_literal import Comparison
from dllm.bench.split import Split
from dllm.bench.suite import comparisons, split_table, tiny_table
from dllm.bench.tiny_speed import TinySpeed
from dllm.eval.tables import markdown

INTRO = """# Performance

Written by `python scripts/bench_engine.py` (`--page-only`: from the files in `benchmarks/results`). Ratios are taken
within one run, the runs in turn; seconds are those of the machine named above each table. `dllm bench --quick` gives
the first three ratios in half a minute, `dllm bench --cache-report` what each cache costs ([caches](caches.md)).
"""
LITERAL = """
Shape A: random weights in LLaDA's layout, width 512, 8 layers, vocabulary 32,000; prompts of 128 tokens and 256 new
ones (one row), or eight rows of mixed lengths; blocks of 32, one token a forward, greedy, dual cache. "Published" is
the rule of the published code written out in `dllm/bench/literal.py`: one row at a time, logits of all fed positions, a
float64 softmax, all keys rotated anew at each layer. In bfloat16 rounding parts the tokens of two implementations.
"""
CARD = """
Random weights of the published shapes, bfloat16, by `python scripts/gpu_check.py`. Floor: the larger of bytes over the
bandwidth of a copy and FLOPs over the rate of a large product, both measured in the same run. `dual` is a step of a
block, `refresh` a forward over the whole canvas that fills the cache, `none` one without a cache.
"""
WAY = """
What stands between a block step and its floor, by the profiler's shares on that card: the matrix products of a single
row stream their weights at 2.1 to 2.7 TB/s of the 3.0 that a copy reaches, which alone is 1.2 times the floor; then
attention and the kernels between the products. At 32 rows products and attention take turns where the floor takes the
larger of the two. A full refresh per block is what 32 rows spend most of their time on: a cache that refreshes less is
the larger gain there.
"""


def write(results: Path, page: Path) -> None:
    """The page, with a picture beside it, from whatever of the files is there."""
    parts = [INTRO]
    if (results / "cpu.json").is_file():
        parts += _cpu(_read(results / "cpu.json"), page.with_name("performance-growth.png"))
    for path in sorted(results.glob("*_times.json")):
        parts += _card(_read(path), path)
    page.write_text("\n".join(parts), encoding="utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _cpu(found: Mapping[str, Any], picture: Path) -> list[str]:
    about = ", ".join(f"{name} {value}" for name, value in found["about"].items())
    runs = [Comparison(**run) for run in found["comparisons"]]
    splits = [Split(**{key: value for key, value in one.items() if key != "overhead"}) for one in found["splits"]]
    tiny = [TinySpeed(**one) for one in found["tiny"]]
    parts = [f"## On a CPU\n\n{about}.\n{LITERAL}", *(markdown(*table) for table in (comparisons(runs),))]
    parts += [markdown(*split_table(splits)), markdown(*tiny_table(tiny))]
    if "growth" in found:
        _plot(found["growth"], picture)
        parts += [markdown(*_growth(found["growth"])), f"![time a token against size]({picture.name})\n"]
    return parts


def _growth(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[str, list[str], list[list[str]]]:
    cells = [
        [name, str(point[name]), f"{point['milliseconds']:.1f}"] for name, points in curves.items() for point in points
    ]
    return "Milliseconds a token, one size at a time (shape A, float32)", ["size", "value", "ms a token"], cells


def _plot(curves: Mapping[str, Sequence[Mapping[str, float]]], picture: Path) -> None:
    from matplotlib.figure import Figure  # the object, not pyplot: no global state, no display

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        sizes, times = [point[name] for point in points], [point["milliseconds"] for point in points]
        axes.loglog(sizes, times, marker="o", markersize=4)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
        axes.set_yticks(_steps(times), [f"{step:g}" for step in _steps(times)], fontsize=8)
        axes.minorticks_off()  # whose labels would lie over these
        axes.set_ylim(_steps(times)[0], _steps(times)[-1])
        axes.set_xlabel(name)
        axes.set_ylabel("ms a token")
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


def _steps(values: Sequence[float]) -> list[float]:
    """10, 15, 20, 30, 50, 70, 100, ... from the last that is below all values to the first above them."""
    steps = [first * 10.0**power for power in range(-3, 7) for first in (1, 1.5, 2, 3, 5, 7)]
    low = max(step for step in steps if step <= min(values))
    high = min(step for step in steps if step >= max(values))
    return [step for step in steps if low <= step <= high]


def _card(found: Mapping[str, Any], path: Path) -> list[str]:
    if "timed" not in found:
        return []
    machine = found["machine"]
    reached = f"copy {machine['bandwidth'] / 1e12:.2f} TB/s, product {machine['flops'] / 1e12:.0f} TFLOP/s"
    parts = [f"## {found['about']['device']}\n\n{reached}, torch {found['about']['torch']} (`{path.name}`).\n{CARD}"]
    for one in found["timed"]:
        cells = [_cell(cell) for cell in one["cells"] if cell["milliseconds"] is not None]
        titles = ["canvas", "rows", "step", "fed a row", "ms", "floor ms", "x floor"]
        parts.append(markdown(f"One forward, {one['name']}", titles, cells))
        if one["speeds"]:
            titles = ["rows", "canvas", "cache", "tokens a forward", "tokens/s", "ms a forward"]
            title = f"Whole generations, {one['name']}: two blocks, refreshes and Python included"
            speeds = [speed for speed in one["speeds"] if speed["seconds"] is not None]
            parts.append(markdown(title, titles, [_speed(speed) for speed in speeds]))
    return [*parts, WAY]


def _cell(cell: Mapping[str, Any]) -> list[str]:
    ms, floor = cell["milliseconds"], cell["floor"]
    sizes = [str(cell[name]) for name in ("length", "rows", "kind", "fed")]
    return [*sizes, f"{ms:.2f}", f"{floor:.2f}", f"{ms / floor:.2f}"]


def _speed(speed: Mapping[str, Any]) -> list[str]:
    tokens, step = speed["rows"] * speed["new_tokens"] / speed["seconds"], 1e3 * speed["seconds"] / speed["forwards"]
    sizes = [str(speed[name]) for name in ("rows", "length", "cache")]
    return [*sizes, f"{speed['per_forward']:g}", f"{tokens:.0f}", f"{step:.1f}"]
