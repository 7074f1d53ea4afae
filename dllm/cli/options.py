"""Options that commands share, as dataclasses: a `grouped` command takes each group as one parameter."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from dllm.cli.inputs import unescape
from dllm.cli.registered import CACHES
from dllm.cli.shell import UsageError

if TYPE_CHECKING:
    from dllm import LLM, Grammar, SamplingParams

_MODEL, _SAMPLING, _OUTPUT = "Model", "Sampling", "Output"


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model, and how to load it."""

    model: Annotated[
        str, Option("--model", "-m", help="tiny (embedded), a folder, or a Hub id.", rich_help_panel=_MODEL)
    ] = "tiny"
    tokenizer: Annotated[
        str | None, Option(help="A folder or Hub id, if not the model's own.", rich_help_panel=_MODEL)
    ] = None
    dtype: Annotated[str, Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=_MODEL)] = "auto"
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_MODEL)] = "auto"
    revision: Annotated[str | None, Option(help="Branch, tag or commit of a Hub id.", rich_help_panel=_MODEL)] = None
    mask_token_id: Annotated[
        int | None, Option(help="Overrides what the model's files say.", rich_help_panel=_MODEL)
    ] = None
    quantize: Annotated[
        str | None, Option(help="int8 or int4 weights, for small cards; needs torchao.", rich_help_panel=_MODEL)
    ] = None

    def folder(self) -> Path:
        """Where its files are. Raises UsageError if what is named is no model."""
        folder = _located("--model", self.model, self.revision)
        if not (folder / "config.json").is_file():
            raise UsageError(f"--model {self.model}: not a model folder, it has no config.json")
        return folder

    def tokenizer_folder(self) -> Path | None:
        """Where the files of its own tokenizer are. Raises UsageError if what is named is none."""
        return None if self.tokenizer is None else _located("--tokenizer", self.tokenizer)

    def load(self) -> LLM:
        """The model, ready. Raises UsageError if what is named is no model at all, ModelError if it is a broken one."""
        from dllm import LLM

        return LLM(
            self.folder(),
            tokenizer=self.tokenizer_folder(),
            dtype=self.dtype,
            device=self.device,
            mask_token_id=self.mask_token_id,
            quantize=self.quantize,
        )


def _located(option: str, name: str, revision: str | None = None) -> Path:
    """Where the files of a model or tokenizer are. A name that leads nowhere is the user's mistake."""
    from dllm.errors import ModelError
    from dllm.hub import TINY, resolve_folder

    if not name:
        raise UsageError(f"{option} is empty; give a folder, a Hub id or {TINY}")
    try:
        return resolve_folder(name, revision)
    except ModelError as error:
        if name == TINY:  # the packaged model is absent: that is ours
            raise
        raise UsageError(f"{option} {name}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The fields of SamplingParams, with its defaults (a test holds them together); None where a model has its own."""

    max_new_tokens: Annotated[
        int, Option("--max-new-tokens", "-n", help="Tokens to make room for.", rich_help_panel=_SAMPLING)
    ] = 128
    block_length: Annotated[
        int | None, Option(help="Tokens a block; else the model's, or 32.", rich_help_panel=_SAMPLING)
    ] = None
    steps: Annotated[
        int | None,
        Option(help="Steps over the whole answer; schedulers llada and dream only.", rich_help_panel=_SAMPLING),
    ] = None
    temperature: Annotated[float, Option(help="0 = most probable token.", rich_help_panel=_SAMPLING)] = 0.0
    top_p: Annotated[
        float | None, Option(help="Smallest set of tokens of this probability.", rich_help_panel=_SAMPLING)
    ] = None
    top_k: Annotated[int | None, Option(help="The k most probable tokens.", rich_help_panel=_SAMPLING)] = None
    cfg_scale: Annotated[float, Option(help="Classifier-free guidance; 0 = off.", rich_help_panel=_SAMPLING)] = 0.0
    seed: Annotated[int | None, Option(help="Of the noise; drawn if not given.", rich_help_panel=_SAMPLING)] = None
    samples: Annotated[
        int, Option(min=1, help="Samples a prompt, with seeds SEED, SEED+1, ...", rich_help_panel=_SAMPLING)
    ] = 1
    scheduler: Annotated[
        str | None,
        Option(
            "--scheduler",
            "-s",
            help="SPEC, see `dllm schedulers`; else the model's, or threshold(0.9).",
            rich_help_panel=_SAMPLING,
        ),
    ] = None
    cache: Annotated[str, Option(help=f"{CACHES}.", rich_help_panel=_SAMPLING)] = "auto"
    stop: Annotated[
        list[str] | None,
        Option(help="End the answer before this text; may be repeated. Not with a grammar.", rich_help_panel=_SAMPLING),
    ] = None
    ignore_eos: Annotated[bool, Option("--ignore-eos", help="Fill the whole answer.", rich_help_panel=_SAMPLING)] = (
        False
    )
    cut_at_eos: Annotated[
        str,
        Option(
            metavar="now|end",
            help="An end of text cuts the answer now, or when everything is denoised.",
            rich_help_panel=_SAMPLING,
        ),
    ] = "now"
    min_new_tokens: Annotated[
        int, Option(metavar="N", help="No end of text among the first N tokens.", rich_help_panel=_SAMPLING)
    ] = 0
    logit_bias: Annotated[
        list[str] | None,
        Option(
            metavar="ID=BIAS", help="Added to an id's logit; -inf: never. May be repeated.", rich_help_panel=_SAMPLING
        ),
    ] = None

    stop_token_ids: Annotated[
        list[int] | None,
        Option(
            "--stop-token-id",
            metavar="ID",
            help="End the answer before this id; may be repeated. Not with a grammar.",
            rich_help_panel=_SAMPLING,
        ),
    ] = None
    logprobs: Annotated[
        int | None,
        Option(
            metavar="K",
            help="Record log-probabilities at commit, and those of the K best ids (--json, --trace).",
            rich_help_panel=_SAMPLING,
        ),
    ] = None

    def params(self, grammar: Grammar | None, *, escape: bool = False) -> SamplingParams:
        """Checked. With `escape`, stop strings are unescaped as the prompt is."""
        from dllm import SamplingParams

        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        stop = given.pop("stop") or ()
        given["logit_bias"] = dict(map(_bias, given["logit_bias"] or ())) or None
        given = {name: value for name, value in given.items() if value is not None}
        return SamplingParams(
            n=given.pop("samples"),
            stop=tuple(unescape(text) if escape else text for text in stop),
            grammar=grammar,
            **given,
        )


def _bias(text: str) -> tuple[int, float]:
    """Of `ID=BIAS`."""
    token, _, bias = text.partition("=")
    try:
        return int(token), float(bias)
    except ValueError:
        raise UsageError(f"--logit-bias {text!r} must be ID=BIAS, as in 1234=-5 or 1234=-inf") from None


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What to print beside the text."""

    as_json: Annotated[
        bool, Option("--json", help="One JSON object on stdout instead of the text.", rich_help_panel=_OUTPUT)
    ] = False
    stats: Annotated[bool, Option("--stats", help="Costs on stderr.", rich_help_panel=_OUTPUT)] = False
    show: Annotated[
        bool,
        Option(
            "--show",
            help="Watch the canvas on stderr: animated on a terminal, else a line a step. Slows the run down.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False
    trace: Annotated[
        Path | None, Option(metavar="FILE", help="Write what each step did, as JSONL.", rich_help_panel=_OUTPUT)
    ] = None

    def check(self, params: SamplingParams) -> None:
        """Refuse what cannot work before a model is loaded."""
        if params.n > 1 and (self.show or self.trace is not None):
            option = "--show" if self.show else "--trace"
            raise UsageError(f"{option} follows one sample, and --samples is {params.n}; use --samples 1")
        if self.trace is not None and (self.trace.is_dir() or not self.trace.absolute().parent.is_dir()):
            raise UsageError(f"--trace {self.trace}: not a file in an existing folder")


Escape = Annotated[bool, Option("--escape", "-e", help=r"Read \n, \t, \r and \\ in the arguments as in C.")]
