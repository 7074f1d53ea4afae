"""Pictures of a comparison: accuracy against tokens a forward, tokens committed a step, and the order of commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from dllm.errors import ConfigError
from dllm.eval.files import write_whole
from dllm.eval.records import Line, identity_of
from dllm.eval.summary import ALL, SummaryRow, label_variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[[Any, str], None]
"""Draws one task into its axes."""
MARKERS, DASHES = ("o", "^", "s", "x"), ("-", "--", ":", "-.")
"""Of the first ten curves, the next ten, ...: ten colours are told apart."""
MOST_RELEASED = 17
"""The last bin of the histogram takes everything above."""


def available() -> bool:
    """Whether matplotlib is installed (`pip install dllm-engine[plot]`)."""
    return find_spec("matplotlib") is not None


def save_plots(rows: Sequence[SummaryRow], lines: Sequence[Line], folder: Path) -> list[Path]:
    """Write `accuracy.png`, `released.png` and `order.png`, with a panel a task; several models get a prefix each.

    Raises:
        ConfigError: matplotlib is missing.
    """
    if not available():
        raise ConfigError("plots need matplotlib; install it with `pip install dllm-engine[plot]`")
    models = list(dict.fromkeys(line["model"] for line in lines))
    written = []
    for number, model in enumerate(models):
        prefix = f"{number}_" if len(models) > 1 else ""
        own = [line for line in lines if line["model"] == model]
        for name, figure in _figures([row for row in rows if row.model == model], own):
            written.append(folder / f"{prefix}{name}.png")
            write_whole(written[-1], as_png(figure, 110))
    return written


def as_png(figure: Figure, dpi: int) -> bytes:
    """A picture as the content of a file."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    return data.getvalue()


def _figures(rows: Sequence[SummaryRow], lines: Sequence[Line]) -> Iterator[tuple[str, Figure]]:
    """The three figures of one model, by name."""
    all_tasks = list(dict.fromkeys(row.task for row in rows))
    single = [task for task in all_tasks if task != ALL]

    def samples(task: str) -> list[Line]:
        return [line for line in lines if line["task"] == task]

    figures: tuple[tuple[str, Sequence[str], Draw, str], ...] = (
        (
            "accuracy",
            all_tasks,
            lambda axes, task: _accuracy(axes, [row for row in rows if row.task == task]),
            "accuracy against tokens per forward (95 % intervals)",
        ),
        (
            "released",
            single,
            lambda axes, task: _released(axes, samples(task)),
            "share of forwards that committed so many positions",
        ),
        (
            "order",
            single,
            lambda axes, task: _order(axes, samples(task)),
            "when a position was committed (dark: first step, yellow: last)",
        ),
    )
    for name, tasks, draw, title in figures:
        yield name, panels(tasks, draw, title)


def panels(tasks: Sequence[str], draw: Draw, title: str) -> Figure:
    """A figure with a panel a task, and one legend below for all."""
    from matplotlib.figure import Figure  # the object, not pyplot: no global state, no display
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    width, height = max(7.2, 4.8 * columns), 3.6 * lines + 0.6
    figure = Figure(layout=ConstrainedLayoutEngine(h_pad=0.08))
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, task in zip(grid, tasks, strict=False):
        draw(axes, task)
        axes.set_title(task, fontsize=10)
    for axes in grid[len(tasks) :]:
        axes.set_axis_off()
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        across = max(1, int(14 * width / (max(map(len, handles)) + 8)))  # letters an inch, and the sample of a line
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=across, fontsize=8)
        height += 0.18 * -(-len(handles) // across)
    heading = wrap(title, int(10 * width))
    figure.suptitle("\n".join(heading), fontsize=12)
    figure.set_size_inches(width, height + 0.2 * (len(heading) - 1))
    return figure


def _accuracy(axes: Axes, rows: Sequence[SummaryRow]) -> None:
    """A line a method through its variants."""
    for number, method in enumerate(dict.fromkeys(row.method for row in rows)):
        curve = sorted((row for row in rows if row.method == method), key=lambda row: row.tokens_per_forward)
        x = [row.tokens_per_forward for row in curve]
        y = [100 * row.accuracy for row in curve]
        below = [max(0.0, 100 * (row.accuracy - row.interval[0])) for row in curve]
        above = [max(0.0, 100 * (row.interval[1] - row.accuracy)) for row in curve]
        axes.errorbar(
            x,
            y,
            yerr=(below, above),
            color=f"C{number % 10}",
            marker=MARKERS[number // 10 % len(MARKERS)],
            markersize=4,
            linewidth=1,
            capsize=2,
            label=method,
        )
    percent_by_speed(axes, "tokens per forward", "accuracy %")


def percent_by_speed(axes: Axes, speed: str, percent: str) -> None:
    """Scales and labels: doublings of a speed across, 0 to 100 up."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(-3, 103)
    axes.set_xlabel(speed)
    axes.set_ylabel(percent)
    axes.grid(alpha=0.3)


def _by_variant(lines: Sequence[Line]) -> dict[str, list[Line]]:
    labels = label_variants(lines)
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(labels[identity_of(line)], []).append(line)
    return found


def _released(axes: Axes, lines: Sequence[Line]) -> None:
    """Histogram of positions committed a forward, as shares."""
    for number, (label, own) in enumerate(_by_variant(lines).items()):
        counts = np.minimum([count for line in own for count in line["released"]], MOST_RELEASED)
        share = np.bincount(counts.astype(int), minlength=MOST_RELEASED + 1) / len(counts)
        axes.plot(
            range(MOST_RELEASED + 1),
            100 * share,
            color=f"C{number % 10}",
            linestyle=DASHES[number // 10 % len(DASHES)],
            linewidth=1,
            drawstyle="steps-mid",
            label=label,
        )
    _count_across(axes)
    axes.set_xlabel(f"positions committed ({MOST_RELEASED} and more in the last)")
    axes.set_ylabel("% of forwards")
    axes.grid(alpha=0.3)


def order_map(lines: Sequence[Line]) -> np.ndarray:
    """`[P]`: mean over samples of when each answer position was committed, as a share of its sample's steps.

    NaN where no sample has a position.
    """
    width = max((len(line["order"]) for line in lines), default=0)
    grid = np.full((len(lines), width), np.nan)
    for i, line in enumerate(lines):
        if line["order"]:
            order = np.array(line["order"], dtype=float)
            grid[i, : len(order)] = (order - order.min()) / max(1.0, order.max() - order.min())
    count = (~np.isnan(grid)).sum(0)
    mean: np.ndarray = np.where(count > 0, np.nansum(grid, 0) / np.maximum(count, 1), np.nan)
    return mean


def _order(axes: Axes, lines: Sequence[Line]) -> None:
    """A stripe a variant, position by position: dark = early."""
    found = {label: order_map(own) for label, own in _by_variant(lines).items()}
    width = max(len(stripe) for stripe in found.values())
    grid = np.full((len(found), max(1, width)), np.nan)
    for i, stripe in enumerate(found.values()):
        grid[i, : len(stripe)] = stripe
    axes.imshow(grid, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks(range(len(found)), list(found), fontsize=6)
    _count_across(axes)
    axes.set_xlabel("position in the answer")


def _count_across(axes: Axes) -> None:
    """Whole numbers only: half of a position is none."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
