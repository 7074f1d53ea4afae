"""Ollama's client, against its own paths."""

import common as c
import ollama

client = ollama.Client(host=c.URL, headers={"Authorization": f"Bearer {c.KEY}"}, timeout=600)


def chat():
    found = client.chat(model="tiny", messages=c.CHAT)
    c.same((found.message.content, found.done, found.done_reason), (c.ANA, True, "stop"))
    assert found.eval_count > 5 and found.prompt_eval_count > 5
    c.same(client.generate(model="tiny:latest", prompt=c.REVERSE, raw=True).response, c.REVERSED)
    c.same([one.model for one in client.list().models], ["tiny"])


def stream():
    c.whole(
        [one.message.content for one in client.chat(model="tiny", messages=c.CHAT, stream=True, options=c.SLOWLY)],
        c.ANA,
    )
    pieces = client.generate(model="tiny", prompt=c.REVERSE, raw=True, stream=True, options=c.SLOWLY)
    c.whole([one.response for one in pieces], c.REVERSED)


def structured():
    found = client.chat(model="tiny", messages=c.CHAT, format=c.Person.model_json_schema())
    c.same(c.Person.model_validate_json(found.message.content), c.PERSON)
    c.same(client.chat(model="tiny", messages=c.CHAT, format="json").message.content, c.ANA)


def tool():
    """It has no way to say that one must be called, so the answer may be text."""
    found = client.chat(model="tiny", messages=c.CHAT, tools=[c.TOOL]).message
    for call in found.tool_calls or ():
        c.same(call.function.name, "save")
        c.Person.model_validate(call.function.arguments)
    assert found.tool_calls or found.content


def fim():
    asked = {"model": "tiny", "prompt": c.FRONT, "suffix": c.BACK, "options": {"num_predict": 4}}
    c.same(client.generate(**asked).response, c.MIDDLE)


def errors():
    with c.refused(ollama.ResponseError, "gpt-9", "404"):
        client.chat(model="gpt-9", messages=c.CHAT)
    with c.refused(ollama.ResponseError, "temperature", "400"):
        client.chat(model="tiny", messages=c.CHAT, options={"temperature": -1})
    with c.refused(ollama.ResponseError, "key", "401"):
        ollama.Client(host=c.URL).chat(model="tiny", messages=c.CHAT)


if __name__ == "__main__":
    c.run(globals())
