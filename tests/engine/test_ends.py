"""How answers end: the published rules read aloud, and what a request may ask of ends."""

import math

import pytest
import torch

from dllm import LLM, ConfigError, Grammar, Hole, SamplingParams
from tests.support.fakes import EOS, MASK, VOCAB, MixDenoiser, ScriptedDenoiser, wish

NEW = 12


def published(model, prompt, new, block, steps, *, never=False, last=False):
    """LLaDA's evaluation, greedy: everything is denoised, then the text is cut at its first end.

    never, last: its switches `logits_eos_inf` and `confidence_eos_eot_inf`; both write into the logits that
    confidences are taken from, the second after the tokens have been chosen.
    """
    x = torch.tensor([prompt + [MASK] * new])
    for start in range(len(prompt), len(prompt) + new, block):
        masks = int((x[0, start : start + block] == MASK).sum())
        per_block = steps // (new // block)
        for step in range(per_block):
            logits = model.logits(x)[0]
            if never:
                logits[:, EOS] = -torch.inf
            proposable = logits.clone()
            proposable[:, MASK] = -torch.inf
            tokens = proposable.argmax(-1)
            if last:
                logits[:, EOS] = -torch.inf
            p = torch.softmax(logits, -1).gather(-1, tokens[:, None])[:, 0]
            live = (x[0] == MASK) & (torch.arange(x.shape[1]) < start + block)
            p[~live] = -torch.inf
            count = masks // per_block + (step < masks % per_block)
            best = p.sort(descending=True, stable=True).indices[:count]  # of equals, as ends with `last` are, the first
            x[0, best] = tokens[best]
    answer = x[0, len(prompt) :].tolist()
    return answer[: answer.index(EOS)] if EOS in answer else answer


@pytest.mark.parametrize(("block", "steps"), [(12, 12), (12, 5), (4, 12), (6, 4)])
@pytest.mark.parametrize("switches", [{}, {"never": True}, {"last": True}], ids=["plain", "never", "last"])
def test_the_published_rule_is_equalled(block, steps, switches):
    names = {"never": "logits_eos_inf=true", "last": "confidence_eos_eot_inf=true"}
    spec = f"llada({', '.join(names[name] for name in switches)})" if switches else "llada"
    ended = 0
    for seed in range(12):
        model, prompt = MixDenoiser(seed=seed, scale=1.0), [1 + seed % 5, 2, 3]
        model.offsets[:, EOS] += 2.0
        params = SamplingParams(max_new_tokens=NEW, block_length=block, steps=steps, scheduler=spec, cut_at_eos="end")
        out = LLM(model).generate(prompt, params)
        expected = published(model, prompt, NEW, block, steps, **switches)
        assert out.token_ids == expected, seed
        assert out.finish_reason == ("stop" if len(expected) < NEW else "length")
        assert out.stats.slots == NEW and out.stats.tokens == len(expected)
        ended += len(expected) < NEW
    assert (ended == 0) == bool(switches.get("never")), "the seeds show both ways to end"


def test_no_end_among_the_first_tokens():
    model = ScriptedDenoiser(wish([4, EOS, EOS, 5, EOS, 6], [0.9] * 6, prompt=2))
    for least, expected in ((0, 1), (1, 1), (3, 4), (6, 6)):
        params = SamplingParams(max_new_tokens=6, scheduler="topk(1, by=left_to_right)", min_new_tokens=least)
        out = LLM(model).generate([1, 2], params)
        assert len(out.token_ids) == expected and EOS not in out.token_ids


def test_a_stop_id_ends_an_answer_as_an_end_of_text_does():
    """Greedy, one token a step from the left: the answer is the free one up to the id."""
    model = ScriptedDenoiser(wish([4, 5, 9, 6, EOS, 7], [0.9] * 6, prompt=2))
    one_by_one = {"max_new_tokens": 6, "scheduler": "topk(1, by=left_to_right)"}
    for values, expected, reason, filled in (
        ({}, [4, 5, 9, 6], "stop", 5),
        ({"stop_token_ids": [9]}, [4, 5], "stop", 3),
        ({"stop_token_ids": (9, 5)}, [4], "stop", 2),
        ({"stop_token_ids": [EOS]}, [4, 5, 9, 6], "stop", 5),
        ({"stop_token_ids": [9], "ignore_eos": True}, [4, 5], "stop", 3),
        ({"stop_token_ids": [7], "ignore_eos": True}, [4, 5, 9, 6, EOS], "stop", 6),
        ({"stop_token_ids": [8], "ignore_eos": True}, [4, 5, 9, 6, EOS, 7], "length", 6),
        ({"stop_token_ids": [9], "cut_at_eos": "end"}, [4, 5], "stop", 6),
        ({"stop_token_ids": [9], "cut_at_eos": "end", "ignore_eos": True}, [4, 5], "stop", 6),
    ):
        out = LLM(model).generate([1, 2], SamplingParams(**one_by_one, **values))
        assert (out.token_ids, out.finish_reason, out.stats.slots) == (expected, reason, filled), values
    late = SamplingParams(**one_by_one, stop_token_ids=[9], min_new_tokens=3)
    assert 9 not in LLM(model).generate([1, 2], late).token_ids[:3]


def test_a_stop_id_plays_no_part_in_a_document():
    with pytest.raises(ConfigError, match=r"stop_token_ids=.* plays no part in infill"):
        LLM(MixDenoiser()).infill([[1, 2], Hole(3)], SamplingParams(stop_token_ids=[4]))


def test_biases_move_tokens_and_forbid_them():
    model = MixDenoiser()
    free = LLM(model).generate([1, 2], SamplingParams(max_new_tokens=6, ignore_eos=True)).token_ids
    often = max(set(free), key=free.count)
    for bias in (-math.inf, -1e4):
        out = LLM(model).generate([1, 2], SamplingParams(max_new_tokens=6, ignore_eos=True, logit_bias={often: bias}))
        assert often not in out.token_ids
    out = LLM(model).generate([1, 2], SamplingParams(max_new_tokens=6, logit_bias={often: 1e4}))
    assert out.token_ids == [often] * 6 and min(min(step.confidences) for step in out.trace.steps) > 0.99


def test_rows_with_biases_keep_their_tokens_in_company():
    model = MixDenoiser()
    each = [SamplingParams(max_new_tokens=8), SamplingParams(max_new_tokens=8, logit_bias={3: 2.0, 4: -1.0})]
    each += [SamplingParams(max_new_tokens=8, min_new_tokens=5), SamplingParams(max_new_tokens=8, cut_at_eos="end")]
    each += [SamplingParams(max_new_tokens=8, stop_token_ids=range(0, VOCAB, 5))]
    together = LLM(model).generate([[1, 2]] * len(each), each)
    assert [out.token_ids for out in together] == [LLM(model).generate([1, 2], one).token_ids for one in each]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"logit_bias": [1]}, "must map token ids to numbers"),
        ({"logit_bias": {1: math.nan}}, "nan of id 1 must be a number"),
        ({"logit_bias": {-1: 0.0}}, "token id"),
        ({"min_new_tokens": 200}, "more than max_new_tokens=128"),
        ({"cut_at_eos": "late"}, "must be one of: now, end"),
        ({"cut_at_eos": "end", "grammar": Grammar.from_choices(["a"])}, "does not go with grammar"),
        ({"min_new_tokens": 1, "grammar": Grammar.from_choices(["a"])}, "does not go with grammar"),
        ({"stop_token_ids": [1], "grammar": Grammar.from_choices(["a"])}, "does not go with grammar"),
        ({"scheduler": "llada(random, confidence_eos_eot_inf=true)"}, "orders by confidence"),
    ],
)
def test_mistakes_are_named(values, said):
    with pytest.raises(ConfigError, match=said):
        SamplingParams(**values)


@pytest.mark.parametrize("values", [{"logit_bias": {9999: 1.0}}, {"stop_token_ids": [3, 9999]}])
def test_ids_outside_the_vocabulary_are_named(values):
    (name,) = values
    with pytest.raises(ConfigError, match=f"{name}: id 9999 must be in"):
        LLM(MixDenoiser()).generate([1], SamplingParams(**values))


def test_equal_biases_make_equal_parameters():
    one, other = SamplingParams(logit_bias={1: 2, 3: 4.0}), SamplingParams(logit_bias={3: 4, 1: 2.0})
    assert one == other and hash(one) == hash(other) and one.biases == {1: 2.0, 3: 4.0}
    assert one != SamplingParams()
