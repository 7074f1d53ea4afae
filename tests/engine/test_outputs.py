"""What comes back: short to look at, whole as JSON; a trace that needs nothing beside it."""

import json
from itertools import pairwise

import pytest

from dllm import LLM, ConfigError, SamplingParams, Trace
from dllm.engine import commit
from dllm.schedulers import Threshold
from tests.support.fakes import EOS, MASK, MixDenoiser, ScriptedDenoiser, wish

PROMPT = '["Mary", "Linda"]\nReverse the list.\n'


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny", device="cpu")


def test_reprs_are_short_and_tell(tiny):
    out = tiny.generate(PROMPT, SamplingParams(n=2, temperature=0.5))
    assert repr(out).startswith("<RequestOutput '[\"Linda") and "2 samples" in repr(out) and len(repr(out)) < 150
    assert repr(tiny).startswith("<LLM LLaDA, 1664 ids")
    assert len(repr(LLM(MixDenoiser()).generate([1] * 50, SamplingParams(max_new_tokens=100)))) < 150


def test_an_output_as_json(tiny):
    out = tiny.generate(PROMPT, SamplingParams(n=2, temperature=0.5, seed=1))
    found = json.loads(json.dumps(out.to_dict()))
    assert found["text"] == out.text and len(found["samples"]) == 2 and "samples" not in found["samples"][1]
    assert found["samples"][1]["text"] == out.samples[1].text and found["stats"]["forwards"] == out.stats.forwards


def test_a_trace_tells_what_it_began_from(tiny):
    params = SamplingParams(max_new_tokens=16, scheduler="topk(1)", stop=["zzz"], ignore_eos=True)
    out = tiny.generate(PROMPT, params)
    trace = Trace.from_jsonl(out.trace.to_jsonl())
    assert trace == out.trace
    assert trace.canvas == out.prompt_token_ids + [trace.mask_token_id] * 16
    assert trace.prompt_length == len(out.prompt_token_ids) and trace.model == "LLaDA"
    assert trace.params["scheduler"] == "topk(1)" and trace.params["stop"] == ["zzz"]
    *frames, last = trace.render("_")
    assert last.startswith(PROMPT + out.text) and all(frame.startswith(PROMPT) for frame in frames)
    assert [frame.count("_") for frame in frames][:2] == [15, 14]


@pytest.mark.parametrize("spec", ["topk(1)", "saber", "edit+topk(2)", "eotp(paper)", "prophet(region='The answer is')"])
def test_a_trace_replays_alone(tiny, spec):
    out = tiny.generate(PROMPT, SamplingParams(max_new_tokens=80, scheduler=spec, cache="none"))
    *_, last = Trace.from_jsonl(out.trace.to_jsonl()).replay()
    ids = last[len(out.prompt_token_ids) :]
    assert ids[: len(out.token_ids)] == out.token_ids


def test_recordings_of_version_1_are_read():
    out = LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=4))
    lines = out.trace.to_jsonl().splitlines()
    old = Trace.from_jsonl("\n".join(['{"dllm_trace": 1}', *lines[1:]]))
    with pytest.raises(ConfigError, match=r"give replay\(canvas, mask_token_id\)"):
        list(old.replay())
    assert list(old.replay([1, 2] + [MASK] * 4, MASK)) == list(out.trace.replay())
    with pytest.raises(ConfigError, match="version 1 or 2"):
        Trace.from_jsonl('{"dllm_trace": 3}')


def test_the_last_event_has_the_text_of_the_output(tiny):
    for options in ({}, {"stop": ["Lin"]}, {"scheduler": "eotp(paper)"}):
        *_, last = tiny.stream(PROMPT, SamplingParams(max_new_tokens=24, **options))
        assert last.text == last.output.text


@pytest.mark.parametrize(
    "spec", ["threshold(0.9)", "topk(1)", "threshold(0.9)+edit", "wino", "saber", "eotp(mode=paper)"]
)
@pytest.mark.parametrize("prompt", [PROMPT, "a"])
def test_firm_text_is_never_taken_back(tiny, spec, prompt):
    params = SamplingParams(max_new_tokens=40, block_length=8, scheduler=spec, temperature=0.7, seed=1)
    events = list(tiny.stream(prompt, params))
    for event, after in pairwise(events):
        assert after.firm.startswith(event.firm) and event.text.startswith(event.firm)
    assert events[-1].firm == events[-1].output.text
    if spec == "topk(1)":
        assert [event.firm for event in events] == [event.text for event in events]


def test_a_foreseen_end_is_a_stop():
    model = ScriptedDenoiser(wish([4, 5, EOS, 8, 9, 9], [0.99, 0.98, 0.5, 0.2, 0.3, 0.3], prompt=2))
    out = LLM(model).generate([1, 2], SamplingParams(max_new_tokens=6, scheduler="eotp(paper)+topk(1)"))
    assert out.finish_reason == "stop" and out.token_ids[:2] == [4, 5]
    full = LLM(model).generate([1, 2], SamplingParams(max_new_tokens=2, scheduler="topk(1)"))
    assert full.finish_reason == "length"


@pytest.mark.parametrize("spec", ["edit+dus", "dus+edit", "edit+llada", "edit+dream", "edit+klass", "edit+localleap"])
def test_a_row_that_lingers_is_asked_nothing_it_cannot_answer(spec):
    out = LLM(MixDenoiser(eos=())).generate([1, 2], SamplingParams(max_new_tokens=5, scheduler=spec, block_length=2))
    assert len(out.token_ids) == 5


def test_a_row_that_would_linger_for_ever_fails(monkeypatch):
    class Undecided(Threshold):
        def edit(self, view, state):
            return view.replaceable, True, state

    monkeypatch.setattr(commit, "PASSES", 20)
    params = [SamplingParams(max_new_tokens=5, scheduler=one) for one in (Undecided(), Threshold())]
    bad, good = LLM(MixDenoiser(eos=())).generate([[1, 2]] * 2, params, on_error="return")
    assert isinstance(bad, ConfigError) and "must return False" in str(bad) and len(good.token_ids) == 5


@pytest.mark.parametrize("shape", [(37, 37, 8, 4), (37, 20, 8, 3), (16, 16, 4, 1), (10, 10, 32, 5)])
def test_steps_count_for_what_was_asked_for_on_block_causal_models(shape):
    from tests.support.checkpoints import GOLDEN

    new, steps, block, prompt = shape
    llm = LLM(GOLDEN / "sdar", dtype="float32", device="cpu", mask_token_id=1)
    params = SamplingParams(max_new_tokens=new, steps=steps, block_length=block, scheduler="llada", ignore_eos=True)
    out = llm.generate(list(range(5, 5 + prompt)), params)
    assert out.stats.forwards == steps and len(out.token_ids) == new
