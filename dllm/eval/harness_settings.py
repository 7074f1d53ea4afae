"""The arguments of the model `dllm` of lm-evaluation-harness, checked when they are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from dllm.arguments import in_range, whole
from dllm.errors import ConfigError, nearest
from dllm.eval.processes import Processes
from dllm.llm import LLM
from dllm.params import SamplingParams


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `--model_args` may say.

    Attributes:
        pretrained: "tiny", a folder, a Hub id, or an `LLM`; the next six say how to load it, as in `LLM`.
        tokenizer, dtype, device, revision, mask_token_id, quantize: see `LLM`. Of several processes each takes a GPU of
            its own.
        max_length: longest canvas in tokens; the model's own by default, and at most that.
        batch_size: rows generated together; no answer depends on it.
        max_new_tokens: canvas behind every prompt, whatever a task says.
        max_gen_toks: canvas behind the prompts of tasks that say nothing.
        temperature: whatever a task says.
        scheduler, cache, block_length, steps: see `SamplingParams`; None leaves it to the model.
        cfg_scale: classifier-free guidance of generation and likelihood; see `SamplingParams`.
        seed: of the noise, and of the masks of the likelihood.
        mc_num: masks drawn for a likelihood, at least 2.
        mc_batch: canvases a forward of the likelihood; `batch_size` by default.
        greedy: find out `is_greedy` of each `loglikelihood`, which takes up to L more forwards; else it is False.

    Raises:
        ConfigError: a value that is not legal.
    """

    pretrained: str | LLM = "tiny"
    tokenizer: Any = None
    dtype: str | torch.dtype = "auto"
    device: str | torch.device = "auto"
    revision: str | None = None
    mask_token_id: int | None = None
    quantize: str | None = None
    max_length: int | None = None
    batch_size: int = 16
    max_new_tokens: int | None = None
    max_gen_toks: int = 256
    temperature: float | None = None
    scheduler: str | None = None
    cache: str = "none"
    block_length: int | None = None
    steps: int | None = None
    cfg_scale: float = 0.0
    seed: int = 0
    mc_num: int = 128
    mc_batch: int | None = None
    greedy: bool = False

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size, 1)
        whole("max_length", self.max_length, 2, optional=True)
        whole("max_new_tokens", self.max_new_tokens, 1, optional=True)
        whole("max_gen_toks", self.max_gen_toks, 1)
        in_range("temperature", self.temperature, 0.0, optional=True)
        whole("seed", self.seed, 0)
        whole("mc_num", self.mc_num, 2, 1_000_000)
        whole("mc_batch", self.mc_batch, 1, optional=True)
        if not isinstance(self.greedy, bool):
            raise ConfigError(f"greedy={self.greedy!r} must be true or false")
        _ = self.params  # names a wrong value now

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> Settings:
        """From what the harness passes: None is the default, and numbers may come as text.

        Raises:
            ConfigError: an argument that is unknown, or a value that is not legal.
        """
        legal = [field.name for field in fields(cls)]
        given = {name: value for name, value in arguments.items() if value is not None}
        for name, value in given.items():
            if name == "max_batch_size":
                raise ConfigError(f"max_batch_size={value!r} is not supported; give batch_size, rows a forward")
            if name not in legal:
                raise ConfigError(
                    f"model_args: {name}={value!r} is not known; legal are {', '.join(legal)}.{nearest(name, legal)}"
                )
        size = given.get("batch_size")
        if isinstance(size, str):  # the harness hands on what its command line said
            if not size.isdecimal():
                raise ConfigError(f"batch_size={size!r} must be a whole number of rows; there is no automatic one")
            given["batch_size"] = int(size)
        return cls(**given)

    @property
    def params(self) -> SamplingParams:
        """What a task does not say about its answers."""
        own = {"block_length": self.block_length, "scheduler": self.scheduler}
        asked: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
        return SamplingParams(
            max_new_tokens=self.max_new_tokens or self.max_gen_toks,
            steps=self.steps,
            temperature=self.temperature or 0.0,
            cfg_scale=self.cfg_scale,
            cache=self.cache,
            **asked,
        )

    def load(self, processes: Processes) -> LLM:
        """The model, on this process's device.

        Raises:
            ConfigError: no tokenizer, or how to load an `LLM` that is loaded.
            DllmError: whatever is wrong with the model.
        """
        how = (self.tokenizer, self.dtype, self.device, self.revision, self.mask_token_id, self.quantize)
        if isinstance(self.pretrained, LLM):
            if how != (None, "auto", "auto", None, None, None):
                raise ConfigError(
                    "tokenizer, dtype, device, revision, mask_token_id and quantize apply to folders and Hub ids; give "
                    "them to LLM(...)"
                )
            llm = self.pretrained
        else:
            llm = LLM(
                self.pretrained,
                tokenizer=self.tokenizer,
                dtype=self.dtype,
                device=processes.device(self.device),
                revision=self.revision,
                mask_token_id=self.mask_token_id,
                quantize=self.quantize,
            )
        if llm.tokenizer is None:
            raise ConfigError(f"pretrained={self.name}: the harness asks in text; give tokenizer=FOLDER")
        return llm

    @property
    def name(self) -> str:
        return self.pretrained if isinstance(self.pretrained, str) else type(self.pretrained.model).__name__

    def to_dict(self) -> dict[str, Any]:
        """JSON values; a model or a tokenizer that is an object by its name."""
        plain = {
            field.name: value if isinstance(value := getattr(self, field.name), int | float | None) else str(value)
            for field in fields(self)
        }
        return plain | {"pretrained": self.name}
