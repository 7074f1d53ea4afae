"""Generations of the published samplers on the tiny golden checkpoints, token for token in fp32 on the CPU."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from dllm import LLM, SamplingParams

GOLDEN = Path(__file__).parents[1] / "golden"
CACHES = ("none", "prefix", "dual")


@pytest.fixture(scope="module")
def golden():
    def load(name):
        return LLM(GOLDEN / name, dtype="float32", device="cpu"), load_file(GOLDEN / name / "golden.safetensors")

    return {name: load(name) for name in ("llada", "llada_gqa_bias_tied", "dream")}


def check(llm, prompts, expected, **options):
    """Each row alone and all rows together give the expected ids (prompt + answer)."""
    prompts = [row.tolist() for row in prompts]
    expected = [row.tolist() for row in expected]
    params = SamplingParams(max_new_tokens=16, ignore_eos=True, **options)
    together = llm.generate(prompts, params)
    for prompt, out, ids in zip(prompts, together, expected, strict=True):
        assert out.token_ids == ids[-16:]
        assert llm.generate(prompt, params).token_ids == ids[-16:]


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("gen_full_s16", {"block_length": 16, "steps": 16}),
        ("gen_block8_s8", {"block_length": 8, "steps": 8}),
        ("gen_cfg1_block8_s16", {"block_length": 8, "steps": 16, "cfg_scale": 1.0}),
    ],
)
def test_llada_generate(golden, key, options):
    llm, stored = golden["llada"]
    check(llm, stored["input_ids"][:, :10], stored[key], scheduler="llada", cache="none", **options)


def test_llada_left_padded_batch(golden):
    """The published batch was left-padded; ours takes the unpadded rows, of different lengths."""
    llm, stored = golden["llada"]
    real = stored["gen_left_attention_mask"].bool()
    prompts = [ids[keep] for ids, keep in zip(stored["gen_left_prompt"], real, strict=True)]
    assert len({len(p) for p in prompts}) > 1
    check(llm, prompts, stored["gen_left_block8_s16"], scheduler="llada", cache="none", block_length=8, steps=16)


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("rule", ["s16", "thr0.5", "thr0.05"])
@pytest.mark.parametrize("name", ["llada", "llada_gqa_bias_tied"])
def test_published_caches(golden, name, cache, rule):
    llm, stored = golden[name]
    expected = load_file(GOLDEN / name / "golden_cache.safetensors")[f"gen_{cache}_block8_{rule}"]
    scheduler = "llada" if rule == "s16" else f"threshold({rule[3:]})"
    steps = 16 if rule == "s16" else None
    check(llm, stored["input_ids"][:, :10], expected, scheduler=scheduler, cache=cache, block_length=8, steps=steps)


@pytest.mark.parametrize("alg", ["entropy", "maskgit_plus", "topk_margin"])
@pytest.mark.parametrize("steps", [8, 16])
def test_dream_generate(golden, alg, steps):
    llm, stored = golden["dream"]
    options = {"scheduler": f"dream({alg})", "steps": steps, "block_length": 16, "cache": "none"}
    check(llm, stored["gen_prompt"], stored[f"gen_{alg}_s{steps}"], **options)


def test_dream_left_padded_batch(golden):
    llm, stored = golden["dream"]
    real = stored["attention_mask_left"][:, :10].bool()
    prompts = [ids[keep] for ids, keep in zip(stored["input_ids_left"][:, :10], real, strict=True)]
    assert len({len(p) for p in prompts}) > 1
    options = {"scheduler": "dream(entropy)", "steps": 16, "block_length": 16, "cache": "none"}
    check(llm, prompts, stored["gen_entropy_left_s16"], **options)
