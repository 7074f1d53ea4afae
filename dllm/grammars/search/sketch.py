"""A sentence that was found with gaps closed, placed on its canvas: which gaps does it fit, and which not?

What is given is followed exactly, and gaps are leapt over (`dllm.grammars.search.loops.sketch`); then each gap by
itself is filled token by token, between the configurations on either side of it. Gaps where that fails are loose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dllm.grammars.canvas import Canvas
from dllm.grammars.search.loops.placement import Sentence
from dllm.grammars.search.loops.sketch import Outline, sketch_path
from dllm.grammars.search.placement import Placement
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.token_table import TokenTable


def sketch(canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int]) -> Placement | None:
    """A placement, perhaps with loose gaps; None if the sentence does not even lie over what is given."""
    stops = np.full(len(canvas.ids), -1, dtype=np.int64)
    for gap in canvas.gaps:
        stops[gap.start] = gap.stop
    bare = Placement.bare(canvas, table, reach, sentence)
    labels = np.array(bare.sentence, dtype=np.int32)
    ids, steps = table.fixed.on(canvas)
    path, followed, stop = sketch_path(
        Outline(ids, canvas.tail, stops),
        *(steps, table.endings),
        Sentence(labels, *bare.matches),
        *(np.append(0, np.cumsum(table.effort[labels])), reach.sets),
    )
    if stop < 0:
        return None
    found = bare.sketched(path, followed, stop)
    for gap in found.loose:
        placed = found.placed(canvas, found.window(gap.start, gap.stop + 1))
        found = found if placed is None else placed
    return found
