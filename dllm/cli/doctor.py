"""`dllm doctor`: what is installed, on what machine, and whether models load."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dllm.cli.shell import FAILED, UsageError, tell


def doctor(
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Also load this model; may be repeated.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    quantize: Annotated[str | None, typer.Option(help="int8 or int4 weights; needs torchao.")] = None,
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile the grammar engine's loops now, not at its first use.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Report versions, devices, and whether tiny and the models named load. Exit code 1 if one of them does not."""
    from dllm.cli import facts

    if "" in (model or []):
        raise UsageError("--model is empty; give a folder or a Hub id")
    names = ["tiny", *(name for name in dict.fromkeys(model or []) if name != "tiny")]
    models = [facts.model(name, dtype, device, quantize) for name in names]
    report: dict[str, Any] = {"versions": facts.versions(), "machine": facts.machine(), "models": models}
    if warm:
        report["grammars"] = _warmed()
    if as_json:
        print(json.dumps(report))
    else:
        _print(report)
    if not all(one["loads"] for one in models):
        raise typer.Exit(FAILED)


def _warmed() -> dict[str, Any]:
    from dllm.cli.warm import warm_up

    tell("using every kind of grammar, so that all of the engine's loops are compiled; a minute or two")
    return warm_up()


def _print(report: dict[str, Any]) -> None:
    for name, version in report["versions"].items():
        print(f"{name:<17}{version}")
    print()
    for device in report["machine"].get("devices", []):
        details = ", ".join(
            f"{value} {key}" if key == "threads" else str(value) for key, value in device.items() if key != "device"
        )
        print(f"{device['device']:<17}{details}")
    print(report["machine"].get("error", ""))
    for one in report["models"]:
        _print_model(one)
    if "grammars" in report:
        made = report["grammars"]
        print(f"grammars: {made['compiled']} loops compiled in {made['seconds']} s")
        print("\n".join(f"  kept in        {folder}" for folder in made["kept_in"]))


def _print_model(one: dict[str, Any]) -> None:
    if not one["loads"]:
        print(f"{one['model']}: does not load: {one['error']}\n")
        return
    print(f"{one['model']}: loads")
    for name, value in one.items():
        if name not in ("model", "loads", "id_sources") and (name, value) != ("second_hand", ""):
            print(f"  {name:<15}{_shown(name, value, one['id_sources'])}")
    print()


def _shown(name: str, value: Any, sources: dict[str, str]) -> str:
    if isinstance(value, list):
        text = ", ".join(map(str, value)) or "none"
    elif name == "parameters":
        text = f"{value:,}"
    else:
        text = "none" if value is None else str(value)
    return f"{text}  ({sources[name]})" if name in sources else text
