"""Schedulers, caches and models written outside the package, in the ways people write them."""

import numpy as np
import pytest
import torch

from dllm import LLM, ConfigError, Hole, ModelError, PromptError, SamplingParams
from dllm.cache import Cache, Feed, as_cache
from dllm.cache import register as register_cache
from dllm.schedulers import Scheduler, as_scheduler, register
from tests.support.checkpoints import LLADA, TIED, copy
from tests.support.fakes import EOS, MASK, MixDenoiser, ScriptedDenoiser, wish


class Plain(Scheduler):
    def select(self, view, state):
        return view.best(view.confidence, 1), state


class Child(Plain):
    pass


class Untyped(Scheduler):
    def __init__(self, k=2, by="confidence", strict=False):
        self.k, self.by, self.strict = k, by, strict
        self.measures = frozenset({"margin", "confidence"})

    def select(self, view, state):
        return view.best(view.measures["margin"], self.k), state


class Whole(Cache):
    stores = False

    def feed(self, view, lookback):
        return Feed(0, len(view.canvas))


@pytest.fixture(autouse=True)
def named():
    register("test_plain")(Plain)
    register("test_child")(Child)
    register("test_untyped")(Untyped)
    register_cache("test_whole")(Whole)


def test_no_constructor_of_its_own():
    for spec in ("test_plain", "test_plain()", "test_child", "test_plain+threshold(0.9)"):
        out = LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=4, scheduler=spec, cache="test_whole"))
        assert out.stats.slots >= 1 and out.stats.cache == "test_whole"
    assert str(as_scheduler("test_plain")) == "test_plain" and str(as_cache("test_whole")) == "test_whole"
    with pytest.raises(ConfigError, match="takes no arguments"):
        as_scheduler("test_plain(3)")


def test_no_annotations():
    scheduler = as_scheduler("test_untyped(3, strict=true)")
    assert (scheduler.k, scheduler.by, scheduler.strict) == (3, "confidence", True)
    assert str(scheduler) == "test_untyped(k=3, strict=True)"
    assert LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=6, scheduler=scheduler)).stats.forwards <= 2


@pytest.mark.parametrize(
    "answer", [lambda m: m.long(), lambda m: m.tolist(), lambda m: m[:-1], lambda m: torch.ones(len(m) + 1).bool()]
)
def test_a_choice_that_is_no_mask_is_refused(answer):
    class Odd(Scheduler):
        def select(self, view, state):
            return answer(view.active), state

    class Bare(Scheduler):
        def select(self, view, state):
            return view.active

    for scheduler in (Odd(), Bare()):
        with pytest.raises(ConfigError, match="bool tensor of shape"):
            LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=3, scheduler=scheduler))


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
def test_extreme_temperatures_never_commit_the_mask(temperature):
    model = MixDenoiser()
    for spec in ("topk", "dream"):
        params = SamplingParams(max_new_tokens=6, temperature=temperature, scheduler=spec, seed=0, ignore_eos=True)
        out = LLM(model).generate([1], params)
        assert MASK not in out.token_ids
        if temperature < 1:
            greedy = SamplingParams(max_new_tokens=6, scheduler=spec, ignore_eos=True)
            assert out.token_ids == LLM(model).generate([1], greedy).token_ids
    with pytest.raises(ConfigError, match="temperature"):
        SamplingParams(temperature=1e39)


@pytest.mark.parametrize("spec", ["llada", "dream"])
@pytest.mark.parametrize("steps", [3, 4, 7])
def test_steps_are_never_exceeded_in_infill(spec, steps):
    document = [Hole(2), [1] * 40, Hole(5), [2] * 40, Hole(3)]
    params = SamplingParams(steps=steps, scheduler=spec)
    assert LLM(MixDenoiser()).infill(document, params).stats.forwards <= steps
    with pytest.raises(ConfigError, match="fewer than the 3 blocks"):
        LLM(MixDenoiser()).infill(document, SamplingParams(steps=2, scheduler=spec))


def test_ends_of_any_form():
    for ends, kept in ((None, ()), (EOS, (EOS,)), ([EOS, 99], (EOS,)), (np.int64(EOS), (EOS,))):
        model = ScriptedDenoiser(wish([4, EOS], [0.9] * 2, 1), eos=ends)
        assert LLM(model).model.eos_token_ids == kept
    with pytest.raises(ModelError, match="eos_token_ids"):
        LLM(ScriptedDenoiser(wish([4], [0.9], 1), eos="end"))


def test_mistakes_that_were_raw_exceptions():
    llm = LLM(MixDenoiser())
    for call in (
        lambda: SamplingParams(stop=None),
        lambda: SamplingParams(stop=5),
        lambda: SamplingParams(ignore_eos="no"),
        lambda: as_scheduler("topk(k=2.5)"),
        lambda: llm.stream([1], [SamplingParams(), SamplingParams()]),
        lambda: llm.stream([1], {"n": 1}),
        lambda: llm.generate([1], max_batch_size="many"),
        lambda: LLM(MixDenoiser(), device="cuda:7"),
    ):
        with pytest.raises(ConfigError):
            call()
    for call in (
        lambda: llm.chat({"role": "user", "content": "x"}),
        lambda: llm.chat("hi"),
        lambda: llm.infill("<mask:" + "9" * 5000 + ">"),
    ):
        with pytest.raises(PromptError):
            call()


def test_a_tied_head_has_no_bias_of_its_own(tmp_path):
    """The published module applies the embedding alone where the head is tied, whatever include_bias says."""
    from safetensors.torch import load_file

    from dllm import load_model

    tensors = load_file(TIED / "model.safetensors")
    for name in list(tensors):
        if tensors[name].dim() == 2 and "wte" not in name:
            tensors.setdefault(name.replace("weight", "bias"), torch.zeros(tensors[name].shape[0]))
    model = load_model(copy(TIED, tmp_path, tensors, include_bias=True))
    ids = torch.arange(8)[None]
    torch.testing.assert_close(model.logits(ids), load_model(TIED).logits(ids))


def test_huge_holes_are_refused_before_they_are_made():
    with pytest.raises(PromptError, match="1000000 tokens"):
        LLM(LLADA).infill([[1], Hole(1_000_000)])
    with pytest.raises(ConfigError, match="Hole width=999999999 must be at most 1000000"):
        Hole(999_999_999)
