"""One suite over scheduler x cache x model x extra: whatever the combination, a row in a batch is the row alone.

A pairwise covering of the combinations is run; with `--full` (`make test-all`) all of them.
"""

import json
import random
import re
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dllm import LLM, SamplingParams
from dllm.cache import caches
from dllm.schedulers import schedulers
from tests.references.plain_dream import PlainDream, cached_generate, published_generate
from tests.support.fakes import MixDenoiser
from tests.support.pairwise import marked

GOLDEN = Path(__file__).parents[1] / "golden"
NATIVE = ("llada", "llada_gqa_bias_tied", "dream")
MIXED, CAUSAL = ("llada_moe",), ("sdar", "llada2_moe")
SCHEDULERS = (
    *("llada", "llada(random)", "topk(3, by=entropy)", "topk(2, by=margin)", "topk(by=left_to_right)"),
    *("threshold(0.05)", "factor(20)", "dream", "dream(origin)", "dream(topk_margin, alg_temp=0.3)"),
    "threshold(0.1)+topk(2, by=random)",
)
METHODS = (
    *(
        "localleap(anchor=0.08, relaxed=0.03)",
        "eb(20)",
        "hierarchy(high=0.1, low=0.03)",
        "dus",
        "saber(2)",
        "saber(2, back=fallen)",
    ),
    *("klass(0.02, epsilon=1)", "credit+threshold(0.05)", "prophet(early=2, middle=1, late=0.5)+topk"),
    *(
        "eotp(paper)+topk",
        *("multiblock(5.2)", "multiblock(4, add=0.3)+credit+dus"),
        *("stable(1, entropy=6)+topk", "rcr", "p2", "remdm(2, loops=3, at=0.5)"),
        "pc(0.1, table=flat, k=2)",
        "slowfast(0.5, explore=1, reach=0.03)",
        "cora(0.02)",
        "sched(1, low=0.1, change=0.7)+topk",
        "block_first+threshold(0.05)",
        "wino(0.02, revoke=0.1)",
        "wino(0.02, revoke=0.1, shadow=alone, cap=step)",
    ),
    "adablock(tau=0.01, delimiters='3 14 15 92 65 35 89')+credit+localleap(anchor=0.05)+prophet(early=4)+eotp",
)
EXTRAS = {
    "greedy": {},
    "sampled": {"temperature": 0.7, "top_p": 0.95, "top_k": 50},
    "guided": {"cfg_scale": 0.7},
}
LENGTHS = (1, 3, 10, 6, 2, 17, 7)


@pytest.fixture(scope="module")
def llms():
    found = {name: LLM(GOLDEN / name, dtype="float32", device="cpu") for name in ("sdar", *NATIVE)}
    for name in ("llada_moe", "llada2_moe"):  # whose config names no mask
        found[name] = LLM(GOLDEN / name, dtype="float32", device="cpu", mask_token_id=246)
    return {**found, "mix": LLM(MixDenoiser(vocab_size=240))}


def prompts(llm):
    rng = random.Random(0)
    return [rng.choices(range(200), k=n) for n in LENGTHS]


MODES = (
    *("window(left=2, right=1, every=3)", "suffix(keep=3)", "delayed(every=4)", "drift(tau=0.97)", "entropy(tau=0.94)"),
    *(
        "dual(neighbour=needed)",
        "prefix(keep_prompt=True)",
        "suffix(keep=0, keep_prompt=True)",
        "delayed(keep_prompt=True)",
    ),
)
CACHES = {
    **dict.fromkeys((*NATIVE, *MIXED), ("none", "prefix", "dual", *MODES)),
    **dict.fromkeys(CAUSAL, ("none", "exact", "prefix", "dual", *MODES)),
    "mix": ("none",),
}
"""What a model can have."""
# a plain denoiser cannot tell what it would say of a token it sees: test_shadows has its error
RUNS = [
    (name, cache, scheduler, extra)
    for name, able in CACHES.items()
    for cache, scheduler, extra in product(able, (*SCHEDULERS, *METHODS), EXTRAS)
    if name != "mix" or "wino" not in scheduler
]


def test_every_cache_and_every_scheduler_is_in_the_suite():
    """One that is added to the package is added here."""
    used = {
        word for _, cache, scheduler, _ in RUNS for text in (cache, str(scheduler)) for word in re.findall(r"\w+", text)
    }
    missing = (
        {*caches.names(), *schedulers.names()} - used - {"learn2pd", "edit", "llada2"}
    )  # these have suites of their own
    assert missing == set()


@pytest.mark.parametrize(("name", "cache", "scheduler", "extra"), marked(RUNS))
def test_a_row_in_a_batch_is_the_row_alone(llms, name, cache, scheduler, extra):
    llm = llms[name]
    asked = prompts(llm)[::2]
    # different lengths, blocks and seeds in one batch; the pool is smaller than the batch, so rows also enter midway
    params = [
        SamplingParams(
            max_new_tokens=9 + i,
            block_length=(4, 32, 8)[i % 3],
            scheduler=scheduler,
            cache=cache,
            seed=i,
            **EXTRAS[extra],
        )
        for i in range(len(asked))
    ]
    together = llm.generate(asked, params, max_batch_size=3)
    for i, (prompt, own, out) in enumerate(zip(asked, params, together, strict=True)):
        alone = llm.generate(prompt, own)
        assert out.token_ids == alone.token_ids, f"row {i}: {margins(out, alone)}"
        assert [s.confidences for s in out.trace.steps] == [s.confidences for s in alone.trace.steps]
        assert out.finish_reason == alone.finish_reason and out.stats.cache == cache
        check_trace(llm, out, own)


def margins(out, alone):
    """Where two traces part, and how close the call was."""
    for step, (a, b) in enumerate(zip(out.trace.steps, alone.trace.steps, strict=False)):
        if (a.positions, a.token_ids) != (b.positions, b.token_ids):
            return f"step {step}: {a} against {b}"
    return "one trace is longer"


def check_trace(llm, out, params):
    """Each step commits something masked, or with extra forwards takes something back; the last canvas is the answer,
    and nothing is left masked.

    How many tokens a step masks again is the scheduler's business: WINO's cap is the commits of the step before.
    """
    mask = llm.model.mask_token_id
    whole = llm.engine.whole_blocks(len(out.prompt_token_ids) + params.max_new_tokens)
    before = out.prompt_token_ids + [mask] * (whole - len(out.prompt_token_ids))
    for step, after in zip(out.trace.steps, out.trace.replay(before, mask), strict=True):
        assert (step.positions or step.revoked) and all(before[p] == mask for p in step.positions)
        assert all(before[p] != mask for p in step.revoked) and not {*step.revoked} & {*step.positions}
        before = after
    length = len(out.prompt_token_ids) + len(out.token_ids)
    assert before[len(out.prompt_token_ids) : length] == out.token_ids and mask not in before[:length]
    assert out.stats.slots == sum(len(step.positions) - len(step.revoked) for step in out.trace.steps)


@pytest.mark.parametrize("name", NATIVE)
def test_infill_rows_do_not_mix(llms, name):
    from dllm import Hole

    llm = llms[name]
    documents = [[[5, 6], Hole(4), [7]], [Hole(3), [8, 9, 10, 11], Hole(2)], [[12] * 20, Hole(9)]]
    for cache in ("none", "prefix", "dual", *MODES):
        params = SamplingParams(scheduler="topk(2)", cache=cache, block_length=4)
        for document, out in zip(documents, llm.infill(documents, params), strict=True):
            assert out.token_ids == llm.infill(document, params).token_ids


def test_two_threads_give_the_same_tokens(llms):
    threads = torch.get_num_threads()
    params = SamplingParams(max_new_tokens=12, block_length=4, scheduler="topk(2)", cache="dual")
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append([o.token_ids for o in llms["llada"].generate(prompts(None), params)])
            assert found[-1] == [llms["llada"].generate(p, params).token_ids for p in prompts(None)]
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("k", [1, 3])
def test_dream_caches_equal_the_written_out_loop(llms, cache, k):
    """Ours differs from the one published loop with a cache (below), so the reference is our own, without any of the
    engine's code."""
    config = json.loads((GOLDEN / "dream" / "config.json").read_text())
    plain = PlainDream(load_file(GOLDEN / "dream" / "model.safetensors"), config)
    params = SamplingParams(max_new_tokens=11, block_length=4, scheduler=f"topk({k})", cache=cache, ignore_eos=True)
    for prompt in prompts(None)[:4]:
        expected = cached_generate(plain, prompt, 11, 4, cache, k)
        assert llms["dream"].generate(prompt, params).token_ids == expected


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("tau", [0.02, 0.05, 1.0])
def test_dream_as_published_with_a_cache(llms, cache, tau):
    """Fast-dLLM's rule for Dream, by its two arguments: each alone is another rule."""
    config = json.loads((GOLDEN / "dream" / "config.json").read_text())
    plain = PlainDream(load_file(GOLDEN / "dream" / "model.safetensors"), config)
    spec, differ = f"block_first+threshold({tau})", set()
    for prompt in prompts(None)[:5]:
        expected = published_generate(plain, prompt, 15, 5, cache, tau)
        for scheduler, mode in product((spec, f"threshold({tau})"), (f"{cache}(neighbour=needed)", cache)):
            params = SamplingParams(
                max_new_tokens=15, block_length=5, scheduler=scheduler, cache=mode, ignore_eos=True
            )  # fmt: skip
            found = llms["dream"].generate(prompt, params).token_ids
            if scheduler == spec and mode != cache:
                assert found == expected
            elif found != expected:
                differ.add((scheduler, mode))
    assert differ


def test_caches_feed_what_they_say(llms):
    llm = llms["dream"]
    prompt = prompts(None)[2]
    for cache, refreshes in (("none", 0), ("prefix", 3), ("dual", 3)):
        params = SamplingParams(max_new_tokens=12, block_length=4, scheduler="topk", cache=cache, ignore_eos=True)
        stats = llm.generate(prompt, params).stats
        assert (stats.refreshes, stats.forwards, stats.cache) == (refreshes, 12, cache)
    assert llm.generate(prompt, SamplingParams(max_new_tokens=4)).stats.cache == "suffix(keep=8, every=1)"
    assert llms["mix"].generate(prompt, SamplingParams(max_new_tokens=4)).stats.cache == "none"
