"""langchain-openai: `ChatOpenAI`, and `OpenAI` for completions."""

import asyncio

import common as c
import openai
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI

PLACE = {
    "model": "tiny",
    "base_url": f"{c.URL}/v1",
    "api_key": c.KEY,
    "max_retries": 0,
    "timeout": 600,
    "temperature": 0,
}
LONG_ENOUGH = {"max_tokens": 64}
"""For completions, of which it asks for 256 tokens otherwise: more than `tiny` has learned."""
model = ChatOpenAI(**PLACE)


def chat():
    found = model.invoke(c.TALK)
    c.same((found.content, found.response_metadata["finish_reason"]), (c.ANA, "stop"))
    assert found.usage_metadata["output_tokens"] > 5
    c.same(model.bind(max_tokens=32).invoke([HumanMessage(c.TALK)]).content, c.ANA)
    c.same([one.content for one in asyncio.run(model.abatch([c.TALK] * 4))], [c.ANA] * 4)
    c.same(OpenAI(**PLACE, **LONG_ENOUGH).invoke(c.REVERSE), c.REVERSED)


def stream():
    c.whole([piece.content for piece in ChatOpenAI(**PLACE, extra_body=c.SLOWLY).stream(c.TALK)], c.ANA)
    c.whole(OpenAI(**PLACE, **LONG_ENOUGH, extra_body=c.SLOWLY).stream(c.REVERSE), c.REVERSED)
    usages = [piece.usage_metadata for piece in model.stream(c.TALK, stream_usage=True)]
    assert sum(one["output_tokens"] for one in usages if one) > 5


def structured():
    for method in ("json_schema", "function_calling"):
        c.same(model.with_structured_output(c.Person, method=method).invoke(c.TALK), c.PERSON)
    c.same(model.with_structured_output(c.Person, method="json_mode").invoke(c.TALK), c.PERSON)
    *_, last = model.with_structured_output(c.Person).stream(c.TALK)
    c.same(last, c.PERSON)


def tool():
    for choice in ("Person", "any"):
        bound = model.bind_tools([c.Person], tool_choice=choice, parallel_tool_calls=False)
        (call,) = bound.invoke(c.TALK).tool_calls
        c.same((call["name"], call["args"]), ("Person", c.PERSON.model_dump()))
        first, *others = bound.stream(c.TALK)
        for piece in others:
            first += piece
        c.same([(one["name"], one["args"]) for one in first.tool_calls], [("Person", c.PERSON.model_dump())])


def fim():
    c.same(OpenAI(**PLACE, max_tokens=4, model_kwargs={"suffix": c.BACK}).invoke(c.FRONT), c.MIDDLE)


def errors():
    with c.refused(openai.NotFoundError, "gpt-9", "tiny"):
        ChatOpenAI(**{**PLACE, "model": "gpt-9"}).invoke(c.TALK)
    with c.refused(openai.BadRequestError, "temperature"):
        ChatOpenAI(**{**PLACE, "temperature": -1}).invoke(c.TALK)
    with c.refused(openai.AuthenticationError, "key"):
        ChatOpenAI(**{**PLACE, "api_key": "wrong"}).invoke(c.TALK)
    # a template that knows of no calls says so, and what to do
    call = {"name": "save", "args": {"age": 31}, "id": "call-1"}
    talk = [HumanMessage(c.TALK), AIMessage("", tool_calls=[call]), ToolMessage("done", tool_call_id="call-1")]
    with c.refused(openai.BadRequestError, "tool_calls", "template"):
        model.invoke(talk)


if __name__ == "__main__":
    c.run(globals())
