"""The stock client of OpenAI, before its third major version; the third is in tests/serve/test_openai_client.py."""

import asyncio
import json

import common as c
import openai

client = openai.OpenAI(base_url=f"{c.URL}/v1", api_key=c.KEY, max_retries=0, timeout=600)


def chat():
    assert int(openai.__version__.split(".")[0]) == 2
    found = client.chat.completions.create(model="tiny", messages=c.CHAT, max_tokens=32)
    c.same((found.choices[0].message.content, found.choices[0].finish_reason), (c.ANA, "stop"))
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 20
    c.same(client.completions.create(model="tiny", prompt=c.REVERSE).choices[0].text, c.REVERSED)
    c.same([one.id for one in client.models.list()], ["tiny"])

    async def many():
        async with openai.AsyncOpenAI(base_url=f"{c.URL}/v1", api_key=c.KEY, timeout=600) as several:
            asked = [several.chat.completions.create(model="tiny", messages=c.CHAT) for _ in range(8)]
            return await asyncio.gather(*asked)

    c.same({one.choices[0].message.content for one in asyncio.run(many())}, {c.ANA})


def stream():
    asked = {"model": "tiny", "messages": c.CHAT, "stream": True, "stream_options": {"include_usage": True}}
    *told, last = client.chat.completions.create(**asked, extra_body=c.SLOWLY)
    c.whole([chunk.choices[0].delta.content for chunk in told], c.ANA)
    assert last.choices == [] and last.usage.completion_tokens > 5
    texts = client.completions.create(model="tiny", prompt=c.REVERSE, stream=True, extra_body=c.SLOWLY)
    c.whole([chunk.choices[0].text for chunk in texts], c.REVERSED)


def structured():
    asked = {"model": "tiny", "messages": c.CHAT, "response_format": c.Person}
    c.same(client.chat.completions.parse(**asked).choices[0].message.parsed, c.PERSON)
    with client.chat.completions.stream(**asked) as stream:
        c.same(stream.get_final_completion().choices[0].message.parsed, c.PERSON)


def tool():
    person = openai.pydantic_function_tool(c.Person)
    found = client.chat.completions.parse(model="tiny", messages=c.CHAT, tools=[person], tool_choice="required")
    c.same(found.choices[0].finish_reason, "tool_calls")
    (call,) = found.choices[0].message.tool_calls
    c.same((call.function.name, call.function.parsed_arguments), ("Person", c.PERSON))
    named = {"type": "function", "function": {"name": "save"}}
    asked = {"model": "tiny", "messages": c.CHAT, "tools": [c.TOOL], "tool_choice": named}
    chunks = client.chat.completions.create(**asked, stream=True)
    entries = [entry for chunk in chunks for entry in chunk.choices[0].delta.tool_calls or []]
    c.same(entries[0].function.name, "save")
    c.same(json.loads("".join(entry.function.arguments for entry in entries)), c.PERSON.model_dump())


def fim():
    asked = {"model": "tiny", "prompt": c.FRONT, "suffix": c.BACK, "max_tokens": 4}
    c.same(client.completions.create(**asked).choices[0].text, c.MIDDLE)
    c.same("".join(chunk.choices[0].text for chunk in client.completions.create(**asked, stream=True)), c.MIDDLE)


def errors():
    with c.refused(openai.NotFoundError, "gpt-9", "tiny"):
        client.chat.completions.create(model="gpt-9", messages=c.CHAT)
    with c.refused(openai.BadRequestError, "temperature"):
        client.chat.completions.create(model="tiny", messages=c.CHAT, temperature=-1)
    with c.refused(openai.AuthenticationError, "key"):
        client.with_options(api_key="wrong").models.list()


if __name__ == "__main__":
    c.run(globals())
