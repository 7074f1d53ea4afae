"""A sentence that was found with gaps closed, laid on its canvas: which gaps does it fit, and which not?

What is given is followed exactly, and gaps are leapt over (`dllm.grammars.search.drafting`); then each gap by itself
is laid token by token, between the pairs on either side of it. Gaps where that fails are loose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dllm.grammars.search.canvas import Canvas
from dllm.grammars.search.drafting import drafted
from dllm.grammars.search.thread import Thread
from dllm.grammars.tables.reach import Reach
from dllm.grammars.tables.table import TokenTable


def draft(canvas: Canvas, table: TokenTable, reach: Reach, sentence: Sequence[int]) -> Thread | None:
    """A thread, perhaps with loose gaps; None if the sentence cannot be laid even over what is given."""
    length = len(canvas.ids)
    stops = np.full(length, -1, dtype=np.int64)
    for gap in canvas.gaps:
        stops[gap.start] = gap.stop
    bare = Thread(table, reach, tuple(sentence), canvas.ids, np.zeros((length + 1, 2), dtype=np.int32), canvas.gaps)
    tokens = (table.class_of, table.at, table.emitted, table.state, table.labels, table.labels_at)
    labels = np.array(bare.sentence, dtype=np.int32)
    path, followed, stop = drafted(
        *((table.groups(canvas.ids), canvas.tail), stops, tokens, table.final),
        *((labels, *table.matches(labels)), np.append(0, np.cumsum(table.effort[labels])), reach.for_leaping),
    )
    if stop < 0:
        return None
    found = bare.rough(path, followed, stop)
    for gap in found.loose:
        piece = found.piece(gap.start, gap.stop + 1)
        laid = found.laid(canvas, piece)
        found = found if laid is None else laid
    return found
