"""From a request to what the user sees: run it, whole or step by step, and print the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dllm.cli.options import OutputOptions

if TYPE_CHECKING:
    from dllm import LLM, RequestOutput, SamplingParams, StepEvent


def run_request(
    llm: LLM,
    whole: Callable[..., Any],
    stream: Callable[..., Iterator[StepEvent]],
    request: Any,
    params: SamplingParams,
    options: OutputOptions,
) -> RequestOutput:
    """Run `request` with `whole`, or with `stream` where its steps are to be shown.

    Args:
        llm: whose methods the two callables are.
        whole: `LLM.generate`, `LLM.infill` or `LLM.chat`.
        stream: its counterpart that yields StepEvents.
    """
    from dllm.cli.first_use import first_use

    with first_use(llm, params.grammar):
        if not options.show:
            output: RequestOutput = whole(request, params, progress=False)
            return output
        from dllm.cli.play import play

        return play(llm, stream(request, params))


def deliver(llm: LLM, output: RequestOutput, options: OutputOptions) -> None:
    """Trace to its file, statistics to stderr, the answer to stdout; the answer last."""
    if options.trace is not None:
        from dllm.eval.files import write_whole

        write_whole(options.trace, output.trace.to_jsonl())
    if options.stats:
        for sample in output.samples:
            print(stats_line(sample), file=sys.stderr)
    if options.as_json:
        print(json.dumps(output.to_dict()))
        return
    for sample in output.samples:
        # without a tokenizer there is no text: print the ids, in the form that --prompt-ids takes
        print(sample.text if llm.tokenizer is not None else ",".join(map(str, sample.token_ids)))


def stats_line(output: RequestOutput) -> str:
    """`key=value` pairs on one line."""
    values = {"finish_reason": output.finish_reason, "seed": output.seed} | output.stats.to_dict()
    return "stats: " + " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
