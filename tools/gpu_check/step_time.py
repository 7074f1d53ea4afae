"""Milliseconds of one denoising step, by cache, batch and canvas, beside the floor of the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from dllm.models.base import RowInput
from dllm.models.network.native import Backbone
from dllm.models.network.spec import BackboneSpec
from dllm.testing.networks import MASK
from tools.gpu_check.checks import Check, first_line, text_table
from tools.gpu_check.roofline import WEIGHT_BYTES, Machine, Step, floor_ms, kv_bytes_per_token
from tools.gpu_check.timing import milliseconds

MEMORY_SHARE = 0.9
CELL_SECONDS = 1.5
FIRST_TOKEN = 2
MOST_FED = 1 << 15
"""Tokens of one forward; whole canvases beyond this take seconds each, and say nothing new."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """What a step feeds. The live block begins in the middle of the canvas."""

    name: str
    from_start: bool
    to_end: bool
    stored: bool

    def span(self, length: int, block: int, lookback: int) -> tuple[int, int]:
        start = length // 2
        return 0 if self.from_start else start - lookback, length if self.to_end else start + block


STEP_KINDS = (
    StepKind("none", from_start=True, to_end=True, stored=False),
    StepKind("refresh", from_start=True, to_end=True, stored=True),
    StepKind("prefix", from_start=False, to_end=True, stored=True),
    StepKind("dual", from_start=False, to_end=False, stored=True),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table; `milliseconds` is None where it was not measured, and `note` says why."""

    rows: int
    length: int
    kind: str
    fed: int
    milliseconds: float | None
    floor: float
    note: str = ""


def measure_steps(
    network: Backbone,
    machine: Machine,
    *,
    batches: Sequence[int],
    canvases: Sequence[int],
    block: int,
    repeats: int,
    deadline: float,
) -> list[Cell]:
    """All cells, small ones first; after `deadline` (of `time.monotonic`) the rest are left out."""
    cells = []
    for length in canvases:
        for rows in batches:
            for kind in STEP_KINDS:
                start, stop = kind.span(length, block, network.lookback)
                step = Step(rows, length, stop - start, block, kind.stored)
                cells.append(_cell(network, machine, kind, step, repeats, deadline))
                print(_line(cells[-1]), flush=True)
    return cells


def _cell(network: Backbone, machine: Machine, kind: StepKind, step: Step, repeats: int, deadline: float) -> Cell:
    taken, note = None, _obstacle(network, step, deadline)
    if not note:
        try:
            taken = _measure(network, kind, step, repeats, deadline)
        except RuntimeError as error:  # out of memory, or a kernel that is missing: the other cells may still do
            note = f"failed: {first_line(error)}"
    return Cell(step.rows, step.length, kind.name, step.fed, taken, floor_ms(network.spec, step, machine), note)


def _obstacle(network: Backbone, step: Step, deadline: float) -> str:
    if time.monotonic() >= deadline:
        return "not measured: out of time"
    if step.rows * step.fed > MOST_FED:
        return "not measured: long, and nothing new"
    free, needed = _free_bytes(network.device), _needed_bytes(network.spec, step)
    if needed > MEMORY_SHARE * free:
        return f"not measured: needs about {needed / 2**30:.0f} GiB, {free / 2**30:.0f} are free"
    return ""


def _measure(network: Backbone, kind: StepKind, step: Step, repeats: int, deadline: float) -> float:
    seconds = min(CELL_SECONDS, max(0.0, deadline - time.monotonic()))
    return milliseconds(_forward(network, kind, step), network.device, repeats=repeats, seconds=seconds)


def _forward(network: Backbone, kind: StepKind, step: Step) -> Callable[[], object]:
    """The step as a call. Ids are random: nothing measured here depends on them."""
    start, stop = kind.span(step.length, step.wanted, network.lookback)
    middle = step.length // 2
    rows = []
    for _ in range(step.rows):
        ids = torch.randint(FIRST_TOKEN, network.vocab_size, (stop - start,))
        ids[middle - start : middle - start + step.wanted] = MASK
        kv = network.new_kv(step.length) if kind.stored else None
        wanted = torch.arange(middle, middle + step.wanted)
        rows.append(RowInput(ids, torch.arange(start, stop), wanted, kv))
    return lambda: network.forward_rows(rows)


def _free_bytes(device: torch.device) -> float:
    if device.type != "cuda":
        return float("inf")
    torch.cuda.empty_cache()
    return float(torch.cuda.mem_get_info(device)[0])


def _needed_bytes(spec: BackboneSpec, step: Step) -> int:
    """Stores, the copy attention makes of one layer of them, live activations of one block, and logits; generous."""
    kv = kv_bytes_per_token(spec) * step.rows * step.length if step.stored else 0
    layer = kv // spec.layers
    tokens = step.rows * step.fed
    activations = tokens * WEIGHT_BYTES * (12 * spec.hidden_size + 4 * spec.intermediate_size)
    logits = 3 * 4 * step.rows * step.wanted * spec.columns
    return kv + 2 * layer + activations + logits


def summary(cells: Sequence[Cell]) -> Check:
    """Failed if a cell failed; cells left out for time or memory are no failure."""
    measured = sum(cell.milliseconds is not None for cell in cells)
    broken = [cell for cell in cells if cell.note.startswith("failed")]
    return Check("step times", not broken, f"{measured} of {len(cells)} measured, {len(broken)} failed")


def cell_table(cells: Iterable[Cell]) -> str:
    """One line a cell; `x floor` says how many times the floor a step takes."""
    titles = ("canvas", "rows", "cache", "fed/row", "ms", "floor ms", "x floor", "ms/row", "")
    return text_table(titles, (_columns(cell) for cell in cells))


def _columns(cell: Cell) -> tuple[str, ...]:
    ms = cell.milliseconds
    measured = ("-", "-", "-") if ms is None else (f"{ms:.2f}", f"{ms / cell.floor:.1f}", f"{ms / cell.rows:.2f}")
    numbers = (measured[0], f"{cell.floor:.2f}", *measured[1:])
    return (str(cell.length), str(cell.rows), cell.kind, str(cell.fed), *numbers, cell.note)


def _line(cell: Cell) -> str:
    taken = cell.note if cell.milliseconds is None else f"{cell.milliseconds:.2f} ms (floor {cell.floor:.2f})"
    return f"  canvas {cell.length} rows {cell.rows} {cell.kind}: {taken}"
