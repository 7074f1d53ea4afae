"""Block-causal families: what a position sees, the exact store, where blocks end, and the published samplers."""

import random

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from dllm import LLM, CapabilityError, ConfigError, Grammar, Hole, SamplingParams, load_model
from dllm.models.base import Blocks, RowInput
from dllm.testing.checkpoints import make_checkpoint
from dllm.views import block_end
from tests.references import plain_blocks
from tests.support.checkpoints import GOLDEN, LLADA
from tests.support.pairwise import rotated

CAUSAL = ("sdar", "llada2_moe", "sdar-moe", "fast-dllm-v2", "a2d-qwen3-bd3lm")
BLOCK = {"llada2_moe": 8, "fast-dllm-v2": 16, "a2d-qwen3-bd3lm": 8, "sdar-moe": 8, "sdar": 4}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folder of a made checkpoint, by example; the seed is where the network has something to say."""
    folders = {}

    def make(example):
        if example not in folders:
            folder = tmp_path_factory.mktemp("made") / f"{example}"
            folders[example] = make_checkpoint(example, folder, seed=3)
        return folders[example]

    return make


@pytest.fixture(scope="session")
def network(made):
    loaded = {}

    def load(name):
        if name not in loaded:
            golden = GOLDEN / name
            folder = golden if golden.is_dir() else made(name)
            mask = 246 if golden.is_dir() else None
            loaded[name] = load_model(folder, dtype="float32", block_length=BLOCK[name], mask_token_id=mask)
        return loaded[name]

    return load


def prompt(length, seed=0):
    return random.Random(seed).choices(range(200), k=length)


def answer(model, ids, new, **options):
    return LLM(model).generate(ids, SamplingParams(max_new_tokens=new, ignore_eos=True, **options))


# --- the network ------------------------------------------------------------------------------------------------------

JUDGES = {
    "sdar": (Qwen3Config, Qwen3ForCausalLM),
    "sdar-moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM),
    "fast-dllm-v2": (Qwen2Config, Qwen2ForCausalLM),
    "dream": (Qwen2Config, Qwen2ForCausalLM),
    "a2d-qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "a2d-qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "a2d-llama": (LlamaConfig, LlamaForCausalLM),
}


def stacked(tensors, layers, experts):
    """The same tensors, a layer's experts in one."""
    out = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for at in (f"model.layers.{layer}.mlp.experts" for layer in range(layers)):
        gate, up, down = (
            torch.stack([tensors[f"{at}.{e}.{part}_proj.weight"] for e in range(experts)])
            for part in ("gate", "up", "down")
        )
        out[f"{at}.gate_up_proj"], out[f"{at}.down_proj"] = torch.cat([gate, up], 1), down
    return out


@pytest.mark.parametrize("example", JUDGES)
def test_logits_equal_transformers_own_network_under_the_same_mask(example, made):
    """An outside judge: the autoregressive network of the same tensors, its causal mask replaced."""
    folder = made(example)
    model = load_model(folder, dtype="float32")
    config, network = JUDGES[example]
    judge = network(config.from_pretrained(folder, attn_implementation="eager"))
    tensors = load_file(folder / "model.safetensors")
    if any("experts.gate_up_proj" in name for name in judge.state_dict()):
        tensors = stacked(tensors, 2, 8)  # transformers 5 holds experts so
    judge.load_state_dict(tensors, strict=not model.spec.tied_head)
    ids = torch.tensor([prompt(40), prompt(40, 1)])
    block = torch.arange(40) // (model.spec.block or 40)
    sees = torch.zeros(40, 40).masked_fill(block[:, None] < block[None, :], -torch.inf).expand(2, 1, 40, 40)
    by_kind = example not in ("a2d-llama", "sdar-moe")  # these take a mask for each kind of layer
    with torch.no_grad():
        expected = judge.eval()(input_ids=ids, attention_mask={"full_attention": sees} if by_kind else sees).logits
    if model.lookback:
        expected = torch.cat([expected[:, :1], expected[:, :-1]], 1)
    torch.testing.assert_close(model.logits(ids), expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CAUSAL)
def test_what_stands_in_later_blocks_changes_nothing(name, network):
    model, block = network(name), BLOCK[name]
    ids = torch.tensor(prompt(3 * block))
    other = ids.clone()
    other[2 * block :] = (other[2 * block :] + 7) % 200
    one, two = model.logits(torch.stack([ids, other]))
    kept = 2 * block + (1 if model.lookback else 0)
    torch.testing.assert_close(one[:kept], two[:kept], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one[: 2 * block], model.logits(ids[None, : 2 * block])[0], atol=1e-5, rtol=1e-5)
    inside = other.clone()
    inside[block - 1] += 1
    assert not torch.allclose(model.logits(inside[None])[0, 1], two[1], atol=1e-3), "a block sees all of itself"


def test_block_length_overrides_and_is_refused_where_attention_is_full():
    assert load_model(GOLDEN / "sdar").block_rule == Blocks(4)
    assert load_model(GOLDEN / "sdar", block_length=8).block_rule == Blocks(8)
    with pytest.raises(ConfigError, match=r"block_length=8: attention of LLaDA is full"):
        load_model(LLADA, block_length=8)
    with pytest.raises(ConfigError, match="block_length=0"):
        load_model(GOLDEN / "sdar", block_length=0)


def test_a_name_tells_the_two_kinds_of_a2d_apart(made):
    assert load_model(made("a2d-qwen3")).block_rule is None
    model = load_model(made("a2d-qwen3-bd3lm"))
    assert model.block_rule == Blocks(32) and model.id_sources["attention"].startswith("guessed from 'bd3lm'")


# --- where blocks end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "length", "rule", "end"),
    [
        (5, 8, None, 13),
        (5, 800, None, 40),
        (5, 32, Blocks(4), 8),
        (4, 32, Blocks(4), 8),
        (5, 2, Blocks(4), 6),
        (6, 2, Blocks(4), 8),
        (9, 8, Blocks(32), 16),
        (9, 5, Blocks(16), 10),
        (11, 5, Blocks(16), 15),
        (15, 5, Blocks(16), 16),
        (38, 8, Blocks(16), 40),
        (32, 8, Blocks(16, lead=True), 33),
        (33, 8, Blocks(16, lead=True), 40),
        (0, 8, Blocks(16, lead=True), 8),
    ],
)
def test_block_end(start, length, rule, end):
    assert block_end(start, length, rule, 40) == end


# --- the exact store --------------------------------------------------------------------------------------------------

SPECS = (
    *("topk(1)", "threshold(0.05)", "llada", "llada2(0.1, least=2)", "dream", "factor(20)", "credit+localleap(0.1)"),
    *("adablock(delimiters=5)+eotp", "prophet(early=2, middle=1, late=0.5)", "eb(0.5)", "klass(0.1, epsilon=1)"),
    *("hierarchy(0.2, low=0.05)", "wino(0.05, revoke=0.3)", "saber(2)", "dus", "llada2(0.3)+edit(0.05)"),
    *("multiblock(4, add=0.3)", "slowfast(0.1, explore=1)", "remdm(2, loops=3)", "rcr", "p2", "cora(0.05)"),
)


@pytest.mark.parametrize(("name", "spec"), rotated(CAUSAL, SPECS, every=3))
def test_the_exact_store_changes_no_token(name, spec, network):
    """Every scheduler, prompts of all lengths within a block, in one batch: as without a cache."""
    llm, block = LLM(network(name)), BLOCK[name]
    prompts = [prompt(length, length) for length in (1, block - 1, block, block + 3, 2 * block + 1)]
    found = {}
    for cache in ("none", "exact"):
        params = SamplingParams(max_new_tokens=2 * block + 3, scheduler=spec, cache=cache)
        found[cache] = [(one.token_ids, one.stats.forwards) for one in llm.generate(prompts, params)]
    assert found["exact"] == found["none"]


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("options", [{"cfg_scale": 1.0}, {"temperature": 1.0, "seed": 1}, {"block_length": 3}])
def test_nor_with_guidance_noise_or_smaller_blocks(name, options, network):
    tokens = [answer(network(name), prompt(9), 20, cache=cache, **options).token_ids for cache in ("none", "exact")]
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize("name", CAUSAL)
def test_nor_in_a_document(name, network):
    llm = LLM(network(name))
    pieces = [prompt(5), Hole(7), prompt(3), Hole(12), prompt(2)]
    found = [llm.infill(pieces, SamplingParams(cache=cache)).token_ids for cache in ("none", "exact")]
    assert found[0] == found[1] and found[0][:5] == prompt(5)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("spec", ["topk(1)", "llada2(0.05)+edit(0.02, passes=3)"])
def test_a_row_does_not_depend_on_its_batch_mates(name, spec, network):
    llm, params = LLM(network(name)), SamplingParams(max_new_tokens=13, scheduler=spec)
    prompts = [prompt(length, length) for length in (1, 7, 8, 9, 16, 3, 30)]
    together = [one.token_ids for one in llm.generate(prompts, params)]
    assert together == [llm.generate(ids, params).token_ids for ids in prompts]


def test_what_the_store_feeds(network):
    """The prompt once, then block by block, the block before once more; that is what makes it fast."""
    out = answer(network("sdar"), prompt(40), 12, scheduler="topk(1)", cache="exact")
    assert (out.stats.forwards, out.stats.refreshes) == (12, 1)
    assert out.stats.positions_fed == (44 + 3 * 4) + 2 * (8 + 3 * 4)
    assert answer(network("sdar"), prompt(40), 12, scheduler="topk(1)", cache="none").stats.positions_fed == 12 * 52


def test_auto_is_exact_and_other_models_have_none(network):
    assert answer(network("sdar"), prompt(3), 4).stats.cache == "exact"
    with pytest.raises(CapabilityError, match=r"cache='exact' needs a block-causal model"):
        LLM("tiny").generate("a", SamplingParams(cache="exact"))


@pytest.mark.parametrize("cache", ["prefix", "dual", "window", "suffix", "delayed", "drift"])
@pytest.mark.parametrize("name", CAUSAL)
def test_other_caches_run(name, cache, network):
    out = answer(network(name), prompt(9), 2 * BLOCK[name], cache=cache)
    assert len(out.token_ids) == 2 * BLOCK[name] and out.stats.cache.startswith(cache)


# --- the published samplers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "tau"), [(8, 0.95), (4, 0.05)])
@pytest.mark.parametrize("cache", ["none", "exact"])
def test_llada2_golden_generations(steps, tau, cache):
    golden = load_file(GOLDEN / "llada2_moe" / "golden.safetensors")
    model = load_model(GOLDEN / "llada2_moe", dtype="float32", block_length=8, mask_token_id=246)
    spec = f"llada2({tau}, least={8 // steps})"
    out = answer(model, golden["gen_prompt"][0].tolist(), 16, scheduler=spec, cache=cache)
    assert out.token_ids == golden[f"gen_b8_s{steps}_t{tau}"][0].tolist()


@pytest.mark.parametrize("name", ["sdar", "llada2_moe", "sdar-moe", "a2d-qwen3-bd3lm"])
@pytest.mark.parametrize(("tau", "least"), [(0.95, 1), (0.2, 1), (0.1, 2)])
def test_llada2s_rule_read_aloud(name, tau, least, network):
    model, block = network(name), BLOCK[name]
    for length in (1, block, block + 3):
        expected, _ = plain_blocks.llada2(model, prompt(length), 2 * block - 1, block, tau, least)
        spec = f"llada2({tau}, least={least})"
        assert answer(model, prompt(length), 2 * block - 1, scheduler=spec).token_ids == expected


@pytest.mark.parametrize("name", ["sdar", "llada2_moe", "sdar-moe"])
@pytest.mark.parametrize(("tau", "edit", "passes"), [(0.2, 0.3, 16), (0.02, 0.05, 3), (0.95, 0.1, 0), (0.1, 0.9, 1)])
def test_editing_read_aloud(name, tau, edit, passes, network):
    model, block = network(name), BLOCK[name]
    edited = 0
    for length in (1, block, block + 3):
        expected, forwards = plain_blocks.llada2(model, prompt(length), 2 * block, block, tau, 1, edit, passes)
        out = answer(model, prompt(length), 2 * block, scheduler=f"llada2({tau})+edit({edit}, passes={passes})")
        assert (out.token_ids, out.stats.forwards) == (expected, forwards)
        edited += sum(bool(set(step.revoked) & set(step.positions)) for step in out.trace.steps)
        canvas = prompt(length) + [246] * (-(-(length + 2 * block) // block) * block - length)
        *_, last = out.trace.replay(canvas, 246)
        assert last[length : length + 2 * block] == expected
    if edit < 0.2:
        assert edited, "no token was replaced, so nothing was compared"


def test_editing_leaves_an_end_of_text_and_given_tokens_alone(network):
    model = network("sdar")
    loose = "llada2(0.01)+edit(0.0, passes=3)"
    out = LLM(model).generate(prompt(6), SamplingParams(max_new_tokens=40, scheduler=loose))
    assert 241 not in out.token_ids
    pieces = [prompt(5), Hole(7), prompt(3), Hole(2)]
    filled = LLM(model).infill(pieces, SamplingParams(scheduler=loose)).token_ids
    assert filled[:5] == prompt(5) and filled[12:15] == prompt(3)


@pytest.mark.parametrize("tau", [0.95, 0.3, 0.1])
def test_fast_dllm_v2_read_aloud(tau, network):
    model = network("fast-dllm-v2")
    assert (model.block_rule, model.usual.block_length) == (Blocks(16, lead=True), 8)
    for length in (1, 15, 16, 21, 32):
        expected = plain_blocks.fast_dllm_v2(model, prompt(length), 40, 16, 8, tau)
        assert answer(model, prompt(length), 40, scheduler=f"llada2({tau})").token_ids == expected


# --- what a request gets that does not say ----------------------------------------------------------------------------


def test_a_model_has_its_own_block_length_and_scheduler(made):
    usual = SamplingParams(max_new_tokens=40)
    assert (usual.block_length, usual.scheduler) == (32, "threshold(0.9)")
    for example, block, scheduler in (
        ("sdar", 4, "threshold(0.85)"),
        ("llada2", 32, "llada2"),
        ("fast-dllm-v2", 8, "threshold(0.9)"),
        ("llada", 32, "threshold(0.9)"),
    ):
        llm = LLM(str(made(example)), dtype="float32")
        own = SamplingParams(max_new_tokens=40, block_length=block, scheduler=scheduler)
        assert llm.generate(prompt(5), usual).token_ids == llm.generate(prompt(5), own).token_ids
        settled = llm.engine.settled(usual)
        assert (settled.block_length, settled.scheduler) == (block, scheduler)
        asked = SamplingParams(block_length=32, scheduler="threshold(0.9)")
        assert llm.engine.settled(asked) is asked
        assert llm.engine.settled(usual) is llm.engine.settled(usual)


def test_an_answer_has_the_length_asked_for_though_blocks_are_whole(network):
    out = answer(network("sdar"), prompt(3), 6, scheduler="topk(1)")
    assert len(out.token_ids) == 6 and out.stats.tokens == 6 and out.finish_reason == "length"
    assert out.trace.steps[0].length == 12, "the canvas is three whole blocks"


def test_a_grammar_holds_the_answer_to_the_length_asked_for(made):
    llm = LLM(str(made("sdar")), dtype="float32")
    out = llm.generate("ab", SamplingParams(max_new_tokens=6, grammar=Grammar.from_regex("[a-c]{6}")))
    assert len(out.text) == 6 and set(out.text) <= set("abc") and out.stats.cache == "exact"
    edited = SamplingParams(max_new_tokens=6, grammar=Grammar.from_regex("[a-c]{6}"), scheduler="edit(0.0)")
    assert set(llm.generate("ab", edited).text) <= set("abc")


def test_lead_needs_a_row_before(network):
    """A store over a fresh row: the first token of a block is predicted from the row before it."""
    model = network("fast-dllm-v2")
    ids, at = torch.tensor(prompt(32)), torch.arange(32)
    kv = model.new_kv(32)
    (whole,) = model.forward_rows([RowInput(ids, at, at, kv)])
    (one,) = model.forward_rows([RowInput(ids[15:32], at[15:32], at[16:17], kv)])
    torch.testing.assert_close(one, whole[16:17], atol=1e-5, rtol=1e-5)


# --- what a review found ----------------------------------------------------------------------------------------------


def test_an_end_of_text_behind_the_answer_is_not_its_end(network):
    """The canvas's last block goes on behind the answer; an EOS there is nobody's."""
    llm, seen = LLM(network("sdar")), 0
    for seed in range(300):
        params = SamplingParams(max_new_tokens=5, temperature=4.0, seed=seed, scheduler="topk(4)")
        out = llm.generate(prompt(4), params)
        seen += any(241 in step.token_ids for step in out.trace.steps) and len(out.token_ids) == 5
        assert (out.finish_reason == "stop") == (len(out.token_ids) < 5)
    assert seen, "no canvas ended behind its answer"


def test_a_stop_string_behind_the_answer_does_not_end_it(made):
    llm = LLM(str(made("sdar")), dtype="float32")
    whole = llm.generate("abcd", SamplingParams(max_new_tokens=8, scheduler="topk(4)", ignore_eos=True)).text
    stop = whole[4:7]  # its last character is the eighth token at most, the answer has five
    out = llm.generate("abcd", SamplingParams(max_new_tokens=5, scheduler="topk(4)", stop=stop, ignore_eos=True))
    assert stop not in out.text and (out.finish_reason, len(out.token_ids)) == ("length", 5)


def test_lengths_are_those_asked_for(made):
    """Prophet's suffix has its place in the answer, and a budget's message counts its tokens."""
    llm = LLM(str(made("llada2")), dtype="float32")
    spec = "prophet(region='a b:', width=2)+topk"
    for new in (30, 40):
        assert "a b:" in llm.generate("abc", SamplingParams(max_new_tokens=new, scheduler=spec)).text
    with pytest.raises(ConfigError, match="max_new_tokens=5 has no room"):
        llm.generate("abc", SamplingParams(max_new_tokens=5, scheduler=spec))
    sdar = LLM(str(made("sdar")))
    with pytest.raises(ConfigError, match="3 blocks of 8 tokens"):
        sdar.generate(prompt(3), SamplingParams(max_new_tokens=8, scheduler="llada", steps=2))


@pytest.mark.parametrize("spec", ["llada2(0.3)+edit(0.05)", "wino(0.05, revoke=0.3)", "saber(2)"])
def test_exact_is_exact_with_noise_for_what_is_asked_beside_the_masks(spec, network):
    model = network("fast-dllm-v2")
    for seed in range(4):
        options = {"scheduler": spec, "temperature": 1.0, "seed": seed}
        found = [answer(model, prompt(15), 40, cache=cache, **options).token_ids for cache in ("none", "exact")]
        assert found[0] == found[1]


def test_editing_goes_with_no_other_way_to_take_tokens_back():
    for spec in ("wino+edit", "edit+saber"):
        with pytest.raises(ConfigError, match=r"edit.* replaces tokens of which"):
            SamplingParams(scheduler=spec)


def test_a_made_model_keeps_its_template_and_shares_no_tokenizer(made):
    folder = made("a2d-qwen3")
    llm = LLM(load_model(folder), tokenizer=str(folder))
    assert llm.tokenizer.template_variables == {"enable_thinking": False}
    assert "<|im_start|>user" in llm.engine.templated([{"role": "user", "content": "x"}])
    shared = LLM(str(made("sdar"))).tokenizer
    assert LLM(str(folder), tokenizer=shared).tokenizer.template_variables and not shared.template_variables


def test_params_that_leave_something_to_the_model_are_not_those_that_do_not():
    left, said = SamplingParams(), SamplingParams(block_length=32, scheduler="threshold(0.9)")
    assert left != said and left == SamplingParams() and hash(left) == hash(SamplingParams())
    assert (left.block_length, left.scheduler) == (said.block_length, said.scheduler)
