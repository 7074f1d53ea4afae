"""Calls as other programs spell them, and values that are no prompts, grammars or models: a line that names the fix."""

import pytest

from dllm import LLM, Batcher, ConfigError, DllmError, Grammar, GrammarError, PromptError, SamplingParams
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
