"""All parts in one go: checks first, then the step-time table, then one JSON file."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from dllm.models.families.dream import DREAM
from dllm.models.families.family import Family
from dllm.models.families.llada import LLADA
from dllm.models.network.spec import BackboneSpec
from dllm.testing import networks as shapes
from tools.gpu_check import batching, generation, golden_logits, golden_text, kernels, other_families
from tools.gpu_check.checks import Check, first_line, run_checks
from tools.gpu_check.generation import Speed, measure_speeds
from tools.gpu_check.roofline import Machine, measure_machine
from tools.gpu_check.step_time import Cell, cell_table, measure_steps, summary

PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCheckOptions:
    """What to run.

    Attributes:
        golden: folder of golden checkpoints; None skips the checks.
        device: where.
        layers: of LLaDA-8B's 32, for the table.
        batches, canvases: rows and lengths of the table; either empty skips it.
        block: positions wanted, and fed by the dual cache.
        repeats: most timed calls a cell.
        caches, blocks: of the whole generations.
        minutes: for the table; what is left after that is not measured.
        smoke: a small network and small products instead, to try the script itself.
        out: JSON file, or None.
    """

    golden: Path | None
    device: torch.device
    layers: int = 32
    batches: tuple[int, ...] = (1, 8, 32)
    canvases: tuple[int, ...] = (512, 1024, 4096)
    block: int = 32
    repeats: int = 20
    caches: tuple[str, ...] = ("dual",)
    blocks: int = 4
    minutes: float = 6.0
    smoke: bool = False
    out: Path | None = None


def run_everything(options: GpuCheckOptions) -> bool:
    """Print everything, write the JSON, and say whether every required check passed."""
    about = _about(options.device)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    began = time.monotonic()
    checks = _checks(options)
    checked = time.monotonic()
    timed: list[Timed] = []
    machine: Machine | None = None
    if options.batches and options.canvases:
        # the clock starts here: building the networks is part of the budget
        deadline = time.monotonic() + 60 * options.minutes
        try:
            machine = measure_machine(options.device, **({"copy_bytes": 1 << 22, "side": 256} if options.smoke else {}))
            for part in _networks(options):
                timed.append(_timed(part, machine, options, deadline))
            checks.append(summary([cell for one in timed for cell in one.cells]))
        except Exception as error:  # the checks are worth their file even so
            checks.append(Check("step times", False, first_line(error)))
    failed = [check for check in checks if check.passed is False]
    if options.out is not None:
        report = _report(about, checks, timed, machine)
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"\nchecks: {len(checks) - len(failed)} of {len(checks)} good ({checked - began:.0f} s)")
    for check in failed:
        print(f"FAIL {check.name}: {check.detail}")
    if machine is not None:
        print(f"\nmeasured here: copy {machine.bandwidth / 1e12:.3g} TB/s, product {machine.flops / 1e12:.3g} TFLOP/s")
        for one in timed:
            print(f"\n{_title(options, one)}\n{cell_table(one.cells)}")
            if one.speeds:
                print(f"\nwhole generations, {one.name}, {options.blocks} blocks\n{generation.speed_table(one.speeds)}")
    return not failed


def _checks(options: GpuCheckOptions) -> list[Check]:
    if options.golden is None:
        return []
    found: list[Check] = []
    for name in golden_logits.FOLDERS:
        folder = options.golden / name
        found += run_checks(f"{name} logits", partial(golden_logits.checks, folder, options.device))
        found += run_checks(f"{name} generations", partial(golden_text.checks, folder, options.device))
        for dtype in ("float32", "bfloat16"):
            found += run_checks(f"{name} batching {dtype}", partial(batching.checks, folder, options.device, dtype))
            found += run_checks(f"{name} kernels {dtype}", partial(kernels.checks, folder, options.device, dtype))
    for name in other_families.FOLDERS:
        found += run_checks(f"{name} family", partial(other_families.checks, options.golden / name, options.device))
    found += run_checks("confidence", partial(kernels.confidence, options.device))
    return found


@dataclass(frozen=True, slots=True)
class Timed:
    """The times of one network's shape."""

    name: str
    cells: list[Cell]
    speeds: list[Speed]


def _networks(options: GpuCheckOptions) -> list[tuple[str, BackboneSpec, Family, bool]]:
    """Name, shape, family, and whether whole generations are timed too."""
    if options.smoke:
        return [("the smoke shape", shapes.smoke(), LLADA, True)]
    llada, dream = shapes.llada_8b(options.layers), shapes.dream_7b(min(28, options.layers))
    return [
        (f"LLaDA-8B, {llada.layers} layers", llada, LLADA, True),
        (f"Dream-7B, {dream.layers} layers", dream, DREAM, False),
    ]


def _timed(
    part: tuple[str, BackboneSpec, Family, bool], machine: Machine, options: GpuCheckOptions, deadline: float
) -> Timed:
    name, spec, family, generates = part
    print(name, flush=True)
    network = shapes.random_network(spec, options.device, family)
    speeds: list[Speed] = []
    if generates:
        speeds = measure_speeds(
            network,
            batches=options.batches,
            length=sorted(options.canvases)[len(options.canvases) // 2],
            block=options.block,
            caches=options.caches,
            blocks=options.blocks,
            deadline=deadline,
        )
    cells = measure_steps(
        network,
        machine,
        batches=options.batches,
        canvases=options.canvases if generates else options.canvases[:2],
        block=options.block,
        repeats=options.repeats,
        deadline=deadline,
    )
    return Timed(name, cells, speeds)


def _title(options: GpuCheckOptions, timed: Timed) -> str:
    return (
        f"one forward of {timed.name}, bfloat16, random weights; {options.block} positions wanted a row, in a block "
        "that begins mid-canvas; floor = max(bytes / copy, FLOPs / product)"
    )


def _about(device: torch.device) -> dict[str, str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": f"{device} ({name})", "python": platform.python_version()} | dict(_versions())


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "missing"


def _report(about: dict[str, str], checks: list[Check], timed: list[Timed], machine: Machine | None) -> dict[str, Any]:
    return {
        "about": about,
        "checks": [asdict(check) for check in checks],
        "machine": None if machine is None else asdict(machine),
        "timed": [asdict(one) for one in timed],
    }
