"""The loop against the slow reference, and its rules one by one on scripted models."""

import itertools
import math
import random
from dataclasses import dataclass

import pytest
import torch

from dllm import LLM, ConfigError, ModelError, SamplingParams, Trace
from dllm.schedulers import Scheduler
from tests.references import literal as reference
from tests.support.fakes import EOS, MASK, VOCAB, MixDenoiser, ScriptedDenoiser, wish

RULES = {
    "llada": lambda: reference.llada,
    "topk": lambda: reference.topk(1, lambda c: c.confidence),
    "topk(3)": lambda: reference.topk(3, lambda c: c.confidence),
    "topk(2, by=margin)": lambda: reference.topk(2, lambda c: c.margin),
    "topk(2, by=entropy)": lambda: reference.topk(2, lambda c: -c.entropy),
    "topk(2, by=left_to_right)": lambda: reference.topk(2, lambda c: -c.position),
    "threshold(0.3)": lambda: reference.threshold(0.3),
    "threshold(0.6)": lambda: reference.threshold(0.6),
    "factor": lambda: reference.factor(1.0),
    "factor(2.5)": lambda: reference.factor(2.5),
    "dream": lambda: reference.dream(lambda c: -c.entropy),
    "dream(maskgit_plus)": lambda: reference.dream(lambda c: c.confidence),
    "dream(topk_margin)": lambda: reference.dream(lambda c: c.margin),
}
SHAPES = [(5, 16, 8), (1, 12, 12), (9, 13, 5), (3, 8, 32)]


def prompt_of(length, seed=0):
    return random.Random(seed).choices(range(VOCAB - 2), k=length)


@pytest.mark.parametrize("spec", RULES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ignore_eos", [False, True])
def test_equals_the_reference(spec, shape, ignore_eos):
    length, new, block = shape
    for seed in range(2):
        model = MixDenoiser(seed=seed)
        prompt = prompt_of(length, seed)
        params = SamplingParams(max_new_tokens=new, block_length=block, scheduler=spec, ignore_eos=ignore_eos)
        out = LLM(model).generate(prompt, params)
        expected = reference.reference_generate(model, prompt, new, block, RULES[spec](), stop_at_eos=not ignore_eos)
        ended = not ignore_eos and expected[-1] == EOS
        assert out.token_ids == (expected[:-1] if ended else expected)
        assert out.finish_reason == ("stop" if ended else "length")
        assert out.stats.tokens == len(out.token_ids)


@pytest.mark.parametrize("spec", ["llada", "dream"])
@pytest.mark.parametrize("steps", [4, 8, 16, 24])
def test_steps_equal_the_reference(spec, steps):
    model, prompt = MixDenoiser(seed=3), prompt_of(6)
    params = SamplingParams(max_new_tokens=16, block_length=4, scheduler=spec, steps=steps, ignore_eos=True)
    out = LLM(model).generate(prompt, params)
    expected = reference.reference_generate(model, prompt, 16, 4, RULES[spec](), steps=steps, stop_at_eos=False)
    assert out.token_ids == expected
    assert out.stats.forwards <= min(steps, 16)


@pytest.mark.parametrize("cfg", [0.5, 2.0])
def test_guidance_equals_the_reference(cfg):
    model, prompt = MixDenoiser(seed=4), prompt_of(6)
    params = SamplingParams(max_new_tokens=12, block_length=4, scheduler="topk", cfg_scale=cfg)
    out = LLM(model).generate(prompt, params)
    expected = reference.reference_generate(model, prompt, 12, 4, RULES["topk"](), cfg=cfg)
    assert out.token_ids == [t for t in expected if t != EOS]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.8, "top_p": 0.9}, {"cfg_scale": 1.0}])
@pytest.mark.parametrize("spec", ["threshold(0.5)", "topk(2, by=random)", "llada(random)", "dream(origin)"])
def test_batch_rows_equal_single_runs(spec, options):
    model = MixDenoiser(seed=5)
    llm = LLM(model)
    prompts = [prompt_of(n, n) for n in (1, 4, 9, 2, 17)]
    params = [
        SamplingParams(max_new_tokens=8 + 3 * i, block_length=4 + i, scheduler=spec, seed=i, **options)
        for i in range(len(prompts))
    ]
    together = llm.generate(prompts, params, max_batch_size=3)
    for prompt, own, out in zip(prompts, params, together, strict=True):
        alone = llm.generate(prompt, own)
        assert out.token_ids == alone.token_ids
        assert [s.positions for s in out.trace.steps] == [s.positions for s in alone.trace.steps]
        assert out.prompt_token_ids == prompt


def test_trace_replays_to_the_answer_and_stats_add_up():
    model, prompt = MixDenoiser(seed=6), prompt_of(5)
    out = LLM(model).generate(prompt, SamplingParams(max_new_tokens=20, block_length=8, scheduler="factor(2)"))
    *_, final = out.trace.replay(prompt + [MASK] * 20, MASK)
    assert final[5 : 5 + len(out.token_ids)] == out.token_ids
    assert out.finish_reason == "length" and final == prompt + out.token_ids
    assert out.stats.forwards == len(out.trace.steps) == len(model.calls)
    assert out.stats.slots == sum(len(s.positions) for s in out.trace.steps)
    assert out.stats.tokens_per_forward == out.stats.tokens / out.stats.forwards
    assert out.stats.slots_per_forward == out.stats.slots / out.stats.forwards
    assert all(len(s.positions) == len(s.token_ids) == len(s.confidences) > 0 for s in out.trace.steps)
    assert all(0 < c <= 1 for s in out.trace.steps for c in s.confidences)


def generate(tokens, confidences, **options):
    prompt = [1, 2]
    model = ScriptedDenoiser(wish(tokens, confidences, len(prompt)))
    return LLM(model).generate(prompt, SamplingParams(max_new_tokens=len(tokens), **options))


def test_eos_cuts_at_once_and_earlier_masks_go_on():
    # EOS at 3 is sure from the start, 4 and 5 too; 0..2 are not
    out = generate([4, 5, 6, EOS, 8, 9], [0.5, 0.6, 0.7, 0.99, 0.95, 0.95], scheduler="threshold(0.9)")
    assert [s.positions for s in out.trace.steps] == [(5,), (4,), (3,), (2,)]
    assert out.token_ids == [4, 5, 6] and out.finish_reason == "stop"
    assert out.stats.tokens == 3 and out.stats.slots == 4


def test_the_first_of_several_eos_wins():
    out = generate([4, EOS, 6, EOS], [0.99, 0.95, 0.99, 0.99], scheduler="threshold(0.9)")
    assert out.token_ids == [4] and out.trace.steps[0].positions == (2, 3)
    # a later, then an earlier EOS: the canvas is cut twice
    out = generate([4, EOS, 6, EOS], [0.3, 0.4, 0.5, 0.9], scheduler="topk")
    assert [s.positions for s in out.trace.steps] == [(5,), (4,), (3,), (2,)] and out.token_ids == [4]


def test_eos_in_an_early_block_skips_the_later_ones():
    out = generate([4, EOS, 6, 7, 8, 9], [0.9] * 6, scheduler="threshold(0.8)", block_length=2)
    assert out.stats.forwards == 1 and out.token_ids == [4]


def test_ignore_eos_fills_everything():
    out = generate([4, EOS, 6, EOS], [0.9] * 4, scheduler="threshold(0.8)", ignore_eos=True)
    assert out.token_ids == [4, EOS, 6, EOS] and out.finish_reason == "length" and out.stats.tokens == 4


def test_threshold_edge_is_inclusive():
    out = generate([4, 5, 6], [0.75, 0.5, 0.7499], scheduler="threshold(0.75)")
    assert out.trace.steps[0].positions == (2,)
    assert out.trace.steps[0].confidences[0] == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize(
    ("confidences", "count"),
    [
        ([0.1], 1),  # a single mask is always committed
        ([0.9, 0.66], 1),  # the second fails: 0.66 < 1 - 1/3
        ([0.9, 0.67], 2),
        ([0.9, 0.67, 0.74], 2),  # ranked .9 .74 .67: the third needs .75
        ([0.9, 0.8, 0.76], 3),
        ([0.9, 0.8, 0.76, 0.79], 3),  # only the last fails (.76 < .8): not committed
        ([0.2, 0.2, 0.2], 1),
    ],
)
def test_factor_corner_cases(confidences, count):
    out = generate(list(range(4, 4 + len(confidences))), confidences, scheduler="factor")
    assert len(out.trace.steps[0].positions) == count


def test_union_commits_what_either_chooses():
    both = generate([4, 5, 6, 7], [0.95, 0.5, 0.95, 0.4], scheduler="threshold(0.9)+topk(1, by=left_to_right)")
    # the threshold takes 2 and 4, then 3 (its floor); left to right alone would have taken 2, 3, 4, 5
    assert [s.positions for s in both.trace.steps] == [(2, 4), (3,), (5,)]
    other = generate([4, 5, 6, 7], [0.95, 0.4, 0.95, 0.5], scheduler="threshold(0.9)+topk(1, by=left_to_right)")
    assert [s.positions for s in other.trace.steps] == [(2, 4), (3, 5)]


def test_random_order_needs_no_confidence_and_is_seeded():
    orders = []
    for seed in (0, 0, 1):
        out = generate(list(range(4, 16)), [0.9] * 12, scheduler="topk(by=random)", seed=seed)
        orders.append([s.positions for s in out.trace.steps])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(itertools.chain(*orders[0])) == list(range(2, 14))


def test_dream_origin_commits_about_the_scheduled_share():
    counts = []
    for seed in range(40):
        out = generate([4] * 24, [0.9] * 24, scheduler="dream(origin)", steps=4, seed=seed, ignore_eos=True)
        assert out.stats.forwards <= 4
        counts.append(len(out.trace.steps[0].positions))
    # 24 masks, probability 1 - t1/t0 = 0.24975 each; sd of the mean of 40 runs is 0.336
    assert abs(sum(counts) / 40 - 24 * 0.24975) < 5 * 0.336


def test_dream_alg_temp_draws_positions_by_weight():
    firsts = []
    for seed in range(200):
        out = generate([4, 5, 6, 7], [0.9, 0.3, 0.3, 0.3], scheduler="dream(maskgit_plus, alg_temp=0.5)", seed=seed)
        firsts.append(out.trace.steps[0].positions)
    assert {len(first) for first in firsts} == {1}
    p = 1 / (1 + 3 * math.exp((0.3 - 0.9) / 0.5))
    assert abs(firsts.count((2,)) / 200 - p) < 5 * (p * (1 - p) / 200) ** 0.5


def test_an_empty_choice_still_makes_progress():
    @dataclass(frozen=True)
    class Never(Scheduler):
        def select(self, view, state):
            return torch.zeros_like(view.active), state

    out = generate([4, 5, 6], [0.5, 0.9, 0.7], scheduler=Never())
    assert [s.positions for s in out.trace.steps] == [(3,), (4,), (2,)]


def test_a_scheduler_sees_its_own_state_only():
    @dataclass(frozen=True)
    class Counting(Scheduler):
        def init(self, view):
            return {"steps": 0, "total": view.total}

        def select(self, view, state):
            assert view.step == state["steps"] and state["total"] == view.total
            assert int(view.active.sum()) == int(view.masked[view.start : view.end].sum())
            return view.best(view.confidence, 1), {**state, "steps": state["steps"] + 1}

    model = MixDenoiser()
    params = [SamplingParams(max_new_tokens=n, scheduler=Counting(), ignore_eos=True) for n in (3, 7)]
    outs = LLM(model).generate([[1], [2, 3]], params)
    assert [o.stats.forwards for o in outs] == [3, 7]


def test_a_trace_replays_the_cut_behind_an_end():
    out = generate([4, 5, EOS, 8, 9], [0.5, 0.6, 0.99, 0.2, 0.3], scheduler="threshold(0.9)")
    canvases = list(out.trace.replay([1, 2, *[MASK] * 5], MASK))
    assert canvases == [[1, 2, MASK, MASK, EOS], [1, 2, MASK, 5, EOS], [1, 2, 4, 5, EOS]]
    assert list(Trace.from_jsonl(out.trace.to_jsonl()).replay([1, 2, *[MASK] * 5], MASK)) == canvases


def test_a_measure_that_was_not_asked_for_is_named():
    @dataclass(frozen=True)
    class Forgetful(Scheduler):
        def select(self, view, state):
            return view.measures["entropy"] < 1, state

    with pytest.raises(ConfigError, match=r"'entropy' was not taken, only confidence.*frozenset\(\{'entropy'\}\)"):
        LLM(MixDenoiser()).generate([1], SamplingParams(scheduler=Forgetful()))


def test_an_unknown_measure_is_named():
    @dataclass(frozen=True)
    class Curious(Scheduler):
        measures = frozenset({"surprise"})

    with pytest.raises(ValueError, match=r"surprise.*margin, entropy"):
        LLM(MixDenoiser()).generate([1], SamplingParams(scheduler=Curious()))


def test_samples_use_consecutive_seeds():
    llm = LLM(MixDenoiser(scale=0.5))
    params = SamplingParams(max_new_tokens=8, temperature=1.0, seed=10, n=3)
    out = llm.generate([1, 2], params)
    assert [s.seed for s in out.samples] == [10, 11, 12]
    for sample in out.samples:
        alone = llm.generate([1, 2], SamplingParams(max_new_tokens=8, temperature=1.0, seed=sample.seed))
        assert alone.token_ids == sample.token_ids
    assert len({tuple(s.token_ids) for s in out.samples}) > 1


def test_too_few_steps_is_an_error():
    with pytest.raises(ValueError, match=r"steps=2 is fewer than the 4 blocks.*steps >= 4 or a larger"):
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=16, block_length=4, steps=2, scheduler="llada"))


def test_nan_logits_are_reported():
    llm = LLM(ScriptedDenoiser(lambda ids: torch.full((len(ids), VOCAB), float("nan"))))
    with pytest.raises(ModelError, match="NaN"):
        llm.generate([1], SamplingParams(max_new_tokens=2))


def test_rows_enter_as_others_finish():
    model = MixDenoiser(seed=7)
    prompts = [prompt_of(4, s) for s in range(6)]
    params = [SamplingParams(max_new_tokens=n, scheduler="topk", ignore_eos=True) for n in (1, 9, 2, 3, 1, 4)]
    LLM(model).generate(prompts, params, max_batch_size=2)
    # 20 row-steps two at a time; the long row never leaves a slot idle
    assert sum(b for b, _ in model.calls) == 20
