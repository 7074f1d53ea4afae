"""The model `dllm` of lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness).

The harness finds models by import: `import dllm.eval.lm_harness` registers this one, and

    python -m dllm.eval.lm_harness run --model dllm --model_args pretrained=tiny --tasks ...

is the harness's own command line with it. `dllm eval lm` is ours. docs/lm-evaluation.md says what a request does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from torch import Tensor
from tqdm import tqdm

from dllm import __version__
from dllm.engine.text_model import TextModel
from dllm.errors import ConfigError
from dllm.eval.costs import Costs, total
from dllm.eval.generation_kwargs import read_kwargs
from dllm.eval.harness_settings import Settings
from dllm.eval.harness_text import (
    answer_text,
    fitted_pair,
    fitted_prompt,
    longest_canvas,
    prefix_of,
)
from dllm.eval.kept_answers import KeptAnswer, KeptAnswers, key_of
from dllm.eval.likelihood import LowerBound, Pair, Scorer, over_windows, request_seed, windows
from dllm.eval.processes import Processes
from dllm.llm import LLM
from dllm.params import SamplingParams
from dllm.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_BATCHES = 8
"""Batches of prompts that are answered together; behind them the harness may cache the answers."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Requests of one kind, as they come from the harness.

    Attributes:
        arguments: of each.
        keys: by which their answers are kept.
        quiet: no bar.
    """

    kind: str
    arguments: Sequence[Any]
    keys: Sequence[str]
    quiet: bool


@register_model("dllm")
class DllmLM(TemplateLM):  # type: ignore[misc]  # the harness is not typed throughout
    """A masked-diffusion model under the harness.

    Args:
        pretrained: "tiny", a folder, a Hub id, or an `LLM`.
        arguments: see `dllm.eval.harness_settings.Settings`.

    Attributes:
        llm: the model.
        settings: all arguments.
        costs: kind of request -> `Costs` of this process.
        kept: where answers are kept; in memory only, and not for a second time, unless it is set.
        bounds: a `LowerBound` a likelihood request, in the order they were answered: the standard errors, for which the
            harness has no place. Answers out of the harness's own cache have none.

    Raises:
        DllmError: an argument that is unknown or not legal, or whatever is wrong with the model.
    """

    tokenizer: Tokenizer

    def __init__(self, pretrained: str | LLM = "tiny", **arguments: Any) -> None:
        super().__init__()
        self.settings = Settings.read({"pretrained": pretrained, **arguments})
        self._processes = Processes()
        self._rank, self._world_size = self._processes.rank, self._processes.size
        self.llm = self.settings.load(self._processes)
        assert self.llm.tokenizer is not None
        self.tokenizer, self._device = self.llm.tokenizer, self.llm.model.device
        self.batch_size = self.settings.batch_size
        self.max_length = longest_canvas(self.settings.max_length, self.llm.model.max_length)
        self._scorer = Scorer(
            TextModel(self.llm.model, self.tokenizer),
            samples=self.settings.mc_num,
            batch=self.settings.mc_batch or self.batch_size,
            cfg_scale=self.settings.cfg_scale,
            seed=self.settings.seed,
        )
        self.costs: dict[str, Costs] = {}
        self.kept = KeptAnswers()
        self._warmed: set[str] = set()
        self.bounds: list[LowerBound] = []
        self._everyones: list[tuple[dict[str, Costs], list[LowerBound]]] = []

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> DllmLM:
        """See the harness: `name=value,...` as its command line takes them."""
        model: DllmLM = super().create_from_arg_string(arg_string, _own(additional_config))
        return model

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> DllmLM:
        """See the harness: a dict, the only way to give a scheduler that has commas."""
        model: DllmLM = super().create_from_arg_obj(arg_dict, _own(additional_config))
        return model

    # text and ids

    @property
    def eot_token_id(self) -> int | None:
        """The id that ends an answer, or None."""
        return next(iter(self.llm.model.eos_token_ids), None)

    @property
    def prefix_token_id(self) -> int | None:
        """Stands in front of a text without a context: BOS, or nothing. (No EOS: a mask needs no token before it.)"""
        return prefix_of(self.tokenizer)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Ids of a text, verbatim: no BOS, whatever `add_special_tokens` says, as in `LLM.generate`."""
        return self.tokenizer.encode(string)

    @property
    def tokenizer_name(self) -> str:
        """Tells the harness's cache of built requests whose chat template is in them."""
        return self.settings.name.replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template that `apply_chat_template` uses; None where none is asked for.

        Raises:
            ConfigError: a template by name, or a tokenizer without one.
        """
        if not chat_template:
            return None
        if isinstance(chat_template, str):
            raise ConfigError(f"chat_template={chat_template!r}: a tokenizer has one template here; give True")
        if self.tokenizer.chat_template is None:
            raise ConfigError("this tokenizer has no chat template; leave out apply_chat_template")
        return self.tokenizer.chat_template

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as a prompt. A last message of the assistant's begins the answer: the harness says so with
        `add_generation_prompt=False`, and here it needs no saying."""
        return self.tokenizer.apply_chat_template(chat_history)

    # requests

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers without the stop string. A prompt that leaves no room for its answer loses its beginning.

        The noise is a function of `seed`, the prompt, and which repeat of the request it is.
        """
        own, prompts, each, seen = self.settings, list[list[int]](), list[SamplingParams](), Counter[tuple[str, str]]()
        keys = list[str]()
        for text, kwargs in (request.args for request in requests):
            params = read_kwargs(
                kwargs,
                own.params,
                max_gen_toks=own.max_gen_toks,
                max_new_tokens=own.max_new_tokens,
                temperature=own.temperature,
            )
            ids = self.tok_encode(text) or [id for id in (self.prefix_token_id,) if id is not None]
            prompts.append(fitted_prompt(ids, params.max_new_tokens, self.max_length))
            repeats = seen[text, repr(kwargs)]
            each.append(replace(params, seed=request_seed(own.seed, prompts[-1], repeats)))
            keys.append(key_of("generate_until", (text, kwargs), repeats))
            seen[text, repr(kwargs)] += 1

        def answered(part: Sequence[int]) -> list[KeptAnswer]:
            asked, how = [prompts[i] for i in part], [each[i] for i in part]
            outputs = self.llm.generate(asked, how, max_batch_size=self.batch_size, progress=False)
            return [
                KeptAnswer(
                    value=answer_text(self.tokenizer, output.token_ids, params.stop),
                    forwards=output.stats.forwards,
                    tokens=output.stats.tokens,
                )
                for params, output in zip(how, outputs, strict=True)
            ]

        questions = Questions("generate_until", [request.args for request in requests], keys, disable_tqdm)
        return self._answers(questions, _BATCHES * self.batch_size, answered, lambda first: answered([first]))

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The bound on log p(continuation | context) in nats, and `is_greedy`; see `dllm.eval.likelihood`."""
        encoded = [(request.args, *self._encoded(*request.args)) for request in requests]
        return self._loglikelihood_tokens(encoded, disable_tqdm=disable_tqdm)

    def _encoded(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of both, by the harness's rules: spaces that end the context belong to the continuation."""
        if context.strip():
            both: tuple[list[int], list[int]] = self._encode_pair(context, continuation)
            return both
        # white space alone goes over to the continuation, and leaves no context either
        ids, prefix = self.tok_encode(context + continuation), self.prefix_token_id
        if prefix is None:
            return [], ids
        return (ids[:1], ids[1:]) if ids[:1] == [prefix] else ([prefix], ids)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [fitted_pair(context, own, self.max_length, args) for args, context, own in requests]
        asked = [args for args, *_ids in requests]

        def answered(part: Sequence[int]) -> list[KeptAnswer]:
            own = [pairs[i] for i in part]
            bounds = self._scorer.bounds(own)
            if self.settings.greedy:
                bounds = self._scorer.greedy(own, bounds)
            return [_scored((bound.value, bound.greedy), bound) for bound in bounds]

        questions = Questions("loglikelihood", asked, [key_of("loglikelihood", args) for args in asked], disable_tqdm)
        size = max(self.batch_size, self._scorer.batch)
        return self._answers(
            questions, size, answered, lambda first: self._scorer.warm_up(pairs[first], greedy=self.settings.greedy)
        )

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The bound on log p of a whole text, in nats; where it is longer than a canvas, summed over windows."""
        prefix = [id for id in (self.prefix_token_id,) if id is not None]
        asked, pairs = [request.args for request in requests], list[list[Pair]]()
        for (text,) in asked:
            ids = self.tok_encode(text)
            ids = ids[1:] if ids[:1] == prefix else ids
            pairs.append(windows(ids, prefix, self.max_length) if ids else [])

        def answered(part: Sequence[int]) -> list[KeptAnswer]:
            bounds = [over_windows(self._scorer.bounds(pairs[i])) for i in part]
            return [_scored(bound.value, bound) for bound in bounds]

        keys = [key_of("loglikelihood_rolling", args) for args in asked]
        questions = Questions("loglikelihood_rolling", asked, keys, disable_tqdm)
        return self._answers(questions, 1, answered, lambda first: self._scorer.warm_up(*pairs[first][:1]))

    def _answers(
        self,
        asked: Questions,
        size: int,
        answered: Callable[[Sequence[int]], list[KeptAnswer]],
        warm_up: Callable[[int], object],
    ) -> list[Any]:
        """The answers to all questions: those that are kept, and `size` of the others at a time, with a bar.

        Args:
            answered: of questions by their numbers.
            warm_up: what answering sets up the first time (kernels, for one), set up with a question for nothing, so
                that it is in no question's time.
        """
        found = [self.kept.get(key) for key in asked.keys]
        left = [number for number, answer in enumerate(found) if answer is None]
        if left and asked.kind not in self._warmed:
            warm_up(left[0])
            self._warmed.add(asked.kind)
        bar = tqdm(total=len(found), desc=f"dllm: {asked.kind}", disable=asked.quiet or self.rank != 0)
        with bar:
            bar.update(len(found) - len(left))
            for start in range(0, len(left), size):
                part = left[start : start + size]
                began = perf_counter()
                made = answered(part)
                share = (perf_counter() - began) / len(part)
                new = {number: replace(one, seconds=share) for number, one in zip(part, made, strict=True)}
                self.kept.add((asked.keys[number], one) for number, one in new.items())
                for number, one in new.items():
                    found[number] = one
                    self.cache_hook.add_partial(asked.kind, asked.arguments[number], one.value)
                bar.update(len(part))
        return self._counted(asked.kind, [answer for answer in found if answer is not None])

    def _counted(self, kind: str, answers: Sequence[KeptAnswer]) -> list[Any]:
        """What the harness gets, with its costs added up."""
        costs = self.costs.setdefault(kind, Costs())
        for one in answers:
            costs.add(requests=1, forwards=one.forwards, tokens=one.tokens, seconds=one.seconds)
            self.bounds += [] if one.bound is None else [one.bound]
        return [one.value for one in answers]

    # several processes, and what it all cost

    def all_gather(self, tensor: Tensor) -> Tensor:
        """See the harness: a tensor of each process, end to end."""
        return self._processes.concatenated(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """See the harness: an object of each process, for process `dst`."""
        return self._processes.collected(obj, dst)

    def barrier(self) -> None:
        """Wait for the others, and learn what they have spent: the harness calls this on all after each kind."""
        self._everyones = self._processes.everyones((self.costs, self.bounds))

    def summary(self) -> dict[str, Any]:
        """What all requests of all processes cost, as JSON values: totals, by kind, and the likelihood's errors."""
        spent = self._everyones if self.world_size > 1 else [(self.costs, self.bounds)]
        kinds = dict.fromkeys(kind for costs, _ in spent for kind in costs)
        by_kind = {kind: total((costs[kind] for costs, _ in spent if kind in costs), at_once=True) for kind in kinds}
        errors = [bound.standard_error for _, bounds in spent for bound in bounds]
        return {
            **total(by_kind.values()).to_dict(),
            "processes": self.world_size,
            "by_kind": {kind: costs.to_dict() for kind, costs in by_kind.items()},
            "likelihood_standard_error": {"mean": sum(errors) / len(errors), "max": max(errors)} if errors else None,
        }

    def get_model_info(self) -> dict[str, Any]:
        """What the harness adds to the configuration in its results."""
        settled = self.llm.engine.settled(self.settings.params)
        used = {"scheduler": str(settled.scheduler), "block_length": int(settled.block_length)}
        return {"dllm": {"version": __version__, **self.settings.to_dict(), **used, "costs": self.summary()}}


def _scored(value: Any, bound: LowerBound) -> KeptAnswer:
    return KeptAnswer(value=value, forwards=bound.forwards, tokens=bound.tokens, bound=bound)


def _own(config: dict[str, Any] | None) -> dict[str, Any]:
    """What the harness adds, without its default device: ours is the same where there is a GPU, and works elsewhere."""
    config = config or {}
    return {name: value for name, value in config.items() if (name, value) != ("device", "cuda:0")}


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
