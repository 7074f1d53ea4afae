"""curl, as people write it by hand."""

import json
import subprocess

import common as c

FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": c.Person.model_json_schema()}}


def curl(path, body=None, key=c.KEY):
    """(status, the text of the answer)"""
    words = ["curl", "-sN", "--max-time", "600", "-w", "\n%{http_code}", f"{c.URL}{path}"]
    words += ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
    words += [] if body is None else ["-d", "@-"]
    said = None if body is None else json.dumps(body)
    told = subprocess.run(words, input=said, capture_output=True, text=True, timeout=660, check=True).stdout
    text, _, status = told.rpartition("\n")
    return int(status), text


def asked(path, **body):
    status, text = curl(path, body)
    assert status == 200, text
    return json.loads(text)


def events(path, **body):
    _, text = curl(path, {**body, **c.SLOWLY, "stream": True})
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    c.same(lines[-1], "[DONE]")
    return [json.loads(line)["choices"][0] for line in lines[:-1]]


def chat():
    c.same(asked("/v1/chat/completions", model="tiny", messages=c.CHAT)["choices"][0]["message"]["content"], c.ANA)
    c.same(asked("/v1/completions", prompt=c.REVERSE)["choices"][0]["text"], c.REVERSED)
    c.same(curl("/health", key="none")[0], 200)


def stream():
    c.whole([one["delta"].get("content") for one in events("/v1/chat/completions", messages=c.CHAT)], c.ANA)
    c.whole([one["text"] for one in events("/v1/completions", prompt=c.REVERSE)], c.REVERSED)


def structured():
    found = asked("/v1/chat/completions", messages=c.CHAT, response_format=FORM)
    c.same(c.Person.model_validate_json(found["choices"][0]["message"]["content"]), c.PERSON)


def tool():
    found = asked("/v1/chat/completions", messages=c.CHAT, tools=[c.TOOL], tool_choice="required")
    (call,) = found["choices"][0]["message"]["tool_calls"]
    c.same((call["function"]["name"], json.loads(call["function"]["arguments"])), ("save", c.PERSON.model_dump()))


def fim():
    for path in ("/v1/completions", "/v1/fim/completions"):
        c.same(asked(path, prompt=c.FRONT, suffix=c.BACK, max_tokens=4)["choices"][0]["text"], c.MIDDLE)
    document = f"{c.FRONT}<mask:1>{c.BACK}"
    c.same(asked("/v1/infill", document=document)["holes"], [c.MIDDLE])


def errors():
    wrong = {
        404: ("/v1/chat/completions", {"model": "gpt-9", "messages": c.CHAT}, "model"),
        400: ("/v1/chat/completions", {"messages": c.CHAT, "temperature": -1}, "temperature"),
        413: ("/v1/completions", {"prompt": "a" * (5 << 20)}, None),
    }
    for status, (path, body, field) in wrong.items():
        found, text = curl(path, body)
        c.same((found, json.loads(text)["error"]["param"]), (status, field))
    c.same(curl("/v1/models", key="wrong")[0], 401)


if __name__ == "__main__":
    c.run(globals())
