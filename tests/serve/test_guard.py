"""What a server lets in, what it tells those it does not, and what it writes down."""

import asyncio
import json
import logging

import httpx2
import pytest
from fastapi import FastAPI

from dllm import LLM, ConfigError
from dllm.serve import app
from dllm.serve.guard import JsonLines
from tests.support.serving import ANA, CHAT, REVERSE, REVERSED, serving, until

LONG = {"prompt": "a", "max_tokens": 500, "scheduler": "topk(1, by=left_to_right)", "ignore_eos": True}


@pytest.fixture(scope="module")
def guarded():
    options = {"api_key": ["first", "second"], "max_body": 2000, "cors": ["https://a.example"]}
    with serving(LLM("tiny"), **options) as served:
        yield served


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer third", "bearer  first", "Basic first", "Bearer firs\u00e9"])
def test_without_the_key_nothing_is_answered(guarded, given):
    headers = {"Authorization": "" if given is None else given}
    right = given == "bearer  first"
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/completions"), ("GET", "/metrics"), ("GET", "/nowhere")):
        response = guarded.http.request(method, path, headers={k: v.encode("latin-1") for k, v in headers.items()})
        if right:
            assert response.status_code != 401
            continue
        assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert "first" not in response.text and "second" not in response.text
    for path in ("/health", "/ready"):
        assert guarded.http.get(path, headers={"Authorization": ""}).status_code == 200


def test_any_of_the_keys_will_do(guarded):
    for key in ("first", "second"):
        response = guarded.http.get("/v1/models", headers={"Authorization": f"bearer {key}"})
        assert response.status_code == 200


def test_a_body_has_a_limit(guarded):
    whole = guarded.post("/v1/completions", prompt="a" * 3000)
    assert whole.status_code == 413 and "larger than 2000 bytes" in whole.json()["error"]["message"]
    pieces = guarded.http.post("/v1/completions", content=iter([b'{"prompt": "'] + [b"a" * 500] * 6 + [b'"}']))
    assert pieces.status_code == 413 and "larger than 2000 bytes" in pieces.json()["error"]["message"]
    assert guarded.post("/v1/completions", prompt=REVERSE).json()["choices"][0]["text"] == REVERSED


def test_ids_of_requests_are_given_back_or_made(guarded):
    given = guarded.http.get("/health", headers={"X-Request-Id": "abc-1.2_3"})
    assert given.headers["x-request-id"] == "abc-1.2_3"
    for bad in ("a b", "x" * 200, "a/b", ""):
        made = guarded.http.get("/health", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert made != bad and len(made) == 32
    assert len(guarded.http.get("/v1/models", headers={"Authorization": ""}).headers["x-request-id"]) == 32


def test_pages_of_named_origins_may_ask(guarded):
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST", "Authorization": ""}
    preflight = guarded.http.request("OPTIONS", "/v1/completions", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    other = guarded.http.get("/health", headers={"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_line_a_request_without_what_was_said(tiny, caplog):
    with caplog.at_level(logging.INFO, "dllm.serve"):
        tiny.http.post("/v1/completions", json={"prompt": "SECRET"}, headers={"X-Request-Id": "mine"})
        until(lambda: any(getattr(record, "told", {}).get("id") == "mine" for record in caplog.records))
    (record,) = [one for one in caplog.records if getattr(one, "told", {}).get("id") == "mine"]
    line = JsonLines().format(record)
    found = json.loads(line)
    assert found["path"] == "/v1/completions" and found["status"] == 200 and found["seconds"] > 0
    assert "SECRET" not in line and "\n" not in line


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/v1/completions", 405), ("POST", "/health", 405)]
)
def test_other_paths_are_openais_errors_too(tiny, method, path, status):
    response = tiny.http.request(method, path)
    assert response.status_code == status and set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_who_comes_when_the_queue_is_full_is_told_to_come_again():
    with serving(LLM("tiny"), max_batch_size=1, max_waiting=1) as served:
        body = {**LONG, "stream": True}
        with served.http.stream("POST", "/v1/completions", json=body) as running:
            next(running.iter_lines())
            until(lambda: served.engine.running == 1)
            with served.http.stream("POST", "/v1/completions", json=body):
                until(lambda: served.engine.waiting == 1)
                refused = served.post("/v1/completions", prompt="a")
                assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
                assert refused.json()["error"]["code"] == "overloaded"
                assert served.http.get("/ready").status_code == 503 and served.http.get("/health").status_code == 200
        until(lambda: served.engine.running == served.engine.waiting == 0)
        assert served.post("/v1/completions", prompt="a", max_tokens=2).status_code == 200


def test_a_request_has_so_much_time():
    with serving(LLM("tiny"), timeout=0.5) as served:
        late = served.post("/v1/completions", **LONG)
        assert late.status_code == 504 and late.json()["error"]["code"] == "timeout"
        chunks = served.events("/v1/completions", **LONG)
        assert chunks[-1]["error"]["code"] == "timeout" and len(chunks) > 2
        until(lambda: served.engine.running == 0)


def test_a_server_that_stops_takes_no_more():
    with serving(LLM("tiny")) as served:
        served.engine._stepper.close("it is being stopped")
        assert served.http.get("/health").status_code == 503 and served.http.get("/ready").status_code == 503
        refused = served.post("/v1/chat/completions", messages=CHAT)
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"


def test_no_request_leads_to_a_file_or_a_host(tiny, tmp_path):
    secret = tmp_path / "secret.safetensors"
    secret.write_text("top secret")
    asked = [
        {"model": "/etc/passwd"},
        {"model": str(tmp_path)},
        {"model": "gsai/llada"},
        {"scheduler": f"learn2pd(filter={secret})"},
        {"scheduler": f"learn2pd({secret})+credit"},
        {"scheduler": f"pc(table={secret})"},
        {"grammar": "../../etc/passwd"},
        {"json_schema": {"$ref": f"file://{secret}"}},
        {"json_schema": {"$ref": f"{tiny.url}/v1/models"}},
        {"json_schema": {"$schema": f"{tiny.url}/health", "type": "object"}},
        {"structured_outputs": {"grammar": f"%import .{secret} (a)\nstart: a"}},
        {"structured_outputs": {"grammar": "%import ..secret.WORD\nstart: WORD"}},
        {"chat_template": "{{ messages }}"},
    ]
    for body in asked:
        response = tiny.post("/v1/chat/completions", messages=CHAT, **body)
        assert response.status_code in (400, 404), (body, response.text)
        assert "top secret" not in response.text


def test_grammars_that_would_grow_are_refused():
    nested = {"type": "object"}
    for _ in range(60):
        nested = {"type": "object", "properties": {"a": nested, "b": nested}, "required": ["a", "b"]}
    bombs = [
        {"regex": "(a|b|c){1,5000}(d|e){3000}" * 3},
        {"structured_outputs": {"choice": ["x" * 300 + str(n) for n in range(3000)]}},
        {"json_schema": {"type": "string", "pattern": "^(.{1,900}x){1,900}$"}},
        {"ebnf": "root ::= " + "(" * 400 + '"a"' + ")" * 400},
        {"json_schema": "[" * 5000},
    ]
    with serving(LLM("tiny"), grammar_limit=2000) as served:
        for body in bombs:
            response = served.post("/v1/completions", prompt="a", max_tokens=4, **body)
            assert response.status_code == 400, (str(body)[:80], response.text[:300])
        assert served.post("/v1/completions", prompt=REVERSE).json()["choices"][0]["text"] == REVERSED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0}, "timeout"),
        ({"max_body": 0}, "max_body"),
        ({"name": ""}, "name must be"),
        ({"api_key": []}, "api_key must be"),
        ({"max_waiting": 0}, "max_waiting"),
        ({"drain": -1}, "drain"),
    ],
)
def test_mistakes_in_options_are_named(options, said):
    with pytest.raises(ConfigError, match=said):
        app(LLM("tiny"), **options)
    with pytest.raises(ConfigError, match="app takes an LLM"):
        app("tiny")


def test_under_a_prefix_paths_are_what_they_are():
    """As inside of another application, or where Ray serves several models."""
    outer = FastAPI()
    outer.mount("/one", app(LLM("tiny"), name="tiny", api_key="sesame"))

    async def asked():
        transport = httpx2.ASGITransport(app=outer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x/one") as http:
            free = [(await http.get(path)).status_code for path in ("/", "/health", "/v1/models")]
            http.headers["Authorization"] = "Bearer sesame"
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            body = {"model": "gpt-9", "messages": CHAT, "stream": False}
            return free, [
                await http.post("/api/chat", content=json.dumps({**body, **more}), headers=form)
                for more in ({}, {"model": "tiny"})
            ]

    free, (refused, answered) = asyncio.run(asked())
    assert free == [200, 200, 401]
    assert refused.status_code == 404 and "gpt-9" in refused.json()["error"]
    assert answered.json()["message"]["content"] == ANA
