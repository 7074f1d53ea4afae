"""The front door: load a model, generate, chat, infill, stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import torch

from dllm.candidates import Candidates, Request, fill, rows_of
from dllm.check import whole
from dllm.denoise import denoise
from dllm.document import Part, is_ids, parse_parts, parse_template
from dllm.engine import Engine
from dllm.errors import ConfigError, PromptError
from dllm.models.adapters import as_denoiser
from dllm.models.loading import load_model, resolve_folder
from dllm.outputs import Hole, RequestOutput, StepEvent
from dllm.params import SamplingParams
from dllm.progress import progress_bar
from dllm.requests import Answer, draw_seed
from dllm.tokenizer import as_tokenizer, tokenizer_of

if TYPE_CHECKING:
    from dllm.grammars.tables.vocabulary import Vocabulary

Prompt = str | Sequence[int]
Params = SamplingParams | Sequence[SamplingParams] | None
Message = Mapping[str, Any]
Make = Callable[[Any, SamplingParams, int], Request]


class Options(TypedDict, total=False):
    """Keywords that `generate`, `chat` and `infill` share."""

    max_batch_size: int
    progress: bool | None


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
    ) -> None:
        if isinstance(model, str | os.PathLike):
            folder = resolve_folder(model, revision)
            native = load_model(folder, dtype=dtype, device=device, device_map=device_map, mask_token_id=mask_token_id)
            self.model = as_denoiser(native)
            template = native.family.chat_template
            if tokenizer is None:
                tokenizer = tokenizer_of(folder, template)
        else:
            if (dtype, device, device_map, revision) != ("auto", "auto", None, None):
                raise ConfigError(
                    "dtype, device, device_map and revision apply to folders and Hub ids; move the object"
                )
            self.model, template = as_denoiser(model, mask_token_id=mask_token_id), None
        self.tokenizer = None if tokenizer is None else as_tokenizer(tokenizer, template)
        if self.model.mask_token_id is None and self.tokenizer is not None:
            named = self.tokenizer.token_to_id(self.tokenizer.named.get("mask_token", ""))
            self.model = as_denoiser(self.model, mask_token_id=named)
        self._engine = Engine(self.model, self.tokenizer)

    @property
    def vocabulary(self) -> Vocabulary:
        """What text a token is; `grammar.compile(llm.vocabulary)` makes a grammar ready ahead of its first use."""
        return self._engine.vocabulary

    # a str is also a Sequence[str]: the first overload wins, here as at run time
    @overload
    def generate(  # type: ignore[overload-overlap]
        self, prompts: str | list[int], params: Params = ..., **options: Unpack[Options]
    ) -> RequestOutput: ...
    @overload
    def generate(
        self, prompts: Sequence[Prompt], params: Params = ..., **options: Unpack[Options]
    ) -> list[RequestOutput]: ...

    def generate(
        self,
        prompts: Any,
        params: Params = None,
        *,
        max_batch_size: int = 32,
        progress: bool | None = None,
    ) -> Any:
        """Continue one prompt, or a list of them.

        Args:
            prompts: a string or a list of ids, used verbatim (no template, no BOS); or a list of those.
            params: one SamplingParams for all, or one a prompt.
            max_batch_size: rows denoised together; a row's tokens do not depend on it.
            progress: show a progress bar; None = for long lists on a terminal.

        Returns:
            one RequestOutput, or a list in the order of the prompts.
        """
        single = isinstance(prompts, str) or is_ids(prompts)
        batch = [prompts] if single else _as_list(prompts, "prompts")
        outputs = self._run(batch, params, self._answer, max_batch_size, progress)
        return outputs[0] if single else outputs

    @overload
    def chat(self, messages: Sequence[Message], params: Params = ..., **options: Unpack[Options]) -> RequestOutput: ...
    @overload
    def chat(
        self, messages: Sequence[Sequence[Message]], params: Params = ..., **options: Unpack[Options]
    ) -> list[RequestOutput]: ...

    def chat(
        self,
        messages: Any,
        params: Params = None,
        *,
        max_batch_size: int = 32,
        progress: bool | None = None,
    ) -> Any:
        """Answer a conversation (`[{"role": "user", "content": ...}, ...]`) or a list of conversations."""
        if not isinstance(messages, Sequence) or isinstance(messages, str):
            raise PromptError(f"messages={str(messages)[:60]!r} must be a list of {{'role': ..., 'content': ...}}")
        if not messages:
            raise PromptError("messages is empty; give at least one {'role': 'user', 'content': ...}")
        single = isinstance(messages[0], Mapping)
        batch = [messages] if single else list(messages)
        prompts = [self._templated(conversation) for conversation in batch]
        outputs = self._run(prompts, params, self._answer, max_batch_size, progress)
        return outputs[0] if single else outputs

    @overload
    def infill(self, document: str, params: Params = ..., **options: Unpack[Options]) -> RequestOutput: ...
    @overload
    def infill(self, document: Sequence[Any], params: Params = ..., **options: Unpack[Options]) -> Any: ...

    def infill(
        self,
        document: Any,
        params: Params = None,
        *,
        max_batch_size: int = 32,
        progress: bool | None = None,
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
        single = _is_document(document)
        batch = [document] if single else _as_list(document, "documents")
        outputs = self._run(batch, params, self._document, max_batch_size, progress)
        return outputs[0] if single else outputs

    def stream(self, prompt: Prompt, params: SamplingParams | None = None) -> Iterator[StepEvent]:
        """Continue one prompt, yielding what each step changed; the last event holds the output."""
        return self._stream(prompt, params, self._answer)

    def stream_chat(self, messages: Sequence[Message], params: SamplingParams | None = None) -> Iterator[StepEvent]:
        """`chat`, step by step."""
        return self._stream(self._templated(messages), params, self._answer)

    def stream_infill(
        self, document: str | Sequence[Part], params: SamplingParams | None = None
    ) -> Iterator[StepEvent]:
        """`infill`, step by step.

        Raises:
            ConfigError: several widths would have to be tried for a hole; a stream follows one canvas.
        """
        return self._stream(document, params, self._document)

    def _answer(self, prompt: Any, params: SamplingParams, seed: int) -> Request:
        if not isinstance(prompt, str) and not is_ids(prompt):
            raise PromptError(f"prompt {str(prompt)[:60]!r} must be a string or a non-empty list of token ids{_HINT}")
        return Answer.make(self._engine, prompt, params, seed)

    def _document(self, document: Any, params: SamplingParams, seed: int) -> Request:
        pieces = parse_template(document) if isinstance(document, str) else parse_parts(document)
        return fill(self._engine, pieces, params, seed)

    def _templated(self, messages: Any) -> str:
        if self.tokenizer is None:
            raise PromptError("chat needs a tokenizer with a chat template; give LLM(..., tokenizer=...)")
        return self.tokenizer.apply_chat_template(messages)

    def _run(
        self, items: Sequence[Any], params: Params, make: Make, max_batch_size: int, progress: bool | None
    ) -> list[RequestOutput]:
        """All items to their ends; every request is checked before the first forward."""
        max_batch_size = whole("max_batch_size", max_batch_size, 1)
        groups = []
        for index, (item, own) in enumerate(zip(items, _each(params, len(items)), strict=True)):
            seed = draw_seed(own)
            try:
                groups.append([make(item, own, seed + k) for k in range(own.n)])
            except PromptError as error:
                if len(items) == 1:
                    raise
                raise PromptError(f"item {index} of {len(items)}: {error}") from error
        rows = [row for group in groups for request in group for row in rows_of(request)]
        with progress_bar(len(rows), progress) as done:
            for row, _ in denoise(self.model, rows, max_batch_size):
                if row.finish_reason is not None:
                    done()
        outputs = [[request.output() for request in group] for group in groups]
        return [replace(first, more=tuple(more)) for first, *more in outputs]

    def _stream(self, item: Any, params: SamplingParams | None, make: Make) -> Iterator[StepEvent]:
        (params,) = _each(params, 1)
        if params.n != 1:
            raise ConfigError(f"n={params.n}: a stream follows one sample; use n=1, or generate()")
        request = make(item, params, draw_seed(params))
        if isinstance(request, Candidates):
            raise ConfigError(
                f"the document leaves the width of a hole open, so {len(request.documents)} of its widths are tried; "
                "a stream (--show) follows one canvas: give each hole one width, as in <mask:12>, or use infill()"
            )

        def events() -> Iterator[StepEvent]:
            for row, change in denoise(self.model, [request.row], 1):
                yield StepEvent(
                    positions=change.positions,
                    token_ids=change.token_ids,
                    confidences=change.confidences,
                    revoked=change.revoked,
                    text=request.text_so_far(),
                    canvas=row.canvas.tolist(),
                    output=request.output() if row.finish_reason is not None else None,
                )

        return events()


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


def _each(params: Any, count: int) -> list[SamplingParams]:
    """One SamplingParams an item."""
    shared = SamplingParams() if params is None else params
    if isinstance(shared, SamplingParams):
        return [shared] * count
    if not isinstance(shared, Sequence) or not all(isinstance(one, SamplingParams) for one in shared):
        raise ConfigError(f"params={shared!r} must be a SamplingParams or a list of them")
    if len(shared) != count:
        raise ConfigError(f"params has {len(shared)} entries for {count} prompts; give one for all, or one a prompt")
    return list(shared)
