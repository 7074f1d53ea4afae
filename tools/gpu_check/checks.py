"""Results of checks, and plain-text tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One question put to the device.

    Attributes:
        name: what was compared.
        passed: None where the answer is only reported.
        detail: the numbers.
    """

    name: str
    passed: bool | None
    detail: str

    @property
    def verdict(self) -> str:
        return {None: "info", True: "ok", False: "FAIL"}[self.passed]


def run_checks(part: str, run: Callable[[], Iterable[Check]]) -> list[Check]:
    """The checks of one part; an exception becomes a failed check, so that the other parts still run."""
    found: list[Check] = []
    try:
        for check in run():
            found.append(check)
            print(f"{check.verdict:<5}{check.name}: {check.detail}", flush=True)
    except Exception as error:  # whatever a new device or driver may raise
        found.append(Check(part, False, first_line(error)))
        print(f"FAIL {part}: {found[-1].detail}", flush=True)
    return found


def first_line(error: Exception) -> str:
    """An exception in one line; those of CUDA have many."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def text_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Right-aligned columns."""
    lines = [list(titles), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    padded = ([cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
