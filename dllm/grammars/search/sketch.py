"""A sentence that was found with gaps closed, laid on its canvas: which gaps does it fit, and which not?

What is given is followed exactly, and gaps are leapt over (`dllm.grammars.search.loops.sketch`); then each gap by
itself is laid token by token, between the pairs on either side of it. Gaps where that fails are loose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dllm.grammars.canvas import Canvas
from dllm.grammars.search.loops.sketch import drafted
from dllm.grammars.search.placement import Thread
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.table import TokenTable


def draft(canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int]) -> Thread | None:
    """A thread, perhaps with loose gaps; None if the sentence cannot be laid even over what is given."""
    stops = np.full(len(canvas.ids), -1, dtype=np.int64)
    for gap in canvas.gaps:
        stops[gap.start] = gap.stop
    bare = Thread.bare(canvas, table, reach, sentence)
    labels = np.array(bare.sentence, dtype=np.int32)
    path, followed, stop = drafted(
        *((table.groups(canvas.ids), canvas.tail), stops, table.for_laying, table.final),
        *((labels, *bare.matches), np.append(0, np.cumsum(table.effort[labels])), reach.for_leaping),
    )
    if stop < 0:
        return None
    found = bare.rough(path, followed, stop)
    for gap in found.loose:
        piece = found.piece(gap.start, gap.stop + 1)
        laid = found.laid(canvas, piece)
        found = found if laid is None else laid
    return found
