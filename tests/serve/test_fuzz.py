"""Bodies that nobody would write: whatever comes, the answer is an answer or says what is wrong; never a 500."""

import json
import math

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dllm import LLM
from dllm.serve import app
from tests.support.serving import CHAT, REVERSE

CALM = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def test_what_our_own_description_allows_is_no_error_of_ours():
    made = app(LLM("tiny"), name="tiny", grammar_limit=500)
    operations = [found.ok() for found in schemathesis.openapi.from_asgi("/openapi.json", made).get_all_operations()]
    assert len(operations) >= 17
    for operation in operations:

        @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy())
        def asked(case):
            if isinstance(case.body, dict):  # what takes long is no error either
                case.body |= {"n": 1, "max_tokens": 3, "max_completion_tokens": 3, "stream": False}
            response = case.call()
            checked(response.status_code, response.content)

        asked()


def checked(status, content):
    assert status < 500, content[:500]
    if status >= 400:
        error = json.loads(content)["error"]
        message = error if isinstance(error, str) else error["message"]
        assert message and "Traceback" not in message and len(message) < 3000, content[:500]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 3, 2**31, 2**63, 2**64, -(2**63), 10**30]),
    st.sampled_from([0.0, -0.5, 0.5, 1.0, 1e-9, 1e308, math.inf, -math.inf, math.nan]),
    st.text(max_size=12),
    st.sampled_from(
        ["\ud800", "\x00", "a" * 3000, "<mask:3>", "<|mdm_mask|>", "<|endoftext|>", "json", "auto", "{}", "("]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *("temperature", "top_p", "top_k", "seed", "stop", "stop_token_ids", "min_tokens", "ignore_eos", "logit_bias"),
    *("stream_options", "user", "presence_penalty", "min_p", "best_of", "response_format", "structured_outputs"),
    *("json_schema", "regex", "ebnf", "guided_json", "guided_choice", "grammar", "scheduler", "cache", "block_length"),
    *("steps", "cfg_scale", "diffusing", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls"),
    *(
        "modalities",
        "chat_template_kwargs",
        "add_generation_prompt",
        "continue_final_message",
        "suffix",
        "echo",
        "model",
    ),
    *("functions", "messages", "prompt", "document", "max_tokens", "stream", "n"),
]
VALID = {
    "/v1/chat/completions": {"messages": CHAT, "max_tokens": 3},
    "/v1/completions": {"prompt": REVERSE, "max_tokens": 3},
    "/v1/infill": {"document": ["a", {"hole": 2}]},
    "/tokenize": {"prompt": "a"},
    "/detokenize": {"tokens": [40]},
    "/api/chat": {"messages": CHAT, "options": {"num_predict": 3}},
    "/api/generate": {"prompt": "a", "options": {"num_predict": 3}},
}


def small(body):
    """Without what is legal and takes long."""
    for name, most in (("max_tokens", 8), ("n", 3)):
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or most < value < 10**4:
            continue
        if value > most and value < 600:
            body[name] = most
    return body


@pytest.mark.parametrize("path", VALID)
def test_fields_of_any_value(tiny, path):
    @CALM
    @given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=3))
    def asked(values):
        content = json.dumps(small({**VALID[path], **values}))
        response = tiny.http.post(path, content=content, headers={"Content-Type": "application/json"})
        checked(response.status_code, response.content)

    asked()


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_ollamas_options_of_any_value(tiny, path):
    names = ["temperature", "top_p", "top_k", "min_p", "seed", "stop", "num_predict", "scheduler", "cache", "grammar"]

    @CALM
    @given(st.dictionaries(st.sampled_from(names), VALUES, max_size=2), st.sampled_from(["a", ""]), st.booleans())
    def asked(options, suffix, stream):
        options = {"num_predict": 3, **options}
        if isinstance(options["num_predict"], int) and options["num_predict"] < 10**4:
            options["num_predict"] = 3
        body = {**VALID[path], "suffix": suffix, "stream": stream, "options": options}
        response = tiny.http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        checked(response.status_code, response.content)

    asked()


@pytest.mark.parametrize("path", VALID)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"3",
        b'"a"',
        b"\xff\xfe",
        b"{" * 5,
        b"[" * 200_000,
        b'{"a":' * 50_000,
    ],
    ids=range(10),
)
def test_bodies_that_are_no_json_or_no_object(tiny, path, content):
    for kind in ("application/json", "text/plain"):
        response = tiny.http.post(path, content=content, headers={"Content-Type": kind})
        checked(response.status_code, response.content)
        assert response.status_code == 400


def test_what_is_nested_deeply_is_refused(tiny):
    inner = {"type": "object"}
    for _ in range(400):
        inner = {"type": "array", "items": inner}
    for body in (
        {"json_schema": inner},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": inner}}},
    ):
        response = tiny.post("/v1/completions", prompt="a", max_tokens=3, **body)
        checked(response.status_code, response.content)
    tools = [{"type": "function", "function": {"name": "f", "parameters": inner}}]
    response = tiny.post("/v1/chat/completions", messages=CHAT, tools=tools)
    checked(response.status_code, response.content)
