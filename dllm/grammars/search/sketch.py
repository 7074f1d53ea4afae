"""A sentence that was found with gaps closed, placed on its canvas: which gaps does it fit, and which not?

What is given is followed exactly, and gaps are leapt over (`dllm.grammars.search.loops.sketch`); then each gap by
itself is filled token by token, between the configurations on either side of it. Gaps where that fails are loose.
"""

from __future__ import annotations

import numpy as np

from dllm.grammars.canvas import Canvas
from dllm.grammars.search.loops.sketch import sketch_path
from dllm.grammars.search.placement import Placement, Window


def sketch(placement: Placement, canvas: Canvas, window: Window) -> Placement | None:
    """A sentence placed in a window, perhaps with loose gaps; None if it does not even lie over what is given there.

    Args:
        window: with gaps as a whole only; it ends behind a given token, or with the canvas.
    """
    table, reach = placement.table, placement.reach
    stops = np.full(window.high - window.low, -1, dtype=np.int64)
    for gap in canvas.gaps:
        if window.low <= gap.start < window.high:
            stops[gap.start - window.low] = gap.stop - window.low
    stretch, steps, sentence = placement.stretch(canvas, window)
    path, followed, stop = sketch_path(
        *(stretch, stops, steps, table.endings, sentence),
        *(np.append(0, np.cumsum(table.effort[sentence.labels])), reach.sets),
    )
    if stop < 0:
        return None
    path[path[:, 0] >= 0, 1] += window.begin[1]
    found = placement.sketched(canvas, window, path, followed, stop)
    for gap in found.loose:
        placed = found.placed(canvas, found.window(gap.start, gap.stop + 1))
        found = found if placed is None else placed
    return found
