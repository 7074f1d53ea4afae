"""The other endpoints: documents, ids, Ollama's, and what a server tells of itself."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dllm import LLM, SamplingParams, __version__
from dllm.cache import caches
from dllm.grammars.frontends.builtin import builtin_names
from dllm.schedulers import as_scheduler, schedulers
from dllm.serve.page import served_page
from tests.support.serving import ANA, CHAT, REVERSE, REVERSED, serving


@pytest.mark.parametrize(
    "document",
    [
        f"{REVERSE}<mask:7>",
        [REVERSE, {"hole": 7}],
        [REVERSE, {"hole": {"min": 4, "max": 12}}],
        f"{REVERSE}<mask:4-12>",
    ],
)
def test_documents_are_filled(tiny, document):
    found = tiny.post("/v1/infill", document=document, model="tiny").json()
    assert found["text"] == REVERSE + REVERSED and found["holes"] == [REVERSED] and found["finish_reason"] == "stop"
    assert found["usage"]["completion_tokens"] == 7 and found["stats"]["forwards"] >= 1


def test_a_document_under_a_grammar_and_with_log_probabilities(tiny):
    asked = {"document": ["x = ", {"hole": 3}], "structured_outputs": {"regex": r"x = [0-9]{3}"}, "logprobs": 1}
    found = tiny.post("/v1/infill", **asked).json()
    assert found["holes"][0].isdigit() and len(found["holes"][0]) == 3 and len(found["logprobs"]["tokens"]) == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"document": "no hole"}, "no hole"),
        ({"document": ["a"]}, "no hole"),
        ({"document": [{"hole": 0}]}, "Hole width=0"),
        ({"document": [{"ids": [99999]}, {"hole": 1}]}, "99999"),
        ({"document": ["a", {}]}, "a part is"),
        ({"document": ["a", {"hole": 1, "ids": [1]}]}, "a part is"),
        ({"document": ["a", {"mask": 1}]}, "a part is"),
        ({"document": ["a", {"hole": 3}], "stop": "x"}, "plays no part"),
        ({"document": ["a", {"hole": 900}]}, "context holds"),
        ({}, "document"),
    ],
)
def test_mistakes_in_documents_are_named(tiny, body, said):
    response = tiny.post("/v1/infill", **body)
    assert response.status_code == 400 and said in response.json()["error"]["message"]


FORMS = [
    ({"structured_outputs": {"json": {"type": "integer"}}}, int),
    ({"json_schema": {"type": "integer"}}, int),
    ({"json_schema": '{"type": "integer"}'}, int),
    ({"guided_json": {"type": "integer"}}, int),
    ({"structured_outputs": {"regex": "[0-9]{2}"}}, int),
    ({"regex": "[0-9]{2}"}, int),
    ({"guided_regex": "[0-9]{2}"}, int),
    ({"structured_outputs": {"choice": ["17", "18"]}}, int),
    ({"guided_choice": ["17", "18"]}, int),
    ({"structured_outputs": {"grammar": 'root ::= "1" [0-9]'}}, int),
    ({"ebnf": 'root ::= "1" [0-9]'}, int),
    ({"guided_grammar": "start: /1[0-9]/"}, int),
    ({"structured_outputs": {"json_object": True}}, json.loads),
    ({"grammar": "json"}, json.loads),
]


@pytest.mark.parametrize(("form", "read"), FORMS, ids=[str(form)[:50] for form, _ in FORMS])
def test_the_form_of_an_answer_is_kept_however_it_is_asked_for(tiny, form, read):
    found = tiny.post("/v1/completions", prompt="a", max_tokens=12, **form)
    assert found.status_code == 200, found.text
    read(found.json()["choices"][0]["text"])


@pytest.mark.parametrize(
    "form",
    [
        {"regex": "a", "grammar": "json"},
        {"grammar": "cobol"},
        {"regex": "("},
        {"ebnf": "root ::= nothing"},
        {"json_schema": {"type": "integer", "format": 3}},
        {"json_schema": "{"},
        {"structured_outputs": {}},
        {"structured_outputs": {"json": {}, "regex": "a"}},
        {"structured_outputs": {"structural_tag": "x"}},
        {"structured_outputs": {"choice": []}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
    ],
)
def test_forms_that_are_none_are_refused(tiny, form):
    response = tiny.post("/v1/completions", prompt="a", **form)
    assert response.status_code == 400 and response.json()["error"]["message"]


def test_ids_and_back(tiny):
    llm = LLM("tiny")
    found = tiny.post("/tokenize", prompt=REVERSE, return_token_strs=True).json()
    ids = llm.tokenizer.encode(REVERSE)
    assert (found["tokens"], found["count"], found["max_model_len"]) == (ids, len(ids), 512)
    assert "".join(found["token_strs"]) == REVERSE
    assert tiny.post("/detokenize", tokens=ids).json() == {"prompt": REVERSE}
    chat = tiny.post("/tokenize", messages=CHAT).json()["tokens"]
    assert chat == llm.tokenizer.encode(llm.tokenizer.apply_chat_template(CHAT))
    for path, body in (("/tokenize", {}), ("/detokenize", {"tokens": [-1]}), ("/tokenize", {"messages": []})):
        assert tiny.post(path, **body).status_code == 400


def lines(response):
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_ollamas_chat(tiny):
    (whole,) = lines(tiny.post("/api/chat", model="tiny", messages=CHAT, stream=False))
    assert (
        whole["message"] == {"role": "assistant", "content": ANA} and whole["done"] and whole["done_reason"] == "stop"
    )
    assert whole["eval_count"] == 10 and whole["prompt_eval_count"] == 37 and whole["total_duration"] > 0
    options = {"scheduler": "topk(1, by=left_to_right)", "num_predict": 20, "temperature": 0}
    *told, last = lines(tiny.post("/api/chat", model="tiny:latest", messages=CHAT, options=options))
    assert "".join(one["message"]["content"] for one in told) == ANA and len(told) > 4
    assert last["done"] and last["message"]["content"] == "" and not any(one["done"] for one in told)


def test_ollamas_forms_and_tools(tiny):
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    for form in ("json", schema):
        (found,) = lines(tiny.post("/api/chat", model="tiny", messages=CHAT, format=form, stream=False))
        assert json.loads(found["message"]["content"])["age"] == 31
    assert tiny.post("/api/chat", model="tiny", messages=CHAT, format="xml").json()["error"].startswith("format=")
    tools = [{"type": "function", "function": {"name": "save", "parameters": schema}}]
    *_, called, _ = lines(tiny.post("/api/chat", model="tiny", messages=CHAT, tools=tools, options={"num_predict": 40}))
    (call,) = called["message"]["tool_calls"]
    assert call["function"]["name"] == "save" and isinstance(call["function"]["arguments"]["age"], int)


def test_ollamas_generate(tiny):
    ask = {"model": "tiny", "prompt": REVERSE, "stream": False}
    for body in (ask, {**ask, "raw": True}):
        (found,) = lines(tiny.post("/api/generate", **body))
        assert found["response"] == REVERSED
    front, back = REVERSE + '["Susan", "', '", "Mary"]'
    options = {"num_predict": 4}
    (found,) = lines(tiny.post("/api/generate", model="tiny", prompt=front, suffix=back, options=options))
    assert found["response"] == "Linda"
    assert lines(tiny.post("/api/generate", model="tiny"))[0]["done_reason"] == "load"


def test_ollamas_bodies_may_come_as_curl_sends_them(tiny):
    content = json.dumps({"model": "tiny", "prompt": REVERSE, "stream": False})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert lines(tiny.http.post("/api/generate", content=content, headers=form))[0]["response"] == REVERSED
    page = {**form, "Origin": "https://a.example"}
    assert tiny.http.post("/api/generate", content=content, headers=page).status_code == 400
    assert tiny.http.post("/v1/completions", content=content, headers=form).status_code == 400


def test_ollamas_list_and_errors(tiny):
    (tag,) = tiny.http.get("/api/tags").json()["models"]
    assert tag["name"] == "tiny" and tiny.http.get("/api/version").json() == {"version": __version__}
    missing = tiny.post("/api/chat", model="llama", messages=CHAT)
    assert missing.status_code == 404 and "not served" in missing.json()["error"]
    assert isinstance(tiny.post("/api/chat", model="tiny", messages=3).json()["error"], str)
    images = [{"role": "user", "content": "a", "images": ["x"]}]
    assert tiny.post("/api/chat", model="tiny", messages=images).status_code == 400


def test_options_say_what_may_be_written(tiny):
    found = tiny.http.get("/v1/options").json()
    assert [one["name"] for one in found["schedulers"]] == schedulers.names()
    assert [one["name"] for one in found["caches"]] == ["auto", *caches.names()]
    assert found["grammars"] == list(builtin_names()) and found["models"] == ["tiny"]
    assert set(found["defaults"]) == set(SamplingParams().to_dict()) and found["defaults"]["scheduler"]
    for one in found["schedulers"]:
        assert one["summary"] and one["signature"].startswith(one["name"])
        if "=" in one["signature"] and "saber" not in one["signature"] and "None" not in one["signature"]:
            as_scheduler(one["signature"])


def test_health_and_version(tiny):
    assert tiny.http.get("/health").json() == {"status": "ok"}
    assert tiny.http.get("/ready").json()["status"] == "ready"
    assert tiny.http.get("/version").json() == {"version": __version__}
    assert tiny.http.get("/v1/models/nope").status_code == 404


def test_metrics_count_what_was_done():
    with serving(LLM("tiny")) as served:
        first = served.post("/v1/completions", prompt=REVERSE).json()
        served.post("/v1/completions", prompt="a", max_tokens=4, ignore_eos=True, n=2)
        served.post("/v1/completions", prompt="a", regex="[0-9]{40}", max_tokens=2)
        text = served.http.get("/metrics").text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels["model_name"] == "tiny"
            found[sample.name, sample.labels.get("finished_reason")] = sample.value
    usage = first["usage"]
    assert found["vllm:prompt_tokens_total", None] == usage["prompt_tokens"] + len(LLM("tiny").tokenizer.encode("a"))
    assert found["vllm:generation_tokens_total", None] == usage["completion_tokens"] + 8
    assert found["vllm:request_success_total", "stop"] == 1 and found["vllm:request_success_total", "length"] == 1
    assert found["vllm:request_success_total", "error"] == 1
    assert found["vllm:num_requests_running", None] == 0 and found["vllm:num_requests_waiting", None] == 0
    for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds"):
        assert found[f"vllm:{name}_count", None] == 2
    assert found["vllm:inter_token_latency_seconds_count", None] == 3
    assert found["dllm:forwards_total", None] == found["dllm:rows_per_forward_count", None] >= 2
    assert found["dllm:tokens_per_forward_count", None] == 3 and found["dllm:refreshes_total", None] >= 3
    assert found["dllm:grammar_seconds_total", None] >= 0


def test_the_page_is_served_without_a_key():
    with serving(LLM("tiny"), api_key="k") as served:
        response = served.http.get("/", headers={"Authorization": ""})
    assert response.status_code == 200 and response.text == served_page()
    assert response.headers["content-type"].startswith("text/html")
