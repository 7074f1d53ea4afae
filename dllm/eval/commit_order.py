"""The order of commits as a picture, still or moving: a canvas whose tokens are coloured by step, over its bars."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dllm.errors import ConfigError
from dllm.eval import plots
from dllm.trace import Trace
from dllm.trace.drawing import MASK, SCALE, Cell, ink, shade, visible, window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 80
"""Characters a line."""
MOST_CELLS, MOST_FRAMES = 600, 120
"""What is drawn, and how often: a frame of so many cells takes about a third of a second."""
SECONDS, LAST_SECONDS = 0.25, 2.0
"""That a frame stays."""
_POINTS, _DPI = 9, 110
_WIDTH, _HEIGHT = 0.602 * _POINTS / 72, 1.7 * _POINTS / 72
"""A character of matplotlib's monospace in inches: it is 0.602 of its size wide."""

Place = tuple[int, int, int]
"""Line, column and characters of a cell."""


def as_png(trace: Trace) -> bytes:
    """How the canvas ended, as the content of a file. Raises ConfigError where matplotlib is missing."""
    (figure,) = _figures(trace, [len(trace.steps)])
    return plots.as_png(figure, _DPI)


def as_gif(trace: Trace) -> bytes:
    """The canvas from its beginning to its end; of many steps, evenly chosen ones. Raises ConfigError as `as_png`."""
    steps = len(trace.steps)
    chosen = sorted({round(at * steps / MOST_FRAMES) for at in range(MOST_FRAMES + 1)}) if steps > MOST_FRAMES else None
    figures = _figures(trace, chosen or range(steps + 1))
    from PIL import Image

    frames = [Image.open(BytesIO(plots.as_png(figure, _DPI))).convert("RGB").quantize() for figure in figures]
    stays = [int(1000 * SECONDS)] * (len(frames) - 1) + [int(1000 * LAST_SECONDS)]
    data = BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:], duration=stays, loop=0)
    return data.getvalue()


def _figures(trace: Trace, counts: Sequence[int]) -> list[Figure]:
    if not plots.available():
        raise ConfigError("pictures need matplotlib; install it with `pip install dllm-engine[plot]`")
    last = trace.cells()
    every = [trace.cells(count) for count in counts]
    start, end = window(max((*every, last), key=len), MOST_CELLS)
    widest = [_written(cell) for cell in max((*every, last), key=len)]
    for cells in (*every, last):  # where each token has its room from the beginning, nothing moves
        for at, cell in enumerate(cells):
            widest[at] = max(widest[at], _written(cell), key=len)
    places = _laid(widest[start:end])
    return [
        _drawn(cells[start:end], places, len(trace.steps), f"step {count} of {len(trace.steps)}")
        for count, cells in zip(counts, every, strict=True)
    ]


def _written(cell: Cell) -> str:
    return MASK if cell.text is None else visible(cell.text).replace("\t", "")


def _laid(texts: Sequence[str]) -> list[Place]:
    """Where each text stands, as in a paragraph; lines end behind a text, not inside."""
    places, line, column = list[Place](), 0, 0
    for text in texts:
        width = min(COLUMNS, len(text.replace("\n", "")))
        if column + width > COLUMNS:
            line, column = line + 1, 0
        places.append((line, column, width))
        column += width
        if text.endswith("\n"):
            line, column = line + 1, 0
    return places


def _drawn(cells: Sequence[Cell], places: Sequence[Place], steps: int, title: str) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    lines = 1 + max((line for line, _, _ in places), default=0)
    figure = Figure(figsize=(_WIDTH * (COLUMNS + 2), _HEIGHT * (lines + 2.5)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-1, COLUMNS + 1)
    axes.set_ylim(lines + 0.5, -2)
    font: dict[str, Any] = {"family": "monospace", "fontsize": _POINTS, "va": "baseline", "parse_math": False}
    filled = sum(cell.step > 0 for cell in cells)
    axes.text(0, -1.2, f"{title}: {filled} positions filled", color="black", **font)
    for cell, (line, column, width) in zip(cells, places, strict=False):
        colour = "#d9dde3" if cell.text is None else SCALE[shade(cell.step, steps)] if cell.step else None
        if colour is not None:
            axes.add_patch(Rectangle((column + 0.04, line - 0.44), width - 0.08, 0.88, facecolor=colour, linewidth=0))
        text = _written(cell).replace("\n", "")[:COLUMNS]
        axes.text(column, line + 0.2, text, color=ink(colour) if cell.step and colour else "#565d66", **font)
    return figure
