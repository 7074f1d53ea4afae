"""Between the texts of lm-evaluation-harness and ids: what fits the context, where an answer ends."""

from __future__ import annotations

from collections.abc import Sequence

from dllm.arguments import whole
from dllm.engine.answer import first_stop
from dllm.errors import ConfigError, PromptError
from dllm.eval.likelihood import Pair
from dllm.tokenizer import Tokenizer


def prefix_of(tokenizer: Tokenizer) -> int | None:
    """BOS, or None: what stands in front of a text that has nothing before it."""
    return tokenizer.token_to_id(tokenizer.named.get("bos_token", ""))


def longest_canvas(asked: int | None, own: int | None) -> int | None:
    """Tokens a canvas may hold, or None for any number. Raises ConfigError for more than the model's own."""
    asked = whole("max_length", asked, 2, optional=True)
    if asked is not None and own is not None and asked > own:
        raise ConfigError(f"max_length={asked} must be at most {own}, the model's own")
    return own if asked is None else asked


def fitted_prompt(ids: Sequence[int], new: int, longest: int | None) -> list[int]:
    """A prompt without as much of its beginning as leaves room for `new` tokens behind it.

    Raises:
        ConfigError: there is no room for a prompt at all.
    """
    if longest is None:
        return list(ids)
    if new >= longest:
        raise ConfigError(
            f"max_gen_toks={new} leaves no room for a prompt: a canvas holds {longest} tokens; give max_new_tokens, "
            "which wins over the task"
        )
    return list(ids[-(longest - new) :])


def fitted_pair(context: Sequence[int], continuation: Sequence[int], longest: int | None, texts: object) -> Pair:
    """What is scored, the context without as much of its beginning as does not fit.

    Raises:
        PromptError: a continuation of no token, or one that does not fit by itself; `texts` says which.
    """
    if not continuation:
        raise PromptError(
            f"the continuation of {str(texts)[-160:]} has no token of its own: it is empty, or one token spells it "
            "together with the end of the context"
        )
    if longest is None:
        return Pair(tuple(context), tuple(continuation))
    room = longest - len(continuation)
    if room < 0:
        raise PromptError(
            f"the continuation of {str(texts)[:80]} is {len(continuation)} tokens; a canvas holds {longest}"
        )
    return Pair(tuple(context[max(0, len(context) - room) :]), tuple(continuation))


def answer_text(tokenizer: Tokenizer, token_ids: Sequence[int], stop: Sequence[str]) -> str:
    """The answer before the first stop string, one that is a special token included: decoding leaves those out."""
    ends = {tokenizer.token_to_id(text) for text in stop} & tokenizer.special_ids
    cut = next((at for at, token in enumerate(token_ids) if token in ends), len(token_ids))
    text = tokenizer.decode(token_ids[:cut], skip_special=True)
    return text[: first_stop(text, stop)]
