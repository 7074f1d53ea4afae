"""The likelihood bound against enumeration of all masks, and its greedy check against generation."""

import math
from itertools import combinations, permutations

import pytest
import torch

from dllm import LLM, PromptError, SamplingParams
from dllm.engine.text_model import TextModel
from dllm.eval.likelihood import COLUMNS_AT_ONCE, Pair, Scorer, draw_masks, over_windows, windows
from dllm.models.adapters import as_denoiser
from tests.support.fakes import MixDenoiser, ScriptedDenoiser

MASK, EOS = 6, 7
CONTEXT = (1, 2, 3)


def mix(seed=0, scale=0.7):
    return MixDenoiser(8, seed=seed, scale=scale, eos=(EOS,))


def scorer(model, **options):
    return Scorer(TextModel(as_denoiser(model), None), **options)


def log_p(model, context, continuation, masked, cfg_scale=0.0):
    """Slow and obvious: the log-probability of each masked token, one canvas at a time."""
    ids = torch.tensor([*context, *(MASK if i in masked else t for i, t in enumerate(continuation))])
    logits = model.logits(ids[None])[0]
    if cfg_scale:
        blind = torch.tensor([MASK] * len(context) + ids[len(context) :].tolist())
        unconditional = model.logits(blind[None])[0]
        logits = unconditional + (cfg_scale + 1) * (logits - unconditional)
    found = torch.log_softmax(logits, -1)
    return {i: float(found[len(context) + i, continuation[i]]) for i in masked}


def enumerated(model, context, continuation, cfg_scale=0.0):
    """Expectation and variance of one sample, over every mask with its probability."""
    length, mean, square, mass = len(continuation), 0.0, 0.0, 0.0
    for count in range(1, length + 1):
        for masked in combinations(range(length), count):
            probability = 1 / length / math.comb(length, count)
            sample = length / count * sum(log_p(model, context, continuation, masked, cfg_scale).values())
            mean += probability * sample
            square += probability * sample**2
            mass += probability
    assert math.isclose(mass, 1)
    return mean, square - mean**2


@pytest.mark.parametrize("cfg_scale", [0.0, 1.5])
@pytest.mark.parametrize("context", [CONTEXT, ()], ids=["context", "none"])
@pytest.mark.parametrize("continuation", [(4,), (4, 0), (4, 0, 5)], ids=len)
def test_the_estimate_is_that_of_enumeration(continuation, context, cfg_scale):
    model, samples = mix(), 2000
    exact, variance = enumerated(model, context, continuation, cfg_scale)
    (bound,) = scorer(model, samples=samples, cfg_scale=cfg_scale).bounds([Pair(context, continuation)])
    assert abs(bound.value - exact) <= 4 * bound.standard_error + 1e-5
    assert bound.standard_error == pytest.approx(math.sqrt(variance / samples), rel=0.1, abs=1e-6)
    assert (bound.tokens, bound.samples) == (len(continuation), samples)
    assert bound.forwards == 2 ** len(continuation) - 1  # of 2000 draws all masks, each scored once


def test_one_token_is_exact():
    model = mix()
    (bound,) = scorer(model, samples=128).bounds([Pair(CONTEXT, (4,))])
    assert (bound.standard_error, bound.forwards) == (0.0, 1)
    assert bound.value == pytest.approx(log_p(model, CONTEXT, (4,), (0,))[0], abs=1e-9)


def test_the_standard_error_is_that_of_many_runs():
    model, pair = mix(), Pair(CONTEXT, (4, 0, 5))
    runs = [scorer(model, samples=16, seed=seed).bounds([pair])[0] for seed in range(300)]
    values = torch.tensor([run.value for run in runs], dtype=torch.float64)
    reported = math.sqrt(sum(run.standard_error**2 for run in runs) / len(runs))
    assert float(values.std()) == pytest.approx(reported, rel=0.15)
    exact, variance = enumerated(model, pair.context, pair.continuation)
    assert abs(float(values.mean()) - exact) <= 4 * math.sqrt(variance / 16 / 300)


@pytest.mark.parametrize("seed", range(5))
def test_it_bounds_decoding_in_a_random_order_from_below(seed):
    model, continuation = mix(seed), (4, 0, 5)
    orders = []
    for order in permutations(range(3)):
        steps = [log_p(model, CONTEXT, continuation, order[k:])[order[k]] for k in range(3)]
        orders.append(sum(steps))
    exact, _ = enumerated(model, CONTEXT, continuation)
    assert exact == pytest.approx(sum(orders) / 6)  # the mean over orders ...
    assert exact <= math.log(sum(map(math.exp, orders)) / 6)  # ... and so below the log of the mean


def test_masks_are_uniform_in_count_and_place():
    masks = draw_masks(4, 8000, seed=3)
    counts = torch.bincount(masks.sum(-1), minlength=5)
    assert counts[0] == 0 and all(abs(int(count) - 2000) < 200 for count in counts[1:])
    for count in range(1, 5):
        share = masks[masks.sum(-1) == count].double().mean(0)
        assert torch.allclose(share, torch.full((4,), count / 4, dtype=torch.float64), atol=0.05)


def test_a_value_depends_on_the_pair_and_the_seed_alone(monkeypatch):
    llm = LLM("tiny")
    texts = [("Reverse the list.\n", '["a"]'), ("x = ", "1 + 2"), ("", "int main() { return 0; }"), ("ab", "c")]
    encode = llm.tokenizer.encode
    pairs = [Pair(tuple(encode(a)), tuple(encode(b))) for a, b in texts]
    engine = TextModel(llm.model, llm.tokenizer)
    alone = [Scorer(engine, samples=12, batch=1).bounds([pair])[0] for pair in pairs]
    assert Scorer(engine, samples=12, batch=7).bounds(pairs) == alone
    assert Scorer(engine, samples=12, batch=64).bounds(pairs[::-1]) == alone[::-1]
    monkeypatch.setattr("dllm.eval.likelihood.COLUMNS_AT_ONCE", 3 * llm.model.vocab_size)
    assert Scorer(engine, samples=12, batch=64).bounds(pairs) == alone
    assert Scorer(engine, samples=12, seed=1).bounds(pairs[:1]) != alone[:1]
    assert COLUMNS_AT_ONCE > 2**20


def test_only_masked_tokens_of_the_continuation_count_and_the_mask_id_stays_in_the_normaliser():
    def script(ids):
        logits = torch.zeros(len(ids), 8)
        logits[:, MASK] = 3.0
        return logits

    model = ScriptedDenoiser(script, vocab_size=8)
    (bound,) = scorer(model, samples=64).bounds([Pair(CONTEXT, (4, 0))])
    each = -math.log(7 + math.exp(3.0))
    assert bound.value == pytest.approx(2 * each, rel=1e-6)
    assert bound.standard_error == pytest.approx(0, abs=1e-6)


def test_greedy_is_what_generation_writes():
    for model in (mix(scale=3.0), mix(1, scale=3.0)):
        llm = LLM(model)
        for cfg_scale in (0.0, 1.0):
            params = SamplingParams(
                max_new_tokens=4, block_length=4, scheduler="topk(1)", ignore_eos=True, cfg_scale=cfg_scale
            )
            written = llm.generate(list(CONTEXT), params).token_ids
            other = [*written[:-1], (written[-1] + 1) % MASK]
            pairs = [Pair(CONTEXT, tuple(ids)) for ids in (written, other, written)]
            tool = scorer(model, samples=2, batch=2, cfg_scale=cfg_scale)
            before = tool.bounds(pairs)
            after = tool.greedy(pairs, before)
            assert [bound.greedy for bound in after] == [True, False, True]
            assert after[0].forwards - before[0].forwards == 4 >= after[1].forwards - before[1].forwards >= 1


def test_what_cannot_be_scored_is_named():
    tool = scorer(mix(), samples=2)
    for pair, said in (
        (Pair(CONTEXT, ()), "continuation to score is empty"),
        (Pair(CONTEXT, (MASK,)), "mask id"),
        (Pair((MASK,), (1,)), "the context holds the mask id"),
        (Pair(CONTEXT, (99,)), "legal ids are 0...7"),
    ):
        with pytest.raises(PromptError, match=said):
            tool.bounds([pair])


@pytest.mark.parametrize("prefix", [(), (9,)])
@pytest.mark.parametrize("length", range(1, 14))
def test_windows_are_the_text(length, prefix):
    ids = tuple(range(100, 100 + length))
    found = windows(ids, prefix, 4)
    assert sum((pair.continuation for pair in found), ()) == ids
    assert found[0].context == prefix and windows(ids, prefix, None) == [Pair(prefix, ids)]
    at = len(found[0].continuation)
    for index, pair in enumerate(found[1:], 1):
        # what stands in front is the text before it: one token, or in the last window as many as fit
        assert pair.context == ids[:at][-len(pair.context) :] and pair.salt == index
        assert len(pair.context) == 1 or (pair is found[-1] and len(pair.context) + len(pair.continuation) == 4)
        at += len(pair.continuation)
    assert all(len(pair.context) + len(pair.continuation) <= 4 for pair in found)


def test_a_text_in_windows_is_their_sum():
    pairs = windows((1, 2, 3, 4, 5, 0, 1), (), 4)
    bounds = scorer(mix(), samples=64).bounds(pairs)
    whole = over_windows(bounds)
    assert whole.value == sum(bound.value for bound in bounds) and whole.tokens == 7
    assert whole.standard_error == pytest.approx(math.sqrt(sum(bound.standard_error**2 for bound in bounds)))
    assert over_windows([]).value == 0.0
