"""What a stream tells: pieces that are never taken back, or the whole text each time; and what each forward did."""

import pytest

from dllm import LLM, SamplingParams, Trace, TraceStep
from dllm.serve.streams import MASK, Prose
from dllm.serve.tools import Calling, Offer
from tests.support.serving import ANA, CHAT, REVERSE, REVERSED

ONE = "topk(1, by=left_to_right)"


def told(texts, stops=()):
    """The pieces of a text that grows like this."""
    prose = Prose(stops)
    return [prose.grown(text, ended=at == len(texts) - 1) for at, text in enumerate(texts)]


def test_pieces_are_what_has_grown():
    assert told(["", "a", "a", "abc", "abcd"]) == ["", "a", "", "bc", "d"]


def test_what_may_become_a_stop_string_is_held_back():
    assert told(["ab", "abS", "abST", "abSTx", "abSTxy"], ["STOP"]) == ["ab", "", "", "STx", "y"]
    assert told(["abST", "abSTOP", "abSTOPq"], ["STOP"]) == ["ab", "", ""]
    assert told(["aEN", "aEND"], ["END", "ENTER"]) == ["a", ""]
    assert told(["aEN", "aEN"], ["END"]) == ["a", "EN"], "at the end nothing is held back"


@pytest.mark.parametrize(
    ("offer", "text", "name", "arguments"),
    [
        (Offer(None, ({},)), '{"name": "f", "arguments": {"a": {"b": "}"}}}', "f", '{"a": {"b": "}"}}'),
        (Offer(None, ({},)), ' {"name":"g\\"h","arguments":{} } ', 'g"h', "{}"),
        (Offer(None, ({},), only="f"), ' {"a": "x } "} ', "f", '{"a": "x } "}'),
    ],
)
def test_a_call_is_told_in_pieces(offer, text, name, arguments):
    calling, entries = Calling(offer), []
    for end in range(len(text) + 1):
        entries += calling.grown(text[:end], ended=False)
    entries += calling.grown(text, ended=True)
    assert entries[0]["function"] == {"name": name, "arguments": ""} and entries[0]["id"].startswith("call-")
    assert "".join(entry["function"]["arguments"] for entry in entries) == arguments
    assert len(entries) > min(3, len(arguments)) and all("id" not in entry for entry in entries[1:])


def replayed(chunks, place):
    """A trace of the `diffusion` objects of a stream: the header, then the steps."""
    each = [found for found in (place(chunk).get("diffusion") for chunk in chunks) if found]
    header, *steps = [one for one in each if "canvas" in one or "positions" in one]
    texts = {int(token): text for token, text in header["texts"].items()}
    for step in steps:
        texts |= dict(zip(step["token_ids"], step["tokens"], strict=True))
    listed = ("positions", "token_ids", "confidences", "revoked")
    made = [TraceStep(**{name: tuple(one[name]) for name in listed}, length=one["length"]) for one in steps]
    kept = {name: header[name] for name in ("canvas", "prompt_length", "mask_token_id", "model", "params")}
    assert [one["step"] for one in steps] == list(range(len(steps)))
    return Trace(made, texts=texts, **kept), steps


def first_choice(chunk):
    return chunk["choices"][0] if chunk.get("choices") else {}


def test_diffusing_tells_the_whole_text_of_every_forward_and_all_of_its_trace(tiny):
    body = {"messages": CHAT, "max_tokens": 40, "diffusing": True, "seed": 3, "scheduler": "topk(1)"}
    chunks = tiny.events("/v1/chat/completions", **body)
    expected = LLM("tiny").chat(CHAT, SamplingParams(max_new_tokens=40, seed=3, scheduler="topk(1)"))
    trace, steps = replayed(chunks, first_choice)
    assert trace.canvas == expected.trace.canvas and list(trace.replay()) == list(expected.trace.replay())
    assert "canvas" in first_choice(chunks[0])["diffusion"], "the header comes first"
    texts = [first_choice(chunk)["delta"].get("content") for chunk in chunks]
    texts = [text for text in texts if text]
    assert len(texts) == expected.stats.forwards and texts[-1] == ANA
    for text, step in zip(texts[:-1], steps, strict=False):
        assert text.count(MASK) == step["masks_left"] > 0
    last = chunks[-1]
    assert first_choice(last)["finish_reason"] == "stop" and last["usage"]["completion_tokens"] == 10


def test_without_it_a_stream_tells_the_same_in_pieces(tiny):
    for scheduler in (ONE, "topk(2)", "threshold(0.9)", "wino", "saber", "threshold(0.9)+edit", "credit+topk(1)"):
        body = {"prompt": REVERSE, "scheduler": scheduler, "max_tokens": 40, "cache": "prefix"}
        chunks = tiny.events("/v1/completions", **body)
        assert "".join(first_choice(chunk)["text"] for chunk in chunks) == REVERSED
        assert [first_choice(chunk)["finish_reason"] for chunk in chunks][-1] == "stop"


def test_completions_may_diffuse_too(tiny):
    chunks = tiny.events("/v1/completions", prompt=REVERSE, scheduler=ONE, diffusing=True, echo=True, max_tokens=20)
    assert first_choice(chunks[-1])["text"] == REVERSE + REVERSED
    trace, _ = replayed(chunks, first_choice)
    assert trace.prompt_length > 0 and len(trace.steps) == 8


def test_a_document_is_told_by_its_canvas(tiny):
    document = [REVERSE, {"hole": 7}]
    chunks = tiny.events("/v1/infill", document=document, scheduler="topk(1)", diffusing=True)
    trace, steps = replayed(chunks, lambda chunk: chunk)
    assert len(steps) == 7 and [step["masks_left"] for step in steps] == [6, 5, 4, 3, 2, 1, 0]
    last = chunks[-1]
    assert last["text"] == REVERSE + REVERSED and last["holes"] == [REVERSED] and last["finish_reason"] == "stop"
    assert last["usage"]["completion_tokens"] == 7 and last["stats"]["forwards"] == 7
    assert last["token_ids"] == list(trace.replay())[-1] and chunks[1]["text"].count(MASK) == 6


def test_a_token_is_masked_again_and_gone_on_from(tiny):
    """What the page does when a token is clicked: the canvas as ids, with a hole of 1."""
    whole = tiny.post("/v1/infill", document=[REVERSE, {"hole": 7}]).json()
    at = len(whole["token_ids"]) - 6
    parts = [{"ids": whole["token_ids"][:at]}, {"hole": 1}, {"ids": whole["token_ids"][at + 1 :]}]
    again = tiny.post("/v1/infill", document=parts).json()
    assert again["token_ids"] == whole["token_ids"] and again["holes"] == ["Susan"]


def test_an_error_in_a_stream_is_its_last_event(monkeypatch, tiny):
    from dllm.serve import chat

    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(chat, "step_of", broken)
    chunks = tiny.events("/v1/chat/completions", messages=CHAT)
    assert chunks[-1]["error"]["code"] == "internal_error" and "secret" not in str(chunks[-1])


def test_a_request_that_is_wrong_has_a_status_though_it_streams(tiny):
    wrong = ({"messages": []}, {"temperature": -1}, {"max_tokens": 4, "regex": "[0-9]{90}"}, {"scheduler": "x"})
    for values in wrong:
        response = tiny.post("/v1/chat/completions", **{"messages": CHAT, "stream": True, **values})
        assert response.status_code == 400 and "error" in response.json(), values
    response = tiny.post("/v1/infill", document=[REVERSE, {"hole": {"min": 1, "max": 9}}], stream=True)
    assert response.status_code == 400 and "follows one canvas" in response.json()["error"]["message"]
