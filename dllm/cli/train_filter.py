"""`dllm train-filter`: train the filter of the scheduler learn2pd."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

from typer import Option

from dllm.cli.grouping import grouped
from dllm.cli.inputs import read_file
from dllm.cli.options import ModelOptions
from dllm.cli.shell import UsageError

FEWEST = 10
"""Prompts, of which the tenth part is the test."""


@grouped
def train_filter(
    out: Annotated[Path, Option(metavar="FILE", help="Where to write the filter (.safetensors).")],
    prompts: Annotated[
        Path | None, Option(metavar="FILE", help="JSONL of prompts; tiny has its own and needs none.")
    ] = None,
    count: Annotated[int, Option(min=FEWEST, help="Prompts to use, the first ones of the file.")] = 640,
    block_length: Annotated[int, Option(min=1, help="Positions the filter reads at once.")] = 32,
    max_new_tokens: Annotated[int, Option("--max-new-tokens", "-n", min=1, help="Masks behind each prompt.")] = 128,
    iterations: Annotated[int, Option(min=1, help="Steps of the fit.")] = 4000,
    negative_weight: Annotated[float, Option(help="Weight of wrong predictions in the loss; the paper has 1.")] = 2.0,
    gamma: Annotated[float, Option(help="Where precision and recall are reported.")] = 0.96,
    seed: Annotated[int, Option(help="Of the split, the initial weights, and tiny's prompts.")] = 0,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout.")] = False,
    *,
    model: ModelOptions,
) -> None:
    """Decode prompts one token a step and again by an oracle, learn which predictions were final, write the filter.

    A run that was stopped goes on behind the last batch of prompts, which are kept beside the filter until it is there.
    """
    if out.suffix != ".safetensors" or not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: give a file in an existing folder whose name ends in .safetensors")
    from dllm.cli.console import progress
    from dllm.eval.filter_training import FitOptions, collect, fit, quality
    from dllm.eval.filter_training.kept import KeptBatches, save_whole
    from dllm.eval.filter_training.prompts import read_prompts
    from dllm.eval.tiny.items import tiny_prompts

    if prompts is None and model.model != "tiny":
        raise UsageError("--prompts is needed for a model other than tiny")
    found = (
        tiny_prompts(count, seed) if prompts is None else read_prompts(prompts, read_file(prompts, "--prompts"))[:count]
    )
    if len(found) < FEWEST:
        raise UsageError(f"--prompts {prompts}: {len(found)} are too few; give at least {FEWEST}")
    llm = model.load()
    kept = KeptBatches(out, {**_about(model), "max_new_tokens": max_new_tokens, "block_length": block_length})
    began = time.monotonic()
    with progress("prompts", len(found)) as advance:
        records = collect(
            llm,
            found,
            max_new_tokens=max_new_tokens,
            block_length=block_length,
            advance=advance,
            kept=kept,
        )
    options = FitOptions(iterations=iterations, negative_weight=negative_weight, seed=seed)
    network, test = fit(records, options)
    network.about.update(
        model=model.model,
        block_length=block_length,
        activation="relu",
        prompts=len(found),
        steps=len(records.prompt),
        pasted_blocks=records.pasted,
        negative_weight=negative_weight,
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
        test=quality(network, test, gamma),
    )
    save_whole(network, out)
    kept.forget()
    print(json.dumps({"out": str(out), **network.about}) if as_json else _told(out, network.about))


def _about(model: ModelOptions) -> dict[str, object]:
    """What the model's answers depend on."""
    from dllm.eval.compare import fingerprint

    return {**vars(model), "weights": fingerprint(model.folder())}


def _told(out: Path, about: dict[str, object]) -> str:
    test = about["test"]
    assert isinstance(test, dict)
    lines = [f"{out}: {about['prompts']} prompts, {about['steps']} steps, {about['seconds']} s"]
    return "\n".join([*lines, *(f"  {name:<24}{value}" for name, value in test.items())])
