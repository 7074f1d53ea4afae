"""The front door: load a model, generate, chat, infill, stream."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Unpack, overload

import torch

from dllm.arguments import refuse_unknown
from dllm.engine.answer import AnswerDraft
from dllm.engine.document import Hole, Part, is_ids
from dllm.engine.infill import DocumentDraft
from dllm.engine.run import Either, OnError, Raising, Returning, run, stream
from dllm.engine.text_model import TextModel
from dllm.errors import ConfigError, DllmError, PromptError
from dllm.hub import resolve_folder
from dllm.models.adapters import as_denoiser
from dllm.models.base import name_of, usual_of
from dllm.models.loading import load_model
from dllm.outputs import RequestOutput, StepEvent
from dllm.params import SamplingParams
from dllm.tokenizer import Message, as_tokenizer, tokenizer_of

if TYPE_CHECKING:
    from dllm.grammars.tables.vocabulary import Vocabulary

Prompt = str | Sequence[int]
Params = SamplingParams | Sequence[SamplingParams] | None
_HINT = " (of an array: .tolist())"


class LLM:
    """A masked-diffusion language model, ready to use.

    Args:
        model: `"tiny"` (embedded), a Hub id, a local folder, or any object that is a `Denoiser` (see
            `dllm.models.base`), a torch module or a transformers model.
        tokenizer: a folder, a `tokenizers.Tokenizer`, a transformers tokenizer or a `dllm.tokenizer.Tokenizer`;
            by default the one in the model's folder. An object without one works on ids alone.
        dtype: "auto" (the checkpoint's), "float32", "bfloat16", "float16", or a torch dtype.
        device: "auto" (CUDA where there is one), or a torch device.
        device_map: spread the layers over devices with accelerate, e.g. "auto".
        revision: of a Hub id.
        mask_token_id: overrides what the files say.
        quantize: "int8" or "int4" keeps the blocks' weights in that, for small cards (docs/quantization.md).

    Raises:
        DllmError: whatever is wrong with the model or tokenizer, in one line.
    """

    def __init__(
        self,
        model: Any,
        *,
        tokenizer: Any = None,
        dtype: str | torch.dtype = "auto",
        device: str | torch.device = "auto",
        device_map: str | dict[str, Any] | None = None,
        revision: str | None = None,
        mask_token_id: int | None = None,
        quantize: str | None = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown("LLM", unknown, [name for name in inspect.signature(LLM).parameters if name != "unknown"])
        if isinstance(model, str | os.PathLike):
            folder = resolve_folder(model, revision)
            native = load_model(
                folder,
                dtype=dtype,
                device=device,
                device_map=device_map,
                mask_token_id=mask_token_id,
                quantize=quantize,
            )
            self.model = as_denoiser(native)
            if tokenizer is None:
                tokenizer = tokenizer_of(folder, native.family.chat_template)
        else:
            unset = (one is None or (isinstance(one, str) and one == "auto") for one in (dtype, device))
            if not all(unset) or any(one is not None for one in (device_map, revision, quantize)):
                raise ConfigError(
                    "dtype, device, device_map, revision and quantize apply to folders and Hub ids; move the object"
                )
            self.model = as_denoiser(model, mask_token_id=mask_token_id)
        usual = usual_of(self.model)
        self.tokenizer = None if tokenizer is None else as_tokenizer(tokenizer, usual.chat_template)
        if self.tokenizer is not None and usual.template_variables:
            self.tokenizer = copy.copy(self.tokenizer)  # it may be another model's too
            self.tokenizer.template_variables = {**usual.template_variables, **self.tokenizer.template_variables}
        if self.model.mask_token_id is None and self.tokenizer is not None:
            named = self.tokenizer.token_to_id(self.tokenizer.named.get("mask_token", ""))
            self.model = as_denoiser(self.model, mask_token_id=named)
        self.engine = TextModel(self.model, self.tokenizer)

    def __repr__(self) -> str:
        model = self.model
        return f"<LLM {name_of(model)}, {model.vocab_size} ids, on {model.device}>"

    @property
    def vocabulary(self) -> Vocabulary:
        """What text a token is; `grammar.compile(llm.vocabulary)` makes a grammar ready ahead of its first use."""
        return self.engine.vocabulary

    # a str is also a Sequence[str]: the first overload wins, here as at run time
    @overload
    def generate(  # type: ignore[overload-overlap]
        self, prompts: str | list[int], params: Params = ..., **options: Unpack[Raising]
    ) -> RequestOutput: ...
    @overload
    def generate(
        self, prompts: Sequence[Prompt], params: Params = ..., **options: Unpack[Raising]
    ) -> list[RequestOutput]: ...
    @overload
    def generate(  # type: ignore[overload-overlap]
        self, prompts: str | list[int], params: Params = ..., **options: Unpack[Returning]
    ) -> RequestOutput | DllmError: ...
    @overload
    def generate(
        self, prompts: Sequence[Prompt], params: Params = ..., **options: Unpack[Returning]
    ) -> list[RequestOutput | DllmError]: ...

    def generate(
        self,
        prompts: Any,
        params: Params = None,
        *,
        max_batch_size: int | None = None,
        progress: bool | None = None,
        on_error: OnError = "raise",
        **unknown: Any,
    ) -> Any:
        """Continue one prompt, or a list of them.

        Args:
            prompts: a string or a list of ids, used verbatim (no template, no BOS); or a list of those.
            params: one SamplingParams for all, or one a prompt.
            max_batch_size: rows denoised together; a row's tokens do not depend on it. None = up to 32, as many as fit
                into memory (see `Batcher`, which denoises them).
            progress: show a progress bar; None = for long lists on a terminal.
            on_error: "raise" = the first error of a prompt ends the call, where possible before the first forward;
                "return" = a prompt fails alone, and its error (a DllmError) stands in the place of its output.

        Returns:
            one RequestOutput, or a list in the order of the prompts.

        Raises:
            Interrupted: Ctrl-C; a KeyboardInterrupt whose `outputs` are those that were finished.
        """
        _refuse("generate", unknown)
        single = isinstance(prompts, str) or is_ids(prompts)
        batch = [prompts] if single else _as_list(prompts, "prompts")
        outputs = run(self.engine, AnswerDraft.of, batch, params, max_batch_size, progress, on_error)
        return outputs[0] if single else outputs

    @overload
    def chat(self, messages: Sequence[Message], params: Params = ..., **options: Unpack[Raising]) -> RequestOutput: ...
    @overload
    def chat(
        self, messages: Sequence[Sequence[Message]], params: Params = ..., **options: Unpack[Raising]
    ) -> list[RequestOutput]: ...
    @overload
    def chat(
        self, messages: Sequence[Message], params: Params = ..., **options: Unpack[Returning]
    ) -> RequestOutput | DllmError: ...
    @overload
    def chat(
        self, messages: Sequence[Sequence[Message]], params: Params = ..., **options: Unpack[Returning]
    ) -> list[RequestOutput | DllmError]: ...

    def chat(
        self,
        messages: Any,
        params: Params = None,
        *,
        max_batch_size: int | None = None,
        progress: bool | None = None,
        on_error: OnError = "raise",
        **unknown: Any,
    ) -> Any:
        """Answer a conversation (`[{"role": "user", "content": ...}, ...]`) or a list of conversations.

        One that ends in a message of the assistant's goes on in that message; the output's text is what follows it.

        Args:
            messages: oldest first; roles, parts of text, tool calls: docs/chat.md.
            params, max_batch_size, progress, on_error: as in `generate`.

        Raises:
            PromptError: no tokenizer or no chat template; a message that is wrong or that the template cannot render;
                a template that refuses them or takes too long.
        """
        _refuse("chat", unknown)
        if not isinstance(messages, Sequence) or isinstance(messages, str):
            raise PromptError(f"messages={str(messages)[:60]!r} must be a list of {{'role': ..., 'content': ...}}")
        if not messages:
            raise PromptError("messages is empty; give at least one {'role': 'user', 'content': ...}")
        single = isinstance(messages[0], Mapping)
        batch = [messages] if single else list(messages)
        outputs = run(self.engine, AnswerDraft.of_chat, batch, params, max_batch_size, progress, on_error)
        return outputs[0] if single else outputs

    @overload
    def infill(self, document: str, params: Params = ..., **options: Unpack[Raising]) -> RequestOutput: ...
    @overload
    def infill(
        self, document: str, params: Params = ..., **options: Unpack[Returning]
    ) -> RequestOutput | DllmError: ...
    @overload
    def infill(self, document: Sequence[Any], params: Params = ..., **options: Unpack[Either]) -> Any: ...

    def infill(
        self,
        document: Any,
        params: Params = None,
        *,
        max_batch_size: int | None = None,
        progress: bool | None = None,
        on_error: OnError = "raise",
        **unknown: Any,
    ) -> Any:
        """Fill the holes of a document; every hole gets exactly its width in tokens.

        Where a hole leaves its width open, up to 8 documents are denoised, in which all such holes grow together from
        `min` to `max`. The output is that of the document whose hole tokens have the highest mean log-probability at
        the time of their commit (of equals, the shortest); its `stats` count all of them. Documents on which no text
        of the grammar fits are left out.

        Args:
            document: text with `<mask:N>` or `<mask:MIN-MAX>` holes (`<<mask:` for a literal `<mask:`), or a list of
                strings, ids, `Hole(N)` and `Hole(min=, max=)`; or a list of documents.
            params: as in `generate`; `max_new_tokens`, `ignore_eos` and EOS play no part.

        Raises:
            PromptError: a document without a hole, or longer at its widest than the model's context.
            GrammarError: no text of the grammar fits, whatever the widths that were tried.
        """
        _refuse("infill", unknown)
        single = _is_document(document)
        batch = [document] if single else _as_list(document, "documents")
        outputs = run(self.engine, DocumentDraft.of, batch, params, max_batch_size, progress, on_error)
        return outputs[0] if single else outputs

    def stream(self, prompt: Prompt, params: SamplingParams | None = None, **unknown: Any) -> Iterator[StepEvent]:
        """Continue one prompt, yielding what each step changed; the last event holds the output."""
        _refuse("stream", unknown)
        return stream(self.engine, AnswerDraft.of, prompt, params)

    def stream_chat(
        self, messages: Sequence[Message], params: SamplingParams | None = None, **unknown: Any
    ) -> Iterator[StepEvent]:
        """`chat`, step by step."""
        _refuse("stream_chat", unknown)
        return stream(self.engine, AnswerDraft.of_chat, messages, params)

    def stream_infill(
        self, document: str | Sequence[Part], params: SamplingParams | None = None, **unknown: Any
    ) -> Iterator[StepEvent]:
        """`infill`, step by step.

        Raises:
            ConfigError: several widths would have to be tried for a hole; a stream follows one canvas.
        """
        _refuse("stream_infill", unknown)
        return stream(self.engine, DocumentDraft.of, document, params)


def _refuse(method: str, unknown: Mapping[str, Any]) -> None:
    """Raise ArgumentError for arguments that a method of `LLM` does not have; most belong into `SamplingParams`."""
    if unknown:
        legal = ("params", "max_batch_size", "progress", "on_error")
        refuse_unknown(method, unknown, legal, [one.name for one in fields(SamplingParams)])


def _as_list(items: Any, what: str) -> list[Any]:
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        raise PromptError(f"{what}={repr(items)[:60]} must be a string, a list of token ids, or a list of those{_HINT}")
    if not items:
        raise PromptError(f"{what} is an empty list; give at least one")
    return list(items)


def _is_document(document: Any) -> bool:
    """One document: a string, or a list with a Hole in it. A list without one is a list of documents."""
    if isinstance(document, str) or is_ids(document):
        return True
    return isinstance(document, Sequence) and any(isinstance(part, Hole) for part in document)
