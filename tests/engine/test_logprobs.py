"""Log-probabilities as of the commit, against a softmax taken in the open."""

import math

import pytest
import torch

from dllm import LLM, Grammar, Hole, SamplingParams, Trace
from dllm.sampling.alternatives import NEVER, alternatives
from tests.support.fakes import MASK, MixDenoiser


def by_hand(scores, banned, token, k):
    """Natural logarithms of a float64 softmax; the best k of what may be proposed, of equals the lowest id first."""
    log_p = torch.log_softmax(scores.double(), -1)
    legal = [i for i in range(len(scores)) if not banned[i] and log_p[i] > -math.inf]
    best = sorted(legal, key=lambda i: (-float(log_p[i]), i))[:k]
    return [(token, max(float(log_p[token]), NEVER)), *((i, float(log_p[i])) for i in best)]


@pytest.mark.parametrize("k", [0, 1, 5, 40])
@pytest.mark.parametrize("vocab", [32, 5000])
def test_alternatives_are_those_of_a_softmax(k, vocab):
    generator = torch.Generator().manual_seed(k)
    scores = torch.randn(6, vocab, generator=generator) * 4
    scores[1, 3:] = -math.inf
    banned = torch.rand(vocab, generator=generator) < 0.3
    tokens = torch.tensor([0, 4, 2, 31, 30, 7])
    for row, found in enumerate(alternatives(scores, banned, tokens, k)):
        expected = by_hand(scores[row], banned, int(tokens[row]), k)
        assert [token for token, _ in found] == [token for token, _ in expected]
        assert [p for _, p in found] == pytest.approx([p for _, p in expected], abs=1e-5)


def test_they_are_the_logarithms_of_the_confidences_of_that_step():
    model = MixDenoiser()
    out = LLM(model).generate([1, 2], SamplingParams(max_new_tokens=8, scheduler="topk(2)", logprobs=3))
    canvas, checked = list(out.trace.canvas), 0
    banned = torch.arange(32) == MASK
    for step, after in zip(out.trace.steps, out.trace.replay(), strict=True):
        logits = model.logits(torch.tensor([canvas]))[0]
        for position, token, p, found in zip(
            step.positions, step.token_ids, step.confidences, step.logprobs, strict=True
        ):
            assert found[0][0] == token and math.exp(found[0][1]) == pytest.approx(p, rel=1e-12)
            expected = by_hand(logits[position], banned, token, 3)
            assert [one[0] for one in found] == [one[0] for one in expected]
            assert [one[1] for one in found] == pytest.approx([one[1] for one in expected], abs=1e-5)
            checked += 1
        canvas = after
    assert checked == out.stats.slots
    assert [one[0][0] for one in out.logprobs] == out.token_ids


def test_a_row_records_in_company_what_it_records_alone():
    llm = LLM(MixDenoiser())
    each = [SamplingParams(max_new_tokens=n, logprobs=k) for n, k in ((8, 2), (5, 0), (9, None), (7, 20))]
    each += [SamplingParams(max_new_tokens=6, logprobs=2, temperature=0.7, seed=3, scheduler="credit")]
    together = llm.generate([[1, 2]] * len(each), each)
    for one, params in zip(together, each, strict=True):
        alone = llm.generate([1, 2], params)
        assert one.logprobs == alone.logprobs and one.token_ids == alone.token_ids
    assert together[2].logprobs is None and not any(step.logprobs for step in together[2].trace.steps)


def test_under_a_grammar_only_what_it_allows_is_an_alternative():
    llm = LLM("tiny")
    params = SamplingParams(max_new_tokens=8, grammar=Grammar.from_regex("[0-9]{4}"), logprobs=30)
    out = llm.generate("1, 2, 3\nCount.\n", params)
    for found in out.logprobs:
        others = [token for token, _ in found if token not in llm.model.eos_token_ids]
        assert others and all(set(llm.tokenizer.decode([token])) <= set("0123456789") for token in others)


def test_what_was_committed_twice_has_the_last_and_what_was_given_has_none():
    document = [[20, 21], Hole(16), [22]]
    out = LLM("tiny").infill(document, SamplingParams(logprobs=1, scheduler="wino(accept=0.1, revoke=0.9)"))
    assert out.logprobs[:2] == [None, None] and out.logprobs[-1] is None
    assert any(step.revoked for step in out.trace.steps), "something was taken back"
    assert [one[0][0] for one in out.logprobs[2:-1]] == out.token_ids[2:-1]


def test_a_trace_holds_them_and_is_read_back():
    out = LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=6, logprobs=2))
    read = Trace.from_jsonl(out.trace.to_jsonl())
    assert read.steps == out.trace.steps and read.logprobs == out.trace.logprobs
    without = LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=6))
    assert '"logprobs": [' not in without.trace.to_jsonl()
    assert out.to_dict()["logprobs"] == out.logprobs and "logprobs" not in without.to_dict()
