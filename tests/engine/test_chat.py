"""A conversation that ends in the assistant's words goes on from there, through every door."""

import pytest

from dllm import LLM, Batcher, Grammar, PromptError, SamplingParams

ASK = {"role": "user", "content": "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"}
BEGUN = [ASK, {"role": "assistant", "content": '{"age": 31,'}]
PARAMS = SamplingParams(max_new_tokens=16, scheduler="topk(1)")


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny")


def test_the_answer_is_what_follows(tiny):
    whole, rest = tiny.chat([[ASK], BEGUN], PARAMS)
    assert whole.text == '{"age": 31, "name": "Ana"}' and rest.text == ' "name": "Ana"}'
    assert rest.prompt_token_ids[: len(whole.prompt_token_ids)] == whole.prompt_token_ids
    opened = tiny.tokenizer.decode(whole.prompt_token_ids)
    assert tiny.tokenizer.decode(rest.prompt_token_ids) == opened + '{"age": 31,'
    assert rest.token_ids == tiny.generate(opened + '{"age": 31,', PARAMS).token_ids


def test_through_every_door(tiny):
    expected = tiny.chat(BEGUN, PARAMS).token_ids
    *_, last = tiny.stream_chat(BEGUN, PARAMS)
    batcher = Batcher(tiny)
    ticket = batcher.add_chat(BEGUN, PARAMS)
    while batcher.busy:
        batcher.step()
    assert last.output.token_ids == ticket.output.token_ids == expected


def test_a_grammar_governs_what_follows(tiny):
    params = SamplingParams(max_new_tokens=16, grammar=Grammar.from_choices([' "name": "Bob"}', " none"]))
    assert tiny.chat(BEGUN, params).text in (' "name": "Bob"}', " none")


def test_an_error_names_the_message_and_fails_alone(tiny):
    outs = tiny.chat([BEGUN, [ASK, {"role": "foo", "content": "x"}]], PARAMS, on_error="return")
    assert outs[0].text == ' "name": "Ana"}'
    assert isinstance(outs[1], PromptError) and "message 1 has role='foo'" in str(outs[1])
