"""litellm, under the three names that it has for servers like this one."""

import json

import common as c
import litellm

PLACE = {"api_base": f"{c.URL}/v1", "api_key": c.KEY, "max_retries": 0, "timeout": 600}
CHATS = ("openai/tiny", "hosted_vllm/tiny")


def chat():
    for model in CHATS:
        found = litellm.completion(model=model, messages=c.CHAT, max_tokens=32, **PLACE)
        c.same((found.choices[0].message.content, found.choices[0].finish_reason), (c.ANA, "stop"))
        assert found.usage.completion_tokens > 5
    found = litellm.text_completion(model="text-completion-openai/tiny", prompt=c.REVERSE, **PLACE)
    c.same(found.choices[0].text, c.REVERSED)


def stream():
    for model in CHATS:
        chunks = litellm.completion(model=model, messages=c.CHAT, stream=True, extra_body=c.SLOWLY, **PLACE)
        c.whole([chunk.choices[0].delta.content for chunk in chunks], c.ANA)


def structured():
    for model in CHATS:
        found = litellm.completion(model=model, messages=c.CHAT, response_format=c.Person, **PLACE)
        c.same(c.Person.model_validate_json(found.choices[0].message.content), c.PERSON)


def tool():
    named = {"type": "function", "function": {"name": "save"}}
    for model in CHATS:
        for choice in (named, "required"):
            found = litellm.completion(model=model, messages=c.CHAT, tools=[c.TOOL], tool_choice=choice, **PLACE)
            (call,) = found.choices[0].message.tool_calls
            c.same((call.function.name, json.loads(call.function.arguments)), ("save", c.PERSON.model_dump()))


def fim():
    asked = {"model": "text-completion-openai/tiny", "prompt": c.FRONT, "suffix": c.BACK, "max_tokens": 4}
    c.same(litellm.text_completion(**asked, **PLACE).choices[0].text, c.MIDDLE)


def errors():
    with c.refused(litellm.NotFoundError, "gpt-9", "tiny"):
        litellm.completion(model="openai/gpt-9", messages=c.CHAT, **PLACE)
    with c.refused(litellm.BadRequestError, "temperature"):
        litellm.completion(model="openai/tiny", messages=c.CHAT, temperature=-1, **PLACE)
    with c.refused(litellm.AuthenticationError, "key"):
        litellm.completion(model="openai/tiny", messages=c.CHAT, **{**PLACE, "api_key": "wrong"})


if __name__ == "__main__":
    c.run(globals())
