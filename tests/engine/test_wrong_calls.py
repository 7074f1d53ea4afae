"""Calls as other programs spell them, and values that are no prompts, grammars or models: a line that names the fix."""

import math
import re
import time

import numpy
import pytest
import torch

from dllm import (
    LLM,
    Batcher,
    ConfigError,
    DllmError,
    Grammar,
    GrammarError,
    Hole,
    PromptError,
    SamplingParams,
    StepError,
    Trace,
)
from dllm.cache import as_cache, caches
from dllm.engine.document import parse_template
from dllm.registry import argument_types
from dllm.schedulers import Prophet, as_scheduler, schedulers
from tests.support.fakes import MixDenoiser


@pytest.fixture(scope="module")
def llm():
    return LLM(MixDenoiser())


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("max_tokens", "max_new_tokens"),
        ("gen_length", "max_new_tokens"),
        ("max_length", "max_new_tokens"),
        ("num_return_sequences", "here it is n"),
        ("stop_sequences", "here it is stop"),
        ("remasking", "llada(remasking=...)"),
        ("guided_json", "Grammar.from_json_schema"),
        ("do_sample", "temperature=0"),
        ("tempratur", "Did you mean 'temperature'"),
        ("wholly_unknown", "Known: max_new_tokens"),
    ],
)
def test_foreign_names_of_parameters(name, here):
    with pytest.raises(ConfigError, match=name) as caught:
        SamplingParams(**{name: 3})
    assert here in str(caught.value)
    with pytest.raises(TypeError):  # what Python says of such a call
        SamplingParams(**{name: 3})


@pytest.mark.parametrize("method", ["generate", "chat", "infill"])
@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("max_new_tokens", "SamplingParams(max_new_tokens=...)"),
        ("gen_length", "SamplingParams(max_new_tokens=...)"),
        ("remasking", "SamplingParams(scheduler='llada(remasking=...)')"),
        ("sampling_params", "here it is params"),
        ("progess", "Did you mean 'progress'"),
    ],
)
def test_foreign_names_at_the_front_door(llm, method, name, here):
    with pytest.raises(ConfigError, match=name) as caught:
        getattr(llm, method)("a", **{name: 3})
    assert here in str(caught.value)


def test_foreign_names_of_a_model():
    with pytest.raises(ConfigError, match="here it is dtype"):
        LLM(MixDenoiser(), torch_dtype="float32")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Grammar.builtin("json").accepts(b"{}"), "decode it first"),
        (lambda: Grammar.builtin("json").explain(None), "not NoneType"),
        (lambda: Grammar.from_choices("abc"), "several texts"),
        (lambda: Grammar.from_choices(None), "must be a list of texts"),
        (lambda: Grammar.from_choices([1]), "must be a str"),
        (lambda: Grammar.from_regex(3), "must be a str"),
        (lambda: Grammar("start: A"), "Grammar.from_lark"),
        (lambda: Grammar.builtin("json").compile("tiny"), "llm.vocabulary"),
    ],
)
def test_what_is_no_grammar(call, said):
    with pytest.raises(GrammarError, match=said):
        call()


@pytest.mark.parametrize("value", ["tiny", None, 3, MixDenoiser()])
def test_what_is_no_llm(value):
    with pytest.raises(ConfigError, match="Batcher takes an LLM"):
        Batcher(value)


def test_nothing_to_begin_with_names_the_way():
    tiny = LLM("tiny")
    with pytest.raises(PromptError, match=r"empty; .* give '<\|startoftext\|>'"):
        tiny.generate("")
    assert tiny.generate("<|startoftext|>", SamplingParams(max_new_tokens=2)).stats.forwards
    with pytest.raises(DllmError, match="empty"):
        LLM(MixDenoiser()).generate([])


ODD = [b"x", None, numpy.float32(0.5), numpy.array([1, 2]), torch.tensor(3), torch.tensor([1, 2]), math.nan, math.inf]
ODD += [10**400, -(10**400), "a" * 5000, "", [], [None], {"a": 1}, object(), lambda: 1, 1j, range(3), ...]
"""Of every kind: what is no answer to any question, what compares to no bool, what no float or message holds."""


def tried(call, *values):
    """How a call takes each value: None, or what is not a `DllmError` of a readable length."""
    for value in values:
        try:
            call(value)
        except DllmError as error:
            if len(str(error)) > 600 or isinstance(error, StepError):
                yield f"{value!r:.40}: {error!r:.300}"
        except Exception as error:
            yield f"{type(value).__name__}: {error!r:.300}"


def test_odd_values_of_parameters():
    for name in SamplingParams.__dataclass_fields__:
        assert not [*tried(lambda value, name=name: SamplingParams(**{name: value}), *ODD)], name
        with pytest.raises(ConfigError):
            SamplingParams(**{name: 10**5000})  # Python does not write so many digits


def test_odd_values_at_every_door(llm):
    tiny, few = LLM("tiny", device="cpu"), SamplingParams(max_new_tokens=2)
    trace = llm.generate([1, 2], few).trace
    doors = {
        "generate": lambda value: llm.generate(value, few),
        "generate, a list": lambda value: llm.generate([value], few),
        "params": lambda value: llm.generate([1], few if value is None else value),
        "on_error": lambda value: llm.generate([1], few, on_error=value),
        "progress": lambda value: llm.generate([1], few, progress=value),
        "max_batch_size": lambda value: llm.generate([1], few, max_batch_size=value),
        "messages": lambda value: tiny.chat(value, few),
        "a message": lambda value: tiny.chat([value], few),
        "content": lambda value: tiny.chat([{"role": "user", "content": value}], few),
        "a type of part": lambda value: tiny.chat([{"role": "user", "content": [{"type": value, "text": "a"}]}], few),
        "infill": lambda value: llm.infill(value, few),
        "stream_infill": lambda value: [*llm.stream_infill(value, few)],
        "a part": lambda value: llm.infill([value, Hole(2)], few),
        "Hole": Hole,
        "Hole(max)": lambda value: Hole(min=1, max=value),
        "LLM": LLM,
        "Grammar.builtin": Grammar.builtin,
        "from_choices": Grammar.from_choices,
        "property_order": lambda value: Grammar.from_json_schema({}, property_order=value),
        "replay": lambda value: [*trace.replay(value)],
        "render": lambda value: [*trace.render(value)],
        "as_scheduler": as_scheduler,
        "as_cache": as_cache,
    }
    for name in ("dtype", "device", "device_map", "revision", "mask_token_id", "quantize"):
        doors[f"LLM({name})"] = lambda value, name=name: LLM("tiny", **{name: value})
        doors[f"LLM(object, {name})"] = lambda value, name=name: LLM(MixDenoiser(), **{name: value})
    for name, call in doors.items():
        assert not [*tried(call, *ODD)], name


@pytest.mark.parametrize("registry", [schedulers, caches], ids=["schedulers", "caches"])
def test_odd_values_of_components(registry):
    for name in registry.names():
        for argument in argument_types(registry.get(name)):
            found = [*tried(lambda value, name=name, argument=argument: registry.get(name)(**{argument: value}), *ODD)]
            assert not found, (name, argument)


@pytest.mark.parametrize(
    "spec",
    [
        "drift(layer=true)",
        "adablock(delimiters=99999999999999999999)",
        f"prophet(region=0:{'9' * 5000})",
        f"{'a' * 5000}(1)",
        f"threshold({'a' * 5000}=1)",
        "credit(strength=1e300)",
    ],
)
def test_odd_specs(spec):
    kind = "cache" if spec.startswith("drift") else "scheduler"
    with pytest.raises(ConfigError) as caught:
        SamplingParams(**{kind: spec})
    assert len(str(caught.value)) < 600


def test_long_specs_and_documents_are_read_in_linear_time():
    began = time.process_time()
    with pytest.raises(ConfigError, match="twice"):
        as_scheduler("+".join(["threshold"] * 20_000))
    assert parse_template("<<mask:" * 100_000 + "<mask:3>") == ["<mask:" * 100_000, Hole(3)]
    assert time.process_time() - began < 5


def test_planted_ids_are_the_models():
    tiny = LLM("tiny", device="cpu")
    with pytest.raises(ConfigError, match=r"outside of 0\.\.\.1663"):
        tiny.generate("a", SamplingParams(max_new_tokens=300, scheduler=Prophet(region=(1664, 2))))


@pytest.mark.parametrize("value", [{"max_new_tokens": 10**9}, {"max_new_tokens": 2**62}])
def test_no_memory_is_taken_for_slips(llm, value):
    with pytest.raises(ConfigError, match="at most 1000000"):
        llm.generate([1], SamplingParams(**value))
    with pytest.raises(ConfigError, match="at most 1000000"):
        llm.infill([[1], Hole(value["max_new_tokens"])])


def test_a_trace_that_does_not_fit_is_named(llm):
    trace = llm.generate([1, 2], SamplingParams(max_new_tokens=4)).trace
    for line in ('"positions": [99]', '"positions": ["a"]', '"revoked": [77]', '"length": "x"'):
        name = line.split(":")[0]
        header, step, *_ = trace.to_jsonl().splitlines()
        broken = re.sub(rf"{name}: (\[[^]]*\]|\d+)", line, step).replace("[99]", "[99, 99, 99, 99]")
        with pytest.raises(ConfigError, match=r"does not fit|not a dllm trace"):
            list(Trace.from_jsonl(f"{header}\n{broken}\n").replay())
