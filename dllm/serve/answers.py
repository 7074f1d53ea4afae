"""The parts that answers of several endpoints have in common: usage, log-probabilities, stop strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dllm.engine.answer import first_stop
from dllm.outputs import FinishReason, RequestOutput
from dllm.serve.service import Service
from dllm.trace import Alternatives


def usage_of(outputs: Sequence[RequestOutput], mask_token_id: int, samples: int = 1) -> dict[str, Any]:
    """OpenAI's `usage` of requests; the masks of a document are none of its prompt's tokens.

    Args:
        samples: so many outputs, one after the other, are of one prompt, which counts once.
    """
    prompts = sum(sum(token != mask_token_id for token in one.prompt_token_ids) for one in outputs[::samples])
    new = sum(sample.stats.tokens for output in outputs for sample in output.samples)
    return {"prompt_tokens": prompts, "completion_tokens": new, "total_tokens": prompts + new}


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings: under a grammar, and in a document, the engine knows of none."""
    return text[: first_stop(text, stops)]


def finish_of(sample: RequestOutput, whole: str, stops: Sequence[str], *, structured: bool) -> FinishReason:
    """Why an answer ends. A structured one that fills its room is a whole one, and clients throw away what ends for
    "length".

    Args:
        whole: its text, before it is cut.
        structured: whether a grammar held it.
    """
    return "stop" if structured or cut(whole, stops) != whole else sample.finish_reason


def chat_logprobs(service: Service, each: Iterable[Alternatives | None]) -> dict[str, Any]:
    """A chat choice's `logprobs`, as of the commit; tokens that were given have none and are left out."""
    content = []
    for found in each:
        if found is None:
            continue
        own, *others = (_entry(service, token, logprob) for token, logprob in found)
        content.append({**own, "top_logprobs": others})
    return {"content": content, "refusal": None}


def completion_logprobs(service: Service, each: Iterable[Alternatives | None], start: int = 0) -> dict[str, Any]:
    """A completion choice's `logprobs`.

    Args:
        start: characters of the text in front of the first token.
    """
    kept, at = [found for found in each if found is not None], start
    tokens, offsets = [service.spelled(found[0][0]) for found in kept], list[int]()
    for token in tokens:
        offsets.append(at)
        at += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": [found[0][1] for found in kept],
        "top_logprobs": [{service.spelled(token): p for token, p in found[1:]} for found in kept],
        "text_offset": offsets,
    }


def _entry(service: Service, token: int, logprob: float) -> dict[str, Any]:
    text, tokenizer = service.spelled(token), service.llm.tokenizer
    exact = None if tokenizer is None else tokenizer.token_bytes(token)
    return {"token": text, "logprob": logprob, "bytes": [*(text.encode() if exact is None else exact)]}
