"""A canvas as static HTML: its tokens, coloured by the step that committed them.

No script, and nothing from elsewhere: notebooks show it, and so does the page of `dllm view` where scripts are off.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 1_000
"""Cells that are drawn: some 80 bytes each, and more than anybody looks at."""
BEFORE = 100
"""Given cells that are drawn in front of the first that was not, where not all are."""
SCALE = (
    *("#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c"),
    *("#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"),
)
"""Viridis, from the first step to the last: lighter all along, so that it is read without telling colours apart."""
MASK = "·"
_CONTROL = re.compile(r"[\0-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Cell:
    """A canvas position after some steps.

    Attributes:
        text: of its token alone; None for a mask.
        step: the one that wrote it, counted from 1; 0 for what was given, and for a mask.
        confidence: at that step; None where there is none.
    """

    text: str | None = None
    step: int = 0
    confidence: float | None = None


def visible(text: str) -> str:
    """A token's text for people: controls as pictures, an end of line with its sign in front, nothing as a sign."""
    shown = _CONTROL.sub(lambda one: "␡" if one[0] == "\x7f" else chr(0x2400 + ord(one[0])), text)
    return shown.replace("\n", "⏎\n").replace("\t", "→\t") or "∅"


def window(cells: Sequence[Cell], most: int = MOST) -> tuple[int, int]:
    """Start and end of the cells that are drawn: all, or `most` from shortly before the first that was not given."""
    if len(cells) <= most:
        return 0, len(cells)
    first = next((at for at, cell in enumerate(cells) if cell.text is None or cell.step), 0)
    start = max(0, min(first - BEFORE, len(cells) - most))
    return start, start + most


def shade(step: int, steps: int) -> int:
    """Place in `SCALE` of a step, counted from 1."""
    return round((step - 1) / max(1, steps - 1) * (len(SCALE) - 1))


def ink(colour: str) -> str:
    """Black or white, whichever reads better on a colour: WCAG's contrast is at least 4.5 then."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#fff"


def as_html(cells: Sequence[Cell], steps: int, caption: str) -> str:
    """The canvas as an element for any page, whatever the tokens say.

    Args:
        steps: of the whole trace, which the last colour stands for.
    """
    start, end = window(cells)
    drawn = "".join(_cell(cell, steps) for cell in cells[start:end])
    around = (start, "before"), (len(cells) - end, "behind")
    left_out = [f"{count:,} positions {where}" for count, where in around if count]
    note = f" (not drawn: {', '.join(left_out)})" if left_out else ""
    return (
        f'<div class="dllm-canvas"><style>{_STYLE}</style><p>{html.escape(caption)}{note}</p>'
        f'<pre>{drawn}</pre><p>first step <i class="s0"> </i>'
        f"{''.join(f'<i class=s{at}> </i>' for at in range(1, len(SCALE)))} last</p></div>"
    )


def _cell(cell: Cell, steps: int) -> str:
    if cell.text is None:
        return f"<b>{MASK}</b>"
    text = html.escape(visible(cell.text))
    if not cell.step:
        return f"<span>{text}</span>"
    sure = "" if cell.confidence is None else f", confidence {cell.confidence:.3g}"
    return f'<i class="s{shade(cell.step, steps)}" title="step {cell.step}{sure}">{text}</i>'


_STYLE = (
    ".dllm-canvas pre{white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.7;background:none}"
    ".dllm-canvas i,.dllm-canvas b{font-style:normal;font-weight:inherit;border-radius:3px}"
    ".dllm-canvas i,.dllm-canvas b,.dllm-canvas span{unicode-bidi:isolate}"
    ".dllm-canvas b{background:#8886;margin:0 1px;padding:0 .3ch}"
    ".dllm-canvas p i{display:inline-block;width:.8em;height:.8em}"
    + "".join(f".dllm-canvas .s{at}{{background:{colour};color:{ink(colour)}}}" for at, colour in enumerate(SCALE))
)
