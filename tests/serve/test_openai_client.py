"""The stock OpenAI client against a server of `tiny`; answers are looked at for what they say."""

import asyncio
import json

import openai
import pydantic
import pytest
from openai import AsyncOpenAI, OpenAI

from dllm import LLM, Grammar, SamplingParams
from tests.support.serving import ANA, CHAT, REVERSE, REVERSED, until


class Person(pydantic.BaseModel):
    age: int
    name: str


TOOLS = [
    {"type": "function", "function": {"name": "save", "strict": True, "parameters": Person.model_json_schema()}},
    {"type": "function", "function": {"name": "drop", "parameters": {"type": "object", "properties": {}}}},
]
LONG = {"scheduler": "topk(1)", "ignore_eos": True}


@pytest.fixture(scope="module")
def client(tiny):
    with OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0, timeout=600) as found:
        yield found


def test_chat(client):
    found = client.chat.completions.create(model="tiny", messages=CHAT, max_tokens=32)
    (choice,) = found.choices
    assert choice.message.content == ANA and choice.message.role == "assistant" and choice.finish_reason == "stop"
    llm = LLM("tiny")
    prompt = len(llm.tokenizer.encode(llm.tokenizer.apply_chat_template(CHAT)))
    new = llm.chat(CHAT).stats.tokens
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (prompt, new)
    assert found.model == "tiny" and found.id.startswith("chatcmpl-") and found.object == "chat.completion"
    assert choice.diffusion["stats"]["tokens"] == new


def test_content_in_parts_and_a_beginning_that_is_gone_on_with(client):
    parts = [{"role": "user", "content": [{"type": "text", "text": CHAT[0]["content"]}]}]
    begun = [*parts, {"role": "assistant", "content": '{"age": 31,'}]
    assert client.chat.completions.create(model="tiny", messages=parts).choices[0].message.content == ANA
    found = client.chat.completions.create(
        model="tiny", messages=begun, extra_body={"continue_final_message": True, "add_generation_prompt": False}
    )
    assert found.choices[0].message.content == ' "name": "Ana"}'


def test_a_stream_is_the_answer_in_pieces(client):
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=CHAT,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"scheduler": "topk(1, by=left_to_right)"},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
    *told, last = chunks
    pieces = [chunk.choices[0].delta.content for chunk in told[1:] if chunk.choices[0].delta.content]
    assert len(pieces) > 4 and "".join(pieces) == ANA
    assert [chunk.choices[0].finish_reason for chunk in told].count("stop") == 1
    assert told[-1].choices[0].finish_reason == "stop"
    assert last.choices == [] and last.usage.completion_tokens == LLM("tiny").chat(CHAT).stats.tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_pydantic_model_is_parsed(client):
    found = client.chat.completions.parse(model="tiny", messages=CHAT, response_format=Person)
    assert found.choices[0].message.parsed == Person(age=31, name="Ana")
    with client.chat.completions.stream(model="tiny", messages=CHAT, response_format=Person) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Person(age=31, name="Ana")


def test_a_structured_answer_that_fills_its_room_is_whole(client):
    """The client raises for what ends with `length`."""
    asked = {"model": "tiny", "messages": CHAT, "response_format": Person, "max_tokens": 8}
    tight = LLM("tiny").chat(CHAT, SamplingParams(max_new_tokens=8, grammar=Grammar.from_json_schema(Person)))
    assert tight.finish_reason == "length"
    found = client.chat.completions.parse(**asked).choices[0]
    assert found.finish_reason == "stop" and isinstance(found.message.parsed, Person)
    with client.chat.completions.stream(**asked) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == found.message.parsed
    for stream in (False, True):
        told = client.completions.create(
            model="tiny", prompt="a", max_tokens=2, stream=stream, extra_body={"regex": "[ab]{2}"}
        )
        *_, last = told if stream else [told]
        assert last.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("kind", [{"type": "json_object"}, {"type": "text"}])
def test_other_forms(client, kind):
    found = client.chat.completions.create(model="tiny", messages=CHAT, response_format=kind)
    assert json.loads(found.choices[0].message.content) == {"age": 31, "name": "Ana"}


@pytest.mark.parametrize("choice", [{"type": "function", "function": {"name": "save"}}, "required"])
def test_a_tool_that_is_called_for_sure_gets_its_arguments(client, choice):
    asked = {"model": "tiny", "messages": CHAT, "tools": TOOLS[:1], "tool_choice": choice, "parallel_tool_calls": False}
    (found,) = client.chat.completions.create(**asked).choices
    (call,) = found.message.tool_calls
    assert found.finish_reason == "tool_calls" and found.message.content is None
    assert call.type == "function" and call.function.name == "save"
    assert Person.model_validate_json(call.function.arguments) == Person(age=31, name="Ana")
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion().choices[0]
    told = final.message.tool_calls[0].function
    assert final.finish_reason == "tool_calls" and (told.name, told.arguments) == ("save", call.function.arguments)


def test_one_of_several_tools_is_called_validly(client):
    asked = {"model": "tiny", "messages": CHAT, "tools": TOOLS, "tool_choice": "required", "max_tokens": 48}
    (found,) = client.chat.completions.create(**asked).choices
    (call,) = found.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name in ("save", "drop") and isinstance(arguments, dict)
    if call.function.name == "save":
        Person.model_validate(arguments)
    pieces = [chunk.choices[0].delta for chunk in client.chat.completions.create(**asked, stream=True)]
    entries = [entry for delta in pieces for entry in delta.tool_calls or []]
    assert entries[0].function.name == call.function.name and entries[0].id
    assert "".join(entry.function.arguments for entry in entries) == call.function.arguments


def test_tools_that_are_not_called_leave_text(client):
    ask = [{"role": "user", "content": '["Mary", "Linda", "Susan"]\nReverse the list.'}]
    asked = {"model": "tiny", "messages": ask, "tools": TOOLS, "max_tokens": 16}
    found = client.chat.completions.create(**asked, tool_choice="none").choices[0]
    assert found.message.content == REVERSED and found.finish_reason == "stop"
    auto = client.chat.completions.create(**asked).choices[0]
    assert auto.message.tool_calls is None and auto.message.content == REVERSED
    chunks = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == REVERSED


def test_completions_of_texts_ids_and_lists_of_them(client):
    ids = LLM("tiny").tokenizer.encode(REVERSE)
    for prompt, count in ((REVERSE, 1), (ids, 1), ([REVERSE, REVERSE], 2), ([ids, ids], 2)):
        found = client.completions.create(model="tiny", prompt=prompt)
        assert [choice.text for choice in found.choices] == [REVERSED] * count
        assert [choice.index for choice in found.choices] == list(range(count))
        assert found.usage.prompt_tokens == count * len(ids)
    assert client.completions.create(model="tiny", prompt=ids, echo=True).choices[0].text == REVERSE + REVERSED


def test_samples_are_those_of_their_seeds(client):
    llm = LLM("tiny")
    expected = llm.generate("a", SamplingParams(n=3, seed=5, temperature=1.0, max_new_tokens=8))
    asked = {"model": "tiny", "prompt": "a", "n": 3, "seed": 5, "temperature": 1.0, "max_tokens": 8}
    found = client.completions.create(**asked)
    assert [choice.text for choice in found.choices] == [sample.text for sample in expected.samples]
    texts = {}
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
    assert texts == dict(enumerate(sample.text for sample in expected.samples))


def test_a_suffix_is_fill_in_the_middle(client):
    front, back = REVERSE + '["Susan", "', '", "Mary"]'
    for stream in (False, True):
        found = client.completions.create(model="tiny", prompt=front, suffix=back, max_tokens=4, stream=stream)
        text = "".join(chunk.choices[0].text for chunk in found) if stream else found.choices[0].text
        assert text == "Linda"
    whole = client.completions.create(model="tiny", prompt=front, suffix=back, max_tokens=4, echo=True)
    assert whole.choices[0].text == front + "Linda"
    stopped = client.completions.create(model="tiny", prompt=front, suffix=back, max_tokens=4, stop=["nd"])
    assert stopped.choices[0].text == "Li"


def test_stop_strings_and_stop_ids(client):
    llm = LLM("tiny")
    found = client.chat.completions.create(model="tiny", messages=CHAT, stop=[', "na'])
    assert found.choices[0].message.content == '{"age": 31' and found.choices[0].finish_reason == "stop"
    held = client.chat.completions.create(
        model="tiny", messages=CHAT, stop=', "na', stream=True, extra_body={"scheduler": "topk(1, by=left_to_right)"}
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in held) == '{"age": 31'
    under = client.chat.completions.create(
        model="tiny", messages=CHAT, stop=', "na', response_format={"type": "json_object"}
    )
    assert under.choices[0].message.content == '{"age": 31' and under.choices[0].finish_reason == "stop"
    second = llm.generate(REVERSE).token_ids[1]
    ids = client.completions.create(model="tiny", prompt=REVERSE, extra_body={"stop_token_ids": [second]})
    assert ids.choices[0].text == '["'


def test_log_probabilities_are_those_of_the_commit(client):
    llm = LLM("tiny")
    expected = llm.chat(CHAT, SamplingParams(logprobs=2))
    found = client.chat.completions.create(model="tiny", messages=CHAT, logprobs=True, top_logprobs=2)
    content = found.choices[0].logprobs.content
    assert "".join(entry.token for entry in content) == ANA
    assert [entry.logprob for entry in content] == pytest.approx([one[0][1] for one in expected.logprobs])
    assert all(len(entry.top_logprobs) == 2 and bytes(entry.bytes).decode() == entry.token for entry in content)
    told = []
    for chunk in client.chat.completions.create(model="tiny", messages=CHAT, logprobs=True, stream=True):
        if chunk.choices[0].logprobs is not None:
            told += chunk.choices[0].logprobs.content
    assert "".join(entry.token for entry in told) == ANA
    plain = client.completions.create(model="tiny", prompt=REVERSE, logprobs=1).choices[0].logprobs
    assert "".join(plain.tokens) == REVERSED and plain.text_offset[:2] == [0, 2]
    assert all(len(one) == 1 for one in plain.top_logprobs) and max(plain.token_logprobs) <= 0


def test_models(client):
    (card,) = client.models.list().data
    assert card.id == "tiny" and card.max_model_len == 512 and client.models.retrieve("tiny") == card


def test_mistakes_are_openais_errors(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="gpt-9", messages=CHAT)
    assert error.value.code == "model_not_found" and error.value.param == "model"
    wrong = {
        "temperature": {"temperature": -1},
        "max_tokens": {"max_tokens": 0},
        "presence_penalty": {"presence_penalty": 0.5},
        "top_logprobs": {"top_logprobs": 2},
        "response_format": {"response_format": {"type": "xml"}},
        "tool_choice": {"tool_choice": "required"},
        "scheduler": {"extra_body": {"scheduler": "nope"}},
        "logit_bias": {"logit_bias": {"x": 1}},
        "modalities": {"modalities": ["audio"]},
    }
    for field, values in wrong.items():
        with pytest.raises(openai.BadRequestError) as error:
            client.chat.completions.create(model="tiny", messages=CHAT, **values)
        assert error.value.param == field and error.value.type == "invalid_request_error", error.value
    with pytest.raises(openai.BadRequestError, match="role"):
        client.chat.completions.create(model="tiny", messages=[{"role": "wizard", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="context holds"):
        client.completions.create(model="tiny", prompt="a", max_tokens=5000)
    with pytest.raises(openai.BadRequestError, match="echo"):
        client.completions.create(model="tiny", prompt="a", echo=True, logprobs=1)


def test_what_says_nothing_is_ignored(client):
    found = client.chat.completions.create(
        model="tiny",
        messages=CHAT,
        user="me",
        top_p=1.0,
        presence_penalty=0,
        frequency_penalty=0,
        logit_bias={},
        metadata={"a": "b"},
        store=False,
        parallel_tool_calls=True,
        extra_body={"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "whatever": {"x": 1}, "stop": []},
    )
    assert found.choices[0].message.content == ANA


def test_leaving_a_stream_frees_its_row(client, tiny):
    stream = client.completions.create(model="tiny", prompt="a", max_tokens=400, stream=True, extra_body=LONG)
    next(iter(stream))
    until(lambda: tiny.engine.running > 0)
    stream.close()
    until(lambda: tiny.engine.running == 0 and tiny.engine.waiting == 0, 5)


def test_hanging_up_frees_the_row(tiny):
    hasty = OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0, timeout=0.4)
    with hasty, pytest.raises(openai.APITimeoutError):
        hasty.completions.create(model="tiny", prompt="a", max_tokens=400, extra_body=LONG)
    until(lambda: tiny.engine.running == 0 and tiny.engine.waiting == 0, 5)


def test_many_at_once(tiny):
    async def ask():
        async with AsyncOpenAI(base_url=f"{tiny.url}/v1", api_key="none", timeout=600) as client:
            asked = [client.chat.completions.create(model="tiny", messages=CHAT) for _ in range(12)]
            asked += [client.completions.create(model="tiny", prompt=REVERSE) for _ in range(12)]
            return await asyncio.gather(*asked)

    found = asyncio.run(ask())
    assert {one.choices[0].message.content for one in found[:12]} == {ANA}
    assert {one.choices[0].text for one in found[12:]} == {REVERSED}
